"""Put a trained base, and optionally a checkpoint on it, into the package; 30 MB at most.

    python scripts/ship_weights.py runs/storybook-base/base [runs/demo/feedback/checkpoint]

The checkpoint must have been trained on the preset `storybook-base`; its weights are stored in
bf16, half the size. Its card is written anew, with the held-out numbers of its run.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from emosym.apps.cli.packing import pack_checkpoint
from emosym.errors import UsageError
from emosym.models.checkpoint import describe_checkpoint
from emosym.models.description import read_description
from emosym.models.presets import WEIGHTS, verify_base

LIMIT_BYTES = 30_000_000


def ship_checkpoint(source: Path, target: Path) -> None:
    """Write a compact copy of a run's checkpoint, with a card made of what its run left."""
    described = describe_checkpoint(source)
    if described["base"] != "storybook-base":
        raise UsageError(f"{source} stands on {described['base']!r}, not on storybook-base.")
    known = read_description(source)
    calibration = known.calibrations.get(known.space.name)
    if calibration is None or calibration.abstain_below is None:
        raise UsageError(
            f"{source} does not say below which confidence to abstain. Fit that on pictures that "
            "it was not trained on: `emosym calibrate CHECKPOINT --data DATA --out FOLDER`."
        )
    pack_checkpoint(source, target)


def main() -> int:
    """Copy, shrink and count; returns the exit code."""
    if not 2 <= len(sys.argv) <= 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    base = Path(sys.argv[1])
    verify_base(base)
    target = WEIGHTS / "storybook-base"
    if base.resolve() != target.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(base, target)
    if len(sys.argv) == 3:
        ship_checkpoint(Path(sys.argv[2]), WEIGHTS / "storybook")
    total = sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())
    sys.stderr.write(f"{total / 1e6:.1f} MB under {WEIGHTS}\n")
    return int(total > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
