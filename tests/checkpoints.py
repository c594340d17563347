"""Checkpoint folders that a test edits: sealed again, or as an older version wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emosym.models.description import DESCRIPTION, sealed

DROP = "-"


def described_in(folder: Path) -> dict[str, Any]:
    """What a checkpoint's description says."""
    found = json.loads((folder / DESCRIPTION).read_text())
    assert isinstance(found, dict)
    return found


def edited(folder: Path, **changes: object) -> Path:
    """Change keys of a description (DROP removes one), and seal it again; returns the folder."""
    kept = {k: v for k, v in {**described_in(folder), **changes}.items() if v != DROP}
    (folder / DESCRIPTION).write_text(json.dumps(sealed(kept)))
    return folder


def without_file(folder: Path, name: str) -> dict[str, str]:
    """Remove a file; returns what is left of the description's list of files."""
    (folder / name).unlink()
    return {k: v for k, v in described_in(folder)["files"].items() if k != name}


def as_format_1(folder: Path) -> Path:
    """Rewrite a description of format 2 as format 1 had it; returns the folder.

    Format 1 knew one published label space by name, one calibration with its temperature twice, and
    a threshold instead of a domain. Which parts there are was told by the list of files alone, and
    it had no checksum of its own. The files themselves are the same.
    """
    found = described_in(folder)
    (row,) = found["spaces"]
    calibration = found["calibrations"][row["name"]]
    kept = (
        *("emosym", "base", "reader", "painter", "max_pixels", "reader_fingerprint", "four_bit"),
        *("condition", "template", "num_context_tokens", "recurrent", "stages", "versions", "git"),
    )
    older = {
        "format": 1,
        **{key: found[key] for key in kept},
        "label_spaces": [row["name"]],
        "label_space": row["name"],
        "temperature": calibration["temperature"],
        "calibration": calibration,
        "domain_threshold": found["domain"]["threshold"] if found["domain"] else None,
        "files": found["files"],
    }
    (folder / DESCRIPTION).write_text(json.dumps(older))
    return folder
