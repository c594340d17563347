"""What `emosym.json` says: read and checked whole before any other file is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emosym.emotions import LabelSpace, label_space
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import MAX_JSON_BYTES
from emosym.models.calibration import Calibration, calibration_row, checked_calibration
from emosym.models.description_schema import Older, Whole
from emosym.models.painter.mappers import CONDITIONS
from emosym.models.reader.latent_tokens import PROMPT
from emosym.models.reader.reader import TEMPLATES
from emosym.space_rows import space_of_row

FORMAT = 2
OLDEST = 1
DESCRIPTION = "emosym.json"
CARD = "README.md"
READER = "reader.safetensors"
MAPPERS = "mappers.safetensors"
SPACE = "emotion_space.safetensors"
DOMAIN = "domain.safetensors"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
# A base folder may be moved, and what it holds is told by its fingerprint: these may be edited.
PLACES = ("base", "reader", "painter")
SEAL = "checksum"
LONGEST_NAME = 255  # bytes, of any file system


@dataclass(frozen=True, slots=True)
class Description:
    """A checked description of either format, in the words of this version.

    `calibrations` and `validation` (how many pictures were held out) are by label space; a space
    that is missing has none. What is None or False is not in the folder.
    """

    format: int
    base: str
    reader: str | None
    painter: str | None
    max_pixels: int | None
    reader_fingerprint: str | None
    four_bit: bool
    condition: str
    spaces: tuple[LabelSpace, ...]
    space: LabelSpace
    template: str
    num_context_tokens: int
    recurrent: bool
    text_size: int | None
    calibrations: dict[str, Calibration]
    validation: dict[str, int]
    adapter: bool
    unet_adapter: bool
    mappers: bool
    emotion_space: LabelSpace | None
    domain_threshold: float | None
    stages: tuple[str, ...]
    recipes: tuple[str, ...]
    files: dict[str, str]
    causes: LabelSpace | None = None
    pictures: LabelSpace | None = None
    history: bool = True
    after: str = PROMPT
    adapts_prompt: bool = True


def parse_description(content: bytes, where: Path) -> Description:
    """Return what the bytes of emosym.json say.

    Raises:
        UsageError: naming `where` and the first thing that is wrong with it.
    """
    raw = _parsed(content, where)
    one_reading = json.dumps(raw)  # of keys that are there twice
    try:
        if raw["format"] == OLDEST:
            return _from_older(Older.model_validate_json(one_reading), where)
        whole = Whole.model_validate_json(one_reading)
    except ValidationError as error:
        raise _complaint(error, where) from None
    if whole.checksum != seal_of(raw):
        raise UsageError(
            f"{where} is damaged: its checksum is not that of what it says. Copy it again."
        )
    return _from_whole(whole, where)


def sealed(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with the checksum of what it says."""
    return {**described, SEAL: seal_of(described)}


def seal_of(described: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that a description says, but for where its base lies."""
    kept = {key: value for key, value in described.items() if key not in (*PLACES, SEAL)}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def required_files(
    *,
    adapter: bool,
    unet_adapter: bool,
    mappers: bool,
    emotion_space: bool,
    domain: bool,
    card: bool,
    recipes: Sequence[str],
) -> set[str]:
    """Return the names of exactly the files that a checkpoint of these parts has."""
    single = {
        READER: True,
        MAPPERS: mappers,
        SPACE: emotion_space,
        DOMAIN: domain,
        CARD: card,
    }
    folders = {"adapter": adapter, "unet_adapter": unet_adapter}
    return {
        *(name for name, there in single.items() if there),
        *(
            f"{folder}/{name}"
            for folder, there in folders.items()
            if there
            for name in ADAPTER_FILES
        ),
        *recipes,
    }


def recipe_names(stages: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the names of the recipes of the first `count` stages."""
    return tuple(f"recipe-{i}-{stage}.yaml" for i, stage in enumerate(stages[:count]))


def check_folder(folder: Path, described: Description) -> None:
    """Check that a folder holds the described files, and no other part of a checkpoint.

    Nothing is opened. Raises:
        EmoSymError: for a file that is missing, no file, a link that leads elsewhere, or there
            without being described.
    """
    root = folder.resolve()
    for name in described.files:
        path = folder / name
        if not path.is_file():
            raise EmoSymError(f"{folder} is incomplete: {name} is missing. Copy it again.")
        if not stays_inside(path.resolve(), root):
            raise EmoSymError(
                f"{path} is a link that leads out of the checkpoint. Put the file itself there."
            )
    known = required_files(
        adapter=True,
        unet_adapter=True,
        mappers=True,
        emotion_space=True,
        domain=True,
        card=False,  # a card may be written by hand
        recipes=(),
    )
    for name in sorted(known - set(described.files)):
        if (folder / name).exists():
            raise EmoSymError(
                f"{folder} holds {name}, which its {DESCRIPTION} does not name: one of them is of "
                "another checkpoint. Copy it again."
            )


def stays_inside(resolved: Path, root: Path) -> bool:
    """Return whether a path lies in a folder, or is the blob that the hub's cache links to."""
    if resolved.is_relative_to(root):
        return True
    return root.parent.name == "snapshots" and resolved.parent == root.parent.parent / "blobs"


def read_description(folder: Path) -> Description:
    """Read and check emosym.json of a checkpoint folder.

    Raises:
        UsageError: when it is missing, of another format, or anything in it cannot be.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UsageError(f"{folder} is not an emosym checkpoint: it has no {DESCRIPTION}.")
    if not stays_inside(path.resolve(), folder.resolve()):
        raise UsageError(f"{path} is a link that leads out of its folder. Put the file there.")
    if path.stat().st_size > MAX_JSON_BYTES // 64:
        raise UsageError(f"{path} is too large for a checkpoint's description.")
    return parse_description(path.read_bytes(), path)


def _parsed(content: bytes, where: Path) -> dict[str, Any]:
    """Return a JSON object of a format that this version reads."""
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"checkpoint description {where} is not valid JSON: {error}") from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(found, bool) or found not in (OLDEST, FORMAT) or not isinstance(found, int):
        raise UsageError(
            f"The checkpoint {where.parent} has format {found!r:.40}; this version of emosym reads "
            f"{OLDEST} and {FORMAT}. Install the version that wrote it."
        )
    return dict(raw)


def _complaint(error: ValidationError, where: Path) -> UsageError:
    first = error.errors()[0]
    key = ".".join(str(part)[:40] for part in first["loc"])
    if first["type"] == "missing":
        return UsageError(f"{where} is damaged: it lacks {key!r}.")
    if first["type"] == "extra_forbidden":
        return UsageError(f"{where} is damaged: it has the unknown key {key!r}.")
    if first["loc"][-1:] == ("condition",):
        return unknown_name("condition of a checkpoint", str(first["input"])[:40], CONDITIONS)
    told = first["msg"].removeprefix("Value error, ")[:200]
    got = "" if first["type"] == "value_error" else f" got {first.get('input')!r:.60},"
    return UsageError(f"{where} is damaged: {key or 'it'}:{got} {told}.")


def _checked_template(template: str) -> str:
    if template not in TEMPLATES:
        raise unknown_name("template of a checkpoint", template[:40], TEMPLATES)
    return template


def _check_place(place: str | None, where: Path) -> None:
    try:
        long = place is not None and any(
            len(part.encode()) > LONGEST_NAME for part in Path(place).parts
        )
    except UnicodeEncodeError:
        long = True
    if long:
        raise UsageError(f"{where} is damaged: {str(place)!r:.60} cannot be a folder or hub id.")


def _check_files(files: Mapping[str, str], wanted: set[str], where: Path) -> None:
    odd = sorted(set(files) ^ wanted)
    if odd:
        told = "names" if odd[0] in files else "lacks"
        raise UsageError(
            f"{where} is damaged: its list of files {told} {odd[0]!r:.80}, and a checkpoint of "
            f"these parts has {', '.join(sorted(wanted))}."
        )


def _from_whole(whole: Whole, where: Path) -> Description:
    for place in (whole.base, whole.reader, whole.painter):
        _check_place(place, where)
    spaces = tuple(space_of_row(row.model_dump(mode="json")) for row in whole.spaces)
    named = {space.name: space for space in spaces}
    recipes = recipe_names(whole.stages, whole.recipes)
    wanted = required_files(
        adapter=whole.adapter,
        unet_adapter=whole.unet_adapter,
        mappers=whole.mappers,
        emotion_space=whole.emotion_space is not None,
        domain=whole.domain is not None,
        card=whole.card,
        recipes=recipes,
    )
    _check_files(whole.files, wanted, where)
    return Description(
        format=FORMAT,
        base=whole.base,
        reader=whole.reader,
        painter=whole.painter,
        max_pixels=whole.max_pixels,
        reader_fingerprint=whole.reader_fingerprint,
        four_bit=whole.four_bit,
        condition=whole.condition,
        spaces=spaces,
        space=named[whole.space],
        template=_checked_template(whole.template),
        num_context_tokens=whole.num_context_tokens,
        recurrent=whole.recurrent,
        text_size=whole.text_size,
        calibrations={
            name: checked_calibration(row, len(named[name]), str(where))
            for name, row in whole.calibrations.items()
        },
        validation=dict(whole.validation),
        adapter=whole.adapter,
        unet_adapter=whole.unet_adapter,
        mappers=whole.mappers,
        emotion_space=None if whole.emotion_space is None else named[whole.emotion_space],
        domain_threshold=None if whole.domain is None else whole.domain.threshold,
        stages=whole.stages,
        recipes=recipes,
        files=dict(whole.files),
        causes=None if whole.causes is None else named[whole.causes],
        pictures=None if whole.pictures is None else named[whole.pictures],
        history=whole.history,
        after=whole.after,
        adapts_prompt=whole.adapts_prompt,
    )


def _from_older(older: Older, where: Path) -> Description:
    """Return a description of format 1, which had a head of one published space and a painter."""
    for place in (older.base, older.reader, older.painter):
        _check_place(place, where)
    if older.label_space not in older.label_spaces:
        raise UsageError(
            f"{where} is damaged: {older.label_space!r:.60} is not among its label spaces."
        )
    if len(set(older.label_spaces)) < len(older.label_spaces):
        raise UsageError(f"{where} is damaged: a label space is there twice.")
    spaces = tuple(label_space(name) for name in older.label_spaces)
    space = label_space(older.label_space)
    recipes = tuple(
        name for name in recipe_names(older.stages, len(older.stages)) if name in older.files
    )
    painted = SPACE in older.files
    wanted = required_files(
        adapter=any(name.startswith("adapter/") for name in older.files),
        unet_adapter=any(name.startswith("unet_adapter/") for name in older.files),
        mappers=True,
        emotion_space=painted or any(stage in ("joint", "feedback") for stage in older.stages),
        domain=older.domain_threshold is not None,
        card=CARD in older.files,
        recipes=recipes,
    )
    _check_files(older.files, wanted, where)
    row = older.calibration or calibration_row(Calibration(older.temperature))
    if row.get("temperature") != older.temperature:
        raise UsageError(f"{where} is damaged: it names two temperatures that differ.")
    return Description(
        format=OLDEST,
        base=older.base,
        reader=older.reader,
        painter=older.painter,
        max_pixels=older.max_pixels,
        reader_fingerprint=older.reader_fingerprint,
        four_bit=older.four_bit,
        condition=older.condition,
        spaces=spaces,
        space=space,
        template=_checked_template(older.template),
        num_context_tokens=older.num_context_tokens,
        recurrent=older.recurrent,
        text_size=None,
        calibrations={space.name: checked_calibration(row, len(space), str(where))},
        validation={},
        adapter="adapter/adapter_config.json" in older.files,
        unet_adapter="unet_adapter/adapter_config.json" in older.files,
        mappers=True,
        emotion_space=space if painted else None,
        domain_threshold=older.domain_threshold,
        stages=older.stages,
        recipes=recipes,
        files=dict(older.files),
    )
