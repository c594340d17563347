"""Storybook on disk, in EmoSet's layout: info.json, split files, image/ and annotation/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emosym.data.storybook.drawing.draw import PICTURE, painter_of
from emosym.data.storybook.drawing.render import check_size
from emosym.data.storybook.levels import CUES_LEVEL, REQUEST_FILE, level_named
from emosym.data.storybook.pool import run_pieces
from emosym.data.storybook.words import caption_of
from emosym.data.storybook.world import (
    ACTIONS,
    FACES,
    LIGHTS,
    OBJECTS,
    SCENES,
    SPLITS,
    Story,
)
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.files import disk_errors, read_json, write_atomic, write_json

FORMAT = "emosym.storybook/1"
PIECE = 64  # pictures a worker writes at a time
FULL_COLOURFULNESS = 130.0  # of the Hasler-Suesstrunk measure; vivid pictures reach about 110
Row = list[str]


def split_counts(count: int) -> dict[str, int]:
    """Split a total into train 70 %, val 10 %, test 20 %.

    Raises:
        UsageError: for fewer than 10 pictures.
    """
    if count < 10:
        raise UsageError(f"A storybook needs at least 10 pictures to split, got {count}.")
    train, val = round(0.7 * count), round(0.1 * count)
    return {"train": train, "val": val, "test": count - train - val}


def brightness_of(picture: np.ndarray) -> float:
    """Return the mean luma (ITU-R BT.601) of a uint8 picture (H, W, 3), 0..1 in steps of 0.1."""
    luma = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return round(float(luma.mean()) / 255.0, 1)


def colorfulness_of(picture: np.ndarray) -> float:
    """Return the colourfulness of a uint8 picture (H, W, 3), 0..1 in steps of 0.1.

    The measure of Hasler and Suesstrunk (2003), divided by FULL_COLOURFULNESS and clipped.
    """
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(rg.std(), yb.std())
    mean = np.hypot(rg.mean(), yb.mean())
    return round(min(1.0, float(spread + 0.3 * mean) / FULL_COLOURFULNESS), 1)


def info_of() -> dict[str, Any]:
    """Return the content of info.json: label2idx and idx2label of every attribute."""
    names = {
        "emotion": MIKELS8.labels,
        "scene": SCENES,
        "object": OBJECTS,
        "facial_expression": FACES,
        "human_action": ACTIONS,
        "light": LIGHTS,
    }
    tables: dict[str, Any] = {}
    for key in ("emotion", "brightness", "colorfulness", "scene", "object", "facial_expression",
                "human_action", "light"):  # fmt: skip
        values: list[Any] = list(names.get(key, [i / 10 for i in range(11)]))
        tables[key] = {
            "label2idx": {str(value): i for i, value in enumerate(values)},
            "idx2label": {str(i): value for i, value in enumerate(values)},
        }
    return tables


def image_id(story: Story) -> str:
    """Return the name of a story's files, without a suffix."""
    return f"{MIKELS8.labels[story.label]}_{story.split}_{story.index:06d}"


def row_of(story: Story) -> Row:
    """Return the split file's row: emotion, image path, annotation path."""
    emotion, name = MIKELS8.labels[story.label], image_id(story)
    return [emotion, f"image/{emotion}/{name}.png", f"annotation/{emotion}/{name}.json"]


def annotation_of(story: Story, picture: np.ndarray, level: str = CUES_LEVEL) -> dict[str, Any]:
    """Return the annotation of a painted story of a level."""
    kind = level_named(level)
    annotation: dict[str, Any] = {
        "image_id": image_id(story),
        "emotion": MIKELS8.labels[story.label],
        "brightness": brightness_of(picture),
        "colorfulness": colorfulness_of(picture),
        "scene": story.scene,
        "object": list(story.objects),
        "facial_expression": story.face,
        "human_action": story.action,
        "light": story.light,
        "caption": caption_of(story),
        "rationale": kind.rationale(story),
        "held_out": kind.held_out(story),
        **kind.more(story),
    }
    if story.mixed:
        annotation["votes"] = {
            label: vote for label, vote in zip(MIKELS8.labels, story.votes, strict=True) if vote > 0
        }
    return annotation


def write_piece(
    out: Path,
    seed: int,
    split: str,
    start: int,
    count: int,
    size: int,
    style: str,
    level: str = CUES_LEVEL,
) -> list[Row]:
    """Write pictures and annotations of `count` stories that are not there yet; return all rows."""
    rows, paint, draw = [], painter_of(style), level_named(level).draw
    for index in range(start, start + count):
        story = draw(seed, index, split)
        row = row_of(story)
        rows.append(row)
        image, annotation = out / row[1], out / row[2]
        if image.exists() and annotation.exists():
            continue
        picture = paint(story, size)
        write_atomic(image, Image.fromarray(picture).save)
        write_json(annotation, annotation_of(story, picture, level))
    return rows


def write_storybook(
    out: Path,
    counts: Mapping[str, int],
    size: int = 64,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    style: str = PICTURE,
    level: str = CUES_LEVEL,
) -> bool:
    """Write a storybook of a level in EmoSet's layout; return False when it was already complete.

    The same bytes for any number of workers. A folder with an unfinished storybook of the same
    request is completed. `progress` is told how many pictures are done with each step.

    Raises:
        UsageError: for bad numbers, or a folder that holds anything else.
        EmoSymError: when the disk is full or not writable.
    """
    check_request(size, counts, workers)
    painter_of(style)
    level_named(level)
    request = {"format": FORMAT, "seed": seed, "size": size, "counts": dict(counts)}
    if style != PICTURE:
        request["style"] = style
    if level != CUES_LEVEL:
        request["level"] = level
    claim_folder(out, request)
    if _complete(out, counts):
        return False
    with disk_errors(out):
        for folder in ("image", "annotation"):
            for label in MIKELS8.labels:
                (out / folder / label).mkdir(parents=True, exist_ok=True)
    write_json(out / "info.json", info_of())
    for split in SPLITS:
        pieces: list[tuple[Any, ...]] = [
            (out, seed, split, start, min(PIECE, counts[split] - start), size, style, level)
            for start in range(0, counts[split], PIECE)
        ]
        rows: list[Row] = []
        for some in run_pieces(write_piece, pieces, workers):
            rows += some
            if progress is not None:
                progress(len(some))
        write_json(out / f"{split}.json", rows, indent=None)
    return True


def claim_folder(out: Path, request: dict[str, Any], name: str = REQUEST_FILE) -> None:
    """Make `out` the folder of this request, which is kept in its file `name`.

    Raises:
        UsageError: when the folder holds anything else.
    """
    stored = out / name
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder for the storybook.")
    if stored.exists():
        found = read_json(stored, "storybook request")
        if found != request:
            raise UsageError(
                f"{out} holds another storybook ({found}); choose another folder or remove it."
            )
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no storybook; choose another folder.")
    else:
        write_json(stored, request)


def check_request(size: int, counts: Mapping[str, int], workers: int) -> None:
    """Refuse what cannot be drawn.

    Raises:
        UsageError: for a size outside 32..1024, a split without an entry, or no worker.
    """
    check_size(size)
    if set(counts) != set(SPLITS) or any(counts[split] < 1 for split in SPLITS):
        raise UsageError(f"Give a count of at least one for each of {', '.join(SPLITS)}.")
    if workers < 1:
        raise UsageError(f"The number of workers must be 1 or more, got {workers}.")


def _complete(out: Path, counts: Mapping[str, int]) -> bool:
    if not (out / "info.json").exists():
        return False
    for split in SPLITS:
        if not (out / f"{split}.json").exists():
            return False
        rows = read_json(out / f"{split}.json", "split file")
        if len(rows) != counts[split]:
            return False
        if not all((out / path).exists() for row in rows for path in row[1:]):
            return False
    return True
