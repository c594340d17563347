"""Draw what a run of the stage `photo` predicted against what people rated.

    python scripts/plot_photo.py runs/photo docs/images/photo.png

Every picture was predicted without any picture of its theme.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

RATINGS = ("valence", "arousal")
INK, ACCENT, LIGHT = "#1f2430", "#2a6f97", "#c7cdd6"


def main() -> int:
    """Draw two scatter plots side by side; returns the exit code."""
    if len(sys.argv) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    with (run / "predictions.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    values = json.loads((run / "finished.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(8.4, 4.1), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), RATINGS, strict=True):
        truth = np.array([float(row[name]) for row in rows])
        found = np.array([float(row[f"{name}_predicted"]) for row in rows])
        half = values[f"{name}_interval_half"]
        axes.fill_between(
            [1, 7], [1 - half, 7 - half], [1 + half, 7 + half], color=LIGHT, alpha=0.4
        )
        axes.plot([1, 7], [1, 7], color=LIGHT, linewidth=1)
        axes.scatter(truth, found, s=14, color=ACCENT, alpha=0.65, linewidths=0)
        axes.set(xlim=(1, 7), ylim=(1, 7), aspect="equal")
        axes.set_xlabel(f"{name}, mean of about 100 people")
        axes.set_ylabel("predicted without its theme")
        axes.set_title(f"{name}: r = {values[f'{name}_r']:.2f}", color=INK, fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
