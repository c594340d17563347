"""What a zero-shot preset stands for: a reader, a painter, or both, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emosym.emotions import MIKELS8, LabelSpace, own_space
from emosym.errors import UsageError, unknown_name
from emosym.models.checkpoint import is_checkpoint
from emosym.models.presets import BASE_FILE, MAX_PIXELS, PRESETS, Base, resolve_base
from emosym.models.snapshots import locate

OWN = "your labels"
LEAST_PIXELS = 4 * 28 * 28
READER_FILE, PAINTER_FILE = "config.json", "model_index.json"


@dataclass(frozen=True, slots=True)
class ZeroShotSource:
    """A base of which the reader, the painter or both are meant; nothing is opened yet.

    A part that is not meant is an empty path in `base`.
    """

    base: Base
    reads: bool
    paints: bool


def find_source(
    source: str | Path, painter: str | None = None, max_pixels: int | None = None
) -> ZeroShotSource:
    """Return what a preset's name, a base folder, a model's folder or a hub id stands for.

    `painter` (a folder or hub id) takes the place of the source's own. `max_pixels` bounds what a
    picture is read at.

    Raises:
        UsageError: for an unknown name, a folder that holds neither, a hub id that is not on this
            machine, or a bound that is too small or has no effect.
        EmoSymError: when a file of a shipped base is missing or was changed.
    """
    name = str(source)
    folder = Path(source)
    if name in PRESETS or (folder / BASE_FILE).is_file() or (folder / "reader").is_dir():
        base = resolve_base(name, None, painter)
        found = ZeroShotSource(base, True, bool(base.painter))
    elif "/" not in name and not folder.exists():
        raise unknown_name("preset", name, PRESETS, "Or give a model's folder or hub id.")
    else:
        found = _of_model(locate(name, "zero-shot model"), name, painter)
    if max_pixels is None:
        return found
    if max_pixels < LEAST_PIXELS:
        raise UsageError(f"max_pixels must be {LEAST_PIXELS} or more, got {max_pixels}.")
    if found.base.image_size is not None:
        size = found.base.image_size
        raise UsageError(f"{name} reads every picture at {size} x {size}: drop max_pixels.")
    return replace(found, base=replace(found.base, max_pixels=max_pixels))


def _of_model(folder: Path, name: str, painter: str | None) -> ZeroShotSource:
    if (folder / PAINTER_FILE).is_file():
        if painter is not None:
            raise UsageError(f"{name} is a painter itself: give one painter.")
        return ZeroShotSource(Base(name, "", str(folder), None, None, "bfloat16"), False, True)
    if is_checkpoint(folder):
        raise UsageError(
            f"{folder} is a checkpoint that emosym trained: open it without zero-shot, by --model."
        )
    if not (folder / READER_FILE).is_file():
        raise UsageError(
            f"{folder} holds no model: a reader has {READER_FILE}, a painter {PAINTER_FILE}, "
            "a base both in reader/ and painter/."
        )
    base = Base(name, str(folder), painter or "", None, None, "bfloat16", MAX_PIXELS)
    return ZeroShotSource(base, True, painter is not None)


def own_labels(labels: Sequence[str] | LabelSpace | None) -> LabelSpace:
    """Return the label space of any words; a known space's own words are that space.

    Raises:
        UsageError: for fewer than 2 or more than 64 labels, one twice, an empty one, or one with
            other signs than letters, digits, spaces, hyphens and apostrophes.
    """
    if labels is None:
        return MIKELS8
    if isinstance(labels, LabelSpace):
        return labels
    return own_space(labels, OWN)
