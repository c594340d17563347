"""Paint from e of one picture and c of another: whose scene, objects, face and emotion show?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emosym.evaluation.measure import load_judges
from emosym.evaluation.results.value_intervals import add_mean
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained_painting import paint_latents
from emosym.seeds import stream_seed

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline

BATCH = 20
SEEN = 0.5  # probability from which an object counts as seen
JUDGED = ("scene", "object", "face", "action")


def painting_values(
    values: dict[str, Any],
    pipeline: EmoSymPipeline,
    latents: tuple[torch.Tensor, torch.Tensor],
    donors: Mapping[str, np.ndarray],
    facts: Sequence[Mapping[str, frozenset[str]]],
    labels: np.ndarray,
    count: int,
    seed: int,
    progress: Callable[[int], None],
) -> dict[str, str]:
    """Store what the judges see in `count` paintings each way; returns the judges' checksums.

    `latents` are e (N, H) and c (N, K, H). A picture starts from the same noise each way.
    `painted_<own|swap>_<same|other>_<kind>_<host|donor>`: share of what only the host's, only the
    donor's picture shows that is seen; `own` paints from the host's e and c, for the same pairs.
    `painted_<own|swap>_other_emotion_<host|donor>_judge_<a|b>`: share judged to be of that label.
    """
    emotion, context = latents
    judge_a, judge_b, attributes = load_judges(pipeline)
    rows = np.arange(count)
    sources = {"own": rows, **{f"swap_{kind}": donors[kind][:count] for kind in donors}}
    painted = {
        way: _paint(pipeline, emotion[:count], context[source], labels, seed, progress)
        for way, source in sources.items()
    }
    found = {way: attributes.attributes(pictures) for way, pictures in painted.items()}
    for pair, donor in donors.items():
        sides = {"host": rows, "donor": donor[:count]}
        for way, seen in (("own", found["own"]), ("swap", found[f"swap_{pair}"])):
            for kind in JUDGED:
                names = attributes.names[kind]
                for side, other in (("host", "donor"), ("donor", "host")):
                    only = [
                        facts[sides[side][i]][kind] - facts[sides[other][i]][kind] for i in rows
                    ]
                    each = [
                        np.mean([_is_seen(seen[kind][i], names, name, kind) for name in wanted])
                        for i, wanted in enumerate(only)
                        if wanted
                    ]
                    key = f"painted_{way}_{pair}_{kind}_{side}"
                    add_mean(values, key, np.array(each, dtype=np.float64), seed)
    for way, name in (("own", "own"), ("swap", "swap_other")):
        for letter, judge in (("a", judge_a), ("b", judge_b)):
            tops = judge.probabilities(painted[name]).argmax(axis=1)
            for side, chosen in (("host", rows), ("donor", donors["other"][:count])):
                right = (tops == labels[chosen]).astype(np.float64)
                key = f"painted_{way}_other_emotion_{side}_judge_{letter}"
                add_mean(values, key, right, seed)
    values["painted_n"] = count
    return {judge.name: judge.checksum for judge in (judge_a, judge_b, attributes)}


def _is_seen(shares: np.ndarray, names: Sequence[str], name: str, kind: str) -> bool:
    """Return whether probabilities (K,) show a name: objects one by one, others the likeliest."""
    if kind == "object":
        return bool(shares[names.index(name)] >= SEEN)
    return names[int(shares.argmax())] == name


def _paint(
    pipeline: EmoSymPipeline,
    emotion: torch.Tensor,
    context: torch.Tensor,
    labels: np.ndarray,
    seed: int,
    progress: Callable[[int], None],
) -> np.ndarray:
    """Paint one picture from each e (N, H) and c (N, K, H): uint8 (N, H, W, 3)."""
    parts = []
    request = paint_request(
        pipeline.space,
        pipeline.space.labels[int(labels[0])],  # painted from the latents that are given
        num_images=len(emotion),
        seed=stream_seed(seed, "causal-paint"),
    )
    for start in range(0, len(emotion), BATCH):
        rows = range(start, min(start + BATCH, len(emotion)))
        chosen = slice(rows.start, rows.stop)
        parts.append(paint_latents(pipeline.model, request, rows, emotion[chosen], context[chosen]))
        progress(len(rows))
    return np.concatenate(parts)
