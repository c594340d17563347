"""Is a bank of paintings worth a study? Paint the appraisal level's missing cells, and judge them.

    python scripts/appraisal_gate.py CHECKPOINT --out docs/results/appraisal/missing-cells.json

What comes before it: docs/storybook-appraisals.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emosym.evaluation.storybook.appraisal_paintings import GATE, evaluate_missing_cells
from emosym.files import write_json
from emosym.pipelines.trained import EmoSymPipeline


def main() -> int:
    """Paint, judge and write the result; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-intent", type=int, default=2)
    asked = parser.parse_args()
    pipeline = EmoSymPipeline.from_pretrained(asked.checkpoint)
    result = evaluate_missing_cells(pipeline, asked.per_intent)
    write_json(asked.out, result)
    told = result["values"]["judged_right"]
    sys.stdout.write(f"Judged right: {told:.1%} of {result['n']}; the gate is {GATE:.0%}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
