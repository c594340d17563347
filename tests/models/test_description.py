"""emosym.json: what cannot be is refused in one sentence, before anything else is opened."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoints import as_format_1, described_in, edited

from emosym.errors import EmoSymError
from emosym.files import sha256_of
from emosym.models.checkpoint import load_checkpoint
from emosym.models.description import (
    DESCRIPTION,
    PLACES,
    check_folder,
    parse_description,
    read_description,
    sealed,
)
from emosym.models.presets import WEIGHTS

Keys = tuple[Any, ...]
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 3, 10**30, float("nan"), float("inf"), -0.5),
    *("", "x", "x" * 5000, "../../../../etc/passwd", "/etc/passwd", "..\\x", "a\0b", "\ud800"),
    *([], {}, [None] * 3, {"x": {"y": []}}, [[[[[]]]]]),
)
# A value of the list that the field may have: nobody but a checksum could tell that it was another.
ALLOWED: dict[str, tuple[Any, ...]] = {
    "emosym": ("x", "../../../../etc/passwd", "/etc/passwd", "..\\x", "a\0b"),
    "git": ("", "x", "x" * 5000, "../../../../etc/passwd", "/etc/passwd", "..\\x", "a\0b", None),
    "reader_fingerprint": ("x", "../../../../etc/passwd", "/etc/passwd", "..\\x", "a\0b", None),
    "max_pixels": (None, 3, 10**30),
    "four_bit": (True, False),
    "recurrent": (True, False),
    "num_context_tokens": (0, 3),
    "temperature": (3,),
    "threshold": (0,),
    "domain_threshold": (0,),
    "calibration": (None, {}),
    "validation": ({},),
    "calibrations": ({},),
    "versions": ({},),
    "causes": ("gone",),  # as much as None: no pointer
    "history": ("gone", False),  # older ones have none
    "after": ("gone",),
    "adapts_prompt": ("gone", False),
    "pictures": ("gone",),  # as much as None: answered as anything else
    "text_size": (3,),
    "neutral": (None,),
    "recipes": (),
    "n": (0, 3, 10**30),
}
opened: list[str] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes):
        opened.append(str(arguments[0]))


@pytest.fixture(scope="module", autouse=True)
def listening() -> None:
    sys.addaudithook(_hear)  # for good: Python has no way to take one off


@pytest.fixture(scope="module")
def folders(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of format 2, and the same of format 1."""
    root = tmp_path_factory.mktemp("fuzz")
    two = Path(shutil.copytree(tiny_checkpoint, root / "two"))
    return two, as_format_1(Path(shutil.copytree(tiny_checkpoint, root / "one")))


def leaves(value: Any, at: Keys = ()) -> Iterator[Keys]:
    """Every place in a JSON value, objects and lists themselves included."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value[:2]) if isinstance(value, list) else items
    for key, inner in items:
        yield from leaves(inner, (*at, key))


def with_value(described: dict[str, Any], at: Keys, value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(described))
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


def edits(described: dict[str, Any]) -> Iterator[tuple[Keys, Any, dict[str, Any]]]:
    """Each place with each hostile value; each key gone; a key too many everywhere."""
    for at in leaves(described):
        for value in HOSTILE:
            yield at, value, with_value(described, at, value)
        if isinstance(at[-1], str):
            gone = with_value(described, at, None)
            inner = gone
            for key in at[:-1]:
                inner = inner[key]
            del inner[at[-1]]
            yield at, "gone", gone
    for name in ("x", "../x", "/etc/passwd", "a\\b", "files "):
        yield (name,), "more", {**described, name: 1}
        yield ("files", name), "more", with_value(described, ("files", name), "0" * 64)


def asked(folder: Path, described: dict[str, Any]) -> str | None:
    """What is said of a description in a folder; None where it is accepted."""
    opened.clear()
    try:
        check_folder(folder, parse_description(json.dumps(described).encode(), folder / "x"))
    except EmoSymError as error:
        told = str(error)
        assert told and "\n" not in told and len(told) < 1000, told[:300]
        return told
    finally:
        assert opened == []
    return None


def test_no_edit_of_format_2_is_accepted_with_another_meaning(folders: tuple[Path, Path]) -> None:
    folder, _ = folders
    described = described_in(folder)
    count = 0
    for at, value, changed in edits(described):
        count += 1
        same = json.dumps(changed, sort_keys=True) == json.dumps(described, sort_keys=True)
        if at[0] in PLACES or same:
            asked(folder, changed)  # the base is known by its fingerprint
            continue
        assert asked(folder, changed) is not None, (at, value)
    assert count >= 1000


@pytest.mark.parametrize("number", [0, 1], ids=["format 2, sealed again", "format 1"])
def test_a_value_that_cannot_be_is_refused_even_under_a_new_checksum(
    folders: tuple[Path, Path], number: int
) -> None:
    folder = folders[number]
    described = described_in(folder)
    accepted = []
    for at, value, changed in edits(described):
        seal = sealed(changed) if number == 0 and at != ("checksum",) else changed
        if asked(folder, seal) is not None or at[0] in PLACES:
            continue
        name = str(at[-1])
        known = [x for x in ALLOWED.get(name, ()) if x == value and type(x) is type(value)]
        same = json.dumps(changed, sort_keys=True) == json.dumps(described, sort_keys=True)
        loose = at[0] == "versions" or (at[0] in ("spaces", "calibrations", "calibration"))
        optional = number == 1 and value in ("gone", None)
        if not (known or same or loose or optional):
            accepted.append((at, value))
    assert accepted == []


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("spaces", 0, "labels", 0), "awe"),
        (("spaces", 0, "labels", 0), "happiness"),
        (("spaces", 0, "norms", 0), [0.5, 5, 5]),
        (("spaces", 0, "polarity", 0), "good"),
        (("spaces", 0, "name"), "a.b"),
        (("spaces", 0, "neutral"), "calm"),
        (("calibrations", "mikels8", "temperature"), float("nan")),
        (("calibrations", "mikels8", "abstain_below"), 1.5),
        (("calibrations", "mikels8", "n"), True),
        (("calibrations", "mikels8", "scale"), [1.0] * 7),
        (("calibrations", "meld7"), {}),
        (("domain", "threshold"), float("inf")),
        (("emotion_space",), "meld7"),
        (("template",), "emosim"),
        (("adapter",), False),
        (("mappers",), False),
        (("emotion_space",), None),
        (("domain",), None),
        (("recipes",), 1),
        (("files",), {}),
    ],
)
def test_what_would_change_an_answer_is_refused(
    folders: tuple[Path, Path], at: Keys, value: Any
) -> None:
    folder, _ = folders
    assert asked(folder, sealed(with_value(described_in(folder), at, value))) is not None


def test_a_part_that_is_there_cannot_be_left_out_of_format_1(folders: tuple[Path, Path]) -> None:
    _, folder = folders
    described = described_in(folder)
    kept = {k: v for k, v in described["files"].items() if not k.startswith("adapter/")}
    told = asked(folder, {**described, "files": kept})
    assert told is not None and "holds adapter/adapter_config.json, which its emosym.json" in told
    assert "lacks" in str(asked(folder, {**described, "files": {}}))


def test_format_1_opens_as_format_2_does(folders: tuple[Path, Path]) -> None:
    two, one = (read_description(folder) for folder in folders)
    assert (two.format, one.format, one.text_size, one.validation) == (2, 1, None, {})
    for name in ("spaces", "space", "calibrations", "emotion_space", "domain_threshold", "recipes"):
        assert getattr(one, name) == getattr(two, name), name
    assert one.adapter is two.adapter is True


def test_the_shipped_checkpoint_is_described_as_its_format_says() -> None:
    described = read_description(WEIGHTS / "storybook")
    check_folder(WEIGHTS / "storybook", described)
    assert described.space.name == "mikels8" and described.adapter and described.mappers


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def refused(folder: Path, beside: Path | None = None) -> str:
    """What opening says; nothing may be opened but the folder's own files (and its base's)."""
    opened.clear()
    with pytest.raises(EmoSymError) as caught:
        load_checkpoint(folder)
    for path in opened:
        if path.endswith(".py"):  # torch notes the line of code where a seed is set
            continue
        inside = Path(path).resolve().is_relative_to(folder.resolve())
        assert inside or (beside is not None and Path(path).is_relative_to(beside)), path
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_links_that_leave_the_folder_are_refused_and_not_followed(
    copy: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "secret.safetensors"
    shutil.move(copy / "reader.safetensors", outside)
    (copy / "reader.safetensors").symlink_to(outside)
    assert "leads out of the checkpoint" in refused(copy)
    (copy / "reader.safetensors").unlink()
    shutil.move(outside, copy / "whole.safetensors")
    (copy / "reader.safetensors").symlink_to("whole.safetensors")
    load_checkpoint(copy)  # a link inside is a file like any other
    shutil.move(copy / DESCRIPTION, tmp_path / "described.json")
    (copy / DESCRIPTION).symlink_to(tmp_path / "described.json")
    assert "leads out of its folder" in refused(copy)


def test_the_hubs_cache_of_names_linked_to_blobs_is_read(copy: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--me--mine" / "snapshots" / "abc"
    blobs = tmp_path / "models--me--mine" / "blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in copy.rglob("*") if p.is_file())):
        shutil.copy(path, blobs / str(number))
        link = snapshot / path.relative_to(copy)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blobs / str(number))
    assert load_checkpoint(snapshot).space.name == "mikels8"


def test_torn_and_foreign_files_are_refused_even_where_the_checksum_is_theirs(
    copy: Path, tiny_base: Path
) -> None:
    rng = np.random.default_rng(0)
    names = ("reader", "mappers", "emotion_space", "domain")
    for name in [f"{name}.safetensors" for name in names]:
        whole = (copy / name).read_bytes()
        torn = [whole[: int(rng.integers(0, len(whole)))] for _ in range(4)]
        torn += [b"", b"\xff" * 64, whole[:8] + b"{" * 40, rng.bytes(200), whole + b"more"]
        other = copy / ("domain.safetensors" if name[0] != "d" else "mappers.safetensors")
        for content in (*torn, other.read_bytes()):
            (copy / name).write_bytes(content)
            assert "checksum" in refused(copy)
            files = described_in(copy)["files"] | {name: sha256_of(copy / name)}
            edited(copy, files=files)
            assert f"{copy / name} " in refused(copy, tiny_base)
            (copy / name).write_bytes(whole)
            edited(copy, files=files | {name: sha256_of(copy / name)})
    load_checkpoint(copy)


def test_a_folder_or_nothing_in_place_of_a_file(copy: Path) -> None:
    (copy / "README.md").unlink()
    (copy / "README.md").mkdir()
    assert "README.md is missing" in refused(copy)
    (copy / "README.md").rmdir()
    assert "README.md is missing" in refused(copy)


@pytest.mark.parametrize("key", PLACES)
def test_a_base_that_is_none_is_refused(copy: Path, key: str, tiny_base: Path) -> None:
    for place in ("/etc/passwd", "../../../../etc", "x" * 5000, "a\0b", "no-such-preset", "a/../b"):
        edited(copy, **{key: place})
        if key != "painter":  # which is opened when something is painted
            refused(copy, tiny_base)
