"""Where a base is, and that it is what it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emosym.config.load import recipe_names
from emosym.errors import EmoSymError, UsageError
from emosym.models import presets
from emosym.models.presets import PRESETS, resolve_base, verify_base, write_base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("reader", "painter"):
        (tmp_path / "base" / part).mkdir(parents=True)
        (tmp_path / "base" / part / "config.json").write_text("{}")
    write_base(tmp_path / "base", 64, {"seed": 5})
    return tmp_path / "base"


def test_a_local_folder(folder: Path) -> None:
    base = resolve_base(str(folder))
    assert (base.reader, base.painter) == (str(folder / "reader"), str(folder / "painter"))
    assert base.image_size == 64 and base.judges is None
    (folder / "judges").mkdir()
    assert resolve_base(str(folder)).judges == folder / "judges"
    described = json.loads((folder / "base.json").read_text())
    assert described["seed"] == 5 and len(described["files"]) == 2


def test_hub_presets_name_their_weights_or_others() -> None:
    base = resolve_base("emosym-2b")
    assert base.reader == PRESETS["emosym-2b"].reader and base.image_size is None
    assert base.dtype == "bfloat16" and base.max_pixels == 256 * 28 * 28
    other = resolve_base("emosym-2b", reader="me/reader", painter="/my/painter")
    assert (other.reader, other.painter) == ("me/reader", "/my/painter")


def test_a_folder_of_official_folders_needs_no_base_file(tmp_path: Path) -> None:
    for part in ("reader", "painter"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    base = resolve_base(str(tmp_path / "mine"))
    assert base.reader == str(tmp_path / "mine" / "reader") and base.dtype == "bfloat16"
    assert base.image_size is None and base.judges is None


def test_a_readers_fingerprint_is_of_its_own_files(folder: Path) -> None:
    before = resolve_base(str(folder)).reader_fingerprint()
    (folder / "judges").mkdir()
    (folder / "judges" / "a.json").write_text("{}")
    write_base(folder, 64, {"seed": 6})
    assert resolve_base(str(folder)).reader_fingerprint() == before
    (folder / "reader" / "config.json").write_text("{  }")
    write_base(folder, 64, {"seed": 6})
    assert resolve_base(str(folder)).reader_fingerprint() != before


def test_a_changed_a_missing_and_an_unknown_file(folder: Path) -> None:
    (folder / "reader" / "config.json").write_text("{ }")
    with pytest.raises(EmoSymError, match=r"reader/config\.json has the wrong checksum"):
        resolve_base(str(folder))
    (folder / "reader" / "config.json").unlink()
    with pytest.raises(EmoSymError, match=r"reader/config\.json is missing"):
        resolve_base(str(folder))


def test_a_folder_that_is_no_base_and_a_format_to_come(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"not a base: it has no base\.json"):
        resolve_base(str(folder / "reader"))
    described = json.loads((folder / "base.json").read_text())
    (folder / "base.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(UsageError, match="has format 99; this version reads 1"):
        verify_base(folder)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"files": None}, "lists no checksums"),
        ({"files": {"reader/config.json": 5}}, "lists no checksums"),
        ({"files": {"../out": "0"}}, "leaves its folder"),
        ({"image_size": "64"}, "has the image_size '64'"),
        ({"image_size": True}, "has the image_size True"),
        ({"image_size": 10**9}, "has the image_size 1000000000"),
    ],
)
def test_a_hostile_description_is_one_sentence(folder: Path, edit, sentence: str) -> None:
    described = json.loads((folder / "base.json").read_text())
    (folder / "base.json").write_text(json.dumps({**described, **edit}))
    with pytest.raises(UsageError, match=sentence):
        resolve_base(str(folder))
    (folder / "base.json").write_text("[1]")
    with pytest.raises(UsageError, match="holds no JSON object"):
        resolve_base(str(folder))


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'storybook-base'"):
        resolve_base("storybok-base")


SHIPPED = [name for name, preset in presets.PRESETS.items() if preset.shipped]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_that_are_absent(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path / "weights")
    with pytest.raises(EmoSymError, match=f"`emosym train {name}`"):
        resolve_base(name)
    shutil.copytree(folder, tmp_path / "weights" / name)
    base = resolve_base(name)
    assert base.name == name and base.image_size == 64


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_whole_and_can_do_what_its_row_says(name: str) -> None:
    base, preset = resolve_base(name), presets.PRESETS[name]
    assert name in recipe_names()  # which makes it again
    assert base.reader_folder().is_dir()
    assert bool(base.painter) == bool(preset.painter) == (base.judges is not None)
