"""Where a run keeps its memory bank."""

from __future__ import annotations

from pathlib import Path

from emosym.memory.bank import Bank


def open_bank(path: Path) -> Bank:
    """Open the bank at `path`, `path`/bank, or `path`/feedback/bank (the folder of a demo).

    Raises:
        UsageError: when none of them is a bank.
    """
    for nested in (path / "bank", path / "feedback" / "bank"):
        if (nested / "bank.json").is_file():
            return Bank.open(nested)
    return Bank.open(path)
