"""Linear probes: how much of the emotion a straight line reads off a state.

Alain and Bengio (arXiv 1610.01644); the control with shuffled labels is in the manner of Hewitt and
Liang (arXiv 1909.03368).
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PENALTIES = tuple(10.0**power for power in range(-1, 6))  # of which each fit chooses for itself


def probe_accuracy(
    taught: np.ndarray, taught_labels: np.ndarray, asked: np.ndarray, asked_labels: np.ndarray
) -> float:
    """Fit a ridge classifier to states (N, H), and return how often it is right on others (M, H).

    The penalty is chosen on the fitted states alone, each left out once.
    """
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=PENALTIES))
    probe.fit(taught, taught_labels)
    return float((probe.predict(asked) == asked_labels).mean())


def probe_table(
    states: np.ndarray,
    labels: np.ndarray,
    taught: np.ndarray,
    asked: np.ndarray,
) -> list[list[float | None]]:
    """Return the accuracy (P, D) of a probe at each place and depth of states (N, P, D, H).

    `taught` and `asked` are rows. None where a state is not known (NaN).
    """
    _, places, depths, _ = states.shape
    return [
        [
            None
            if np.isnan(states[:, place, depth]).any()
            else probe_accuracy(
                states[taught, place, depth],
                labels[taught],
                states[asked, place, depth],
                labels[asked],
            )
            for depth in range(depths)
        ]
        for place in range(places)
    ]
