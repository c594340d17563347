"""Conversations on disk: dialogues.json, one JSON file a split, and a picture of every turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from emosym.data.storybook.dialogues.draw import Dialogue, draw_dialogue
from emosym.data.storybook.dialogues.reasons import reason_of
from emosym.data.storybook.drawing.render import paint_array
from emosym.data.storybook.faces import action_units
from emosym.data.storybook.pool import run_pieces
from emosym.data.storybook.world import SPLITS
from emosym.data.storybook.writer import check_request, claim_folder
from emosym.files import read_json, write_atomic, write_json

FORMAT = "emosym.storybook-dialogues/1"
REQUEST_FILE = "dialogues.json"
PIECE = 16  # conversations a worker draws at a time
Row = dict[str, Any]


def dialogue_id(dialogue: Dialogue) -> str:
    """Return the name of a conversation."""
    return f"{dialogue.split}_{dialogue.index:06d}"


def row_of(dialogue: Dialogue) -> Row:
    """Return a conversation as the split file holds it; docs/storybook-conversations.md tells all.

    Turns are counted from 0.
    """
    name = dialogue_id(dialogue)
    turns = []
    for place, turn in enumerate(dialogue.turns):
        turns.append(
            {
                "speaker": turn.speaker,
                "text": turn.text,
                "picture": f"image/{dialogue.split}/{name}_{place}.png",
                "emotion": turn.emotion,
                "sentiment": turn.sentiment,
                "intensity": turn.intensity,
                "action_units": list(action_units(turn.showing.face)),
                "cause": turn.cause,
                "reason": reason_of(dialogue, place),
                "about": turn.about,
                "face": turn.showing.face,
                "claim": turn.showing.claim,
                "mode": turn.showing.mode,
            }
        )
    events = [
        {
            "turn": event.turn,
            "kind": event.kind.name,
            "happening": event.happening,
            "thing": event.thing,
            "teller": event.teller,
        }
        for event in dialogue.events
    ]
    return {"id": name, "turns": turns, "events": events}


def write_piece(out: Path, seed: int, split: str, start: int, count: int, size: int) -> list[Row]:
    """Draw the pictures of `count` conversations that are not there yet; return all rows."""
    rows = []
    for index in range(start, start + count):
        dialogue = draw_dialogue(seed, index, split)
        rows.append(row_of(dialogue))
        for turn, row in zip(dialogue.turns, rows[-1]["turns"], strict=True):
            path = out / row["picture"]
            if not path.exists():
                write_atomic(path, Image.fromarray(paint_array(turn.shot, size)).save)
    return rows


def write_dialogues(
    out: Path,
    counts: Mapping[str, int],
    size: int = 64,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> bool:
    """Write conversations; return False when they were already complete.

    The same bytes for any number of workers. A folder with an unfinished set of the same request is
    completed. `progress` is told how many conversations are done with each step.

    Raises:
        UsageError: for bad numbers, or a folder that holds anything else.
        EmoSymError: when the disk is full or not writable.
    """
    check_request(size, counts, workers)
    request = {"format": FORMAT, "seed": seed, "size": size, "counts": dict(counts)}
    claim_folder(out, request, REQUEST_FILE)
    if all(_complete(out, split, counts[split]) for split in SPLITS):
        return False
    for split in SPLITS:
        pieces: list[tuple[Any, ...]] = [
            (out, seed, split, start, min(PIECE, counts[split] - start), size)
            for start in range(0, counts[split], PIECE)
        ]
        rows: list[Row] = []
        for some in run_pieces(write_piece, pieces, workers):
            rows += some
            if progress is not None:
                progress(len(some))
        write_json(out / f"{split}.json", {"format": FORMAT, "split": split, "dialogues": rows})
    return True


def _complete(out: Path, split: str, count: int) -> bool:
    path = out / f"{split}.json"
    if not path.exists():
        return False
    found = read_json(path, "split file")
    rows = found.get("dialogues", []) if isinstance(found, dict) else []
    return len(rows) == count and all(
        (out / turn["picture"]).exists() for row in rows for turn in row["turns"]
    )
