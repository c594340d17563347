"""Put a trained base, and optionally a checkpoint on it, into the package; 30 MB at most.

    python scripts/ship_weights.py runs/storybook-base/base [runs/demo/feedback/checkpoint]

The checkpoint must have been trained on the preset `storybook-base`; its weights are stored in
bf16, half the size.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.presets import WEIGHTS, verify_base

LIMIT_BYTES = 30_000_000


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
        source = Path(sys.argv[2])
        model = load_checkpoint(source)
        card = source / "README.md"
        text = card.read_text() if card.is_file() else None
        save_checkpoint(model, WEIGHTS / "storybook", text, compact=True)
    total = sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())
    sys.stderr.write(f"{total / 1e6:.1f} MB under {WEIGHTS}\n")
    return int(total > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
