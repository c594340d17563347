"""What a bank holds, as numbers and as a folder of pictures."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.files import disk_errors
from emosym.memory.schema import BankEntry, to_row

if TYPE_CHECKING:
    from emosym.memory.bank import Bank

EXPORT_CHUNK = 256


def stats(bank: Bank) -> dict[str, Any]:
    """Return counts and means as a JSON value.

    Keys: entries, version, versions, bytes (of the folder, with old versions), label_space,
    emotions {name: count, confidence, agreement, informativeness (means, None if empty),
    agreeing (share read as meant)}, rounds {round: count}, runs {run: count}.
    """
    names = ["intent", "probabilities", "confidence", "agreement", "informativeness"]
    held = bank.columns([*names, "round", "run"])
    intents = np.asarray([bank.space.index(str(name)) for name in held["intent"]], dtype=np.int64)
    emotions: dict[str, dict[str, float | int | None]] = {}
    for index, name in enumerate(bank.space.labels):
        mine = intents == index
        count = int(mine.sum())
        means = {k: float(held[k][mine].mean()) if count else None for k in names[2:]}
        right = held["probabilities"][mine].argmax(axis=1) == index if count else None
        agreeing = None if right is None else float(right.mean())
        emotions[name] = {"count": count, **means, "agreeing": agreeing}
    rounds, round_counts = np.unique(held["round"], return_counts=True)
    runs, run_counts = np.unique(held["run"].astype(str), return_counts=True)
    return {
        "entries": len(intents),
        "version": bank.version(),
        "versions": len(bank.versions()),
        "bytes": _bytes_in(bank.path),
        "label_space": bank.space.name,
        "emotions": emotions,
        "rounds": {str(int(r)): int(n) for r, n in zip(rounds, round_counts, strict=True)},
        "runs": {str(r): int(n) for r, n in zip(runs, run_counts, strict=True)},
    }


def _bytes_in(folder: Path) -> int:
    """Return the size of a folder; a writer may remove a temporary file meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def export(bank: Bank, out: Path, emotion: str | None = None) -> int:
    """Write <emotion>/<id>.png and metadata.jsonl (one row a picture) into a new folder.

    The layout loads as an image folder. Whole or absent; memory holds 256 pictures at most.

    Returns:
        The number of pictures.

    Raises:
        UsageError: when `out` exists and is not empty, or nothing would be written.
    """
    frozen = bank.at(bank.version()) if len(bank) else bank
    ids = [str(i) for i in frozen.columns(["id"], emotion=emotion)["id"]]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder; choose another.")
    if not ids:
        raise UsageError(f"The memory bank {bank.path} has nothing to export.")
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
        try:
            with (folder / "metadata.jsonl").open("w", encoding="utf-8") as stream:
                for start in range(0, len(ids), EXPORT_CHUNK):
                    for entry in frozen.read(ids=ids[start : start + EXPORT_CHUNK]):
                        stream.write(json.dumps(_export_one(entry, folder, bank.space)) + "\n")
            folder.chmod(0o755)
            folder.replace(out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return len(ids)


def _export_one(entry: BankEntry, folder: Path, space: LabelSpace) -> dict[str, Any]:
    """Write a picture and return its metadata row: everything but pixels, latents and feature."""
    path = folder / entry.intent / f"{entry.id}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(entry.image)
    row = to_row(entry)
    names = ("id", "sha256", "width", "height", "intent", "confidence", "agreement")
    return {
        "file_name": f"{entry.intent}/{path.name}",
        **{name: row[name] for name in (*names, "informativeness", "policies")},
        "intent_weights": dict(zip(space.labels, map(float, entry.intent_weights), strict=True)),
        "probabilities": dict(zip(space.labels, map(float, entry.probabilities), strict=True)),
        **asdict(entry.provenance),
    }
