"""`--zero-shot` of understand, generate and evaluate on tiny stock models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet

from emosym.emotions import MIKELS8
from emosym.evaluation.results.predictions import read_predictions
from emosym.evaluation.results.result import read_result


@pytest.fixture
def command(command, monkeypatch, tiny_models):
    """Run the command with the tiny models at hand."""
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    return command


@pytest.fixture
def folder(tiny_pictures, tmp_path) -> Path:
    """Two good pictures and a bad one."""
    (tmp_path / "in").mkdir()
    for name, picture in zip("ac", tiny_pictures.pictures, strict=False):
        Image.fromarray(picture).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").touch()
    return tmp_path / "in"


def test_understand_writes_the_rows_of_a_trained_model(command, folder, tmp_path) -> None:
    code, said, _ = command(
        *("understand", folder, "--zero-shot", "--preset", "qwen2.5-vl-3b", "--explain"),
        *("--labels", "joy, calm,deep dread", "--max-pixels", 4000),
        *("--json", tmp_path / "r.json", "--parquet", tmp_path / "r.parquet"),
    )
    assert code == 0
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert list(rows[0]["probabilities"]) == ["joy", "calm", "deep dread"]
    assert rows[0]["in_domain"] is None and rows[0]["outside"] is None
    table = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert table[2]["p_deep dread"] == rows[2]["probabilities"]["deep dread"]
    assert "Zero-shot by qwen2.5-vl-3b" in said and "not calibrated" in said


def test_generate_writes_pictures_and_what_they_were_painted_from(command, tmp_path) -> None:
    ask = ("-n", 2, "--steps", 1, "--zero-shot", "--seed", 3)
    out = tmp_path / "out"
    assert command("generate", "awe", *ask, "--preset", "emosym-2b", "--out", out)[0] == 0
    names = sorted(path.name for path in out.glob("awe-seed3-*-000?.png"))
    assert len(names) == 2
    assert sorted(p.name for p in out.iterdir()) == [*names, "readings.jsonl", "sheet.png"]
    rows = [json.loads(line) for line in (out / "readings.jsonl").read_text().splitlines()]
    assert [row["request"]["painter_prompt"] for row in rows] == ["a picture that evokes awe"] * 2
    assert all(row["reading"]["emotion"] in MIKELS8.labels for row in rows)
    assert [row["withheld"] for row in rows] == [False, False]


def test_without_a_reader_paintings_are_not_read_and_it_is_said(
    command, tiny_models, tmp_path
) -> None:
    painter = tiny_models / "stable-diffusion-xl-base-1.0"
    code, said, _ = command(
        *("generate", "joy", "-n", 1, "--steps", 1, "--zero-shot", "--preset", painter),
        *("--labels", "joy,gloom", "--out", tmp_path / "out"),
    )
    assert code == 0
    assert "not read" in said
    row = json.loads((tmp_path / "out" / "readings.jsonl").read_text())
    assert row["reading"] is None and row["request"]["emotion"] == "joy"


def test_evaluate_measures_the_baseline_and_says_that_it_is_one(command, tmp_path) -> None:
    data = tmp_path / "data"
    assert command("data", "storybook", data, "--count", 16, "--size", 64)[0] == 0
    ask = ("evaluate", "--data", data, "--split", "train", "--limit", 5)
    out, rows = tmp_path / "r.json", tmp_path / "p.parquet"
    code, said, _ = command(
        *ask, "--zero-shot", "--preset", "internvl3-1b", "--out", out, "--predictions", rows
    )
    assert code == 0 and "accuracy" in said
    result = read_result(out)
    assert result["n"] == 5 and 0 <= result["values"]["accuracy"] <= 1
    asked = result["subject"]["zero_shot"]
    assert asked["preset"] == "internvl3-1b"
    assert "amusement, awe" in asked["question"]
    assert len(result["subject"]["model"]) == 64
    predictions = read_predictions(rows)
    assert predictions.emotions == MIKELS8.labels and len(predictions.ids) == 5
    assert predictions.about["subject"] == result["subject"]
    code, _, err = command(*ask, "--out", out)
    assert code == 2 and "--zero-shot with --preset" in err
    code, _, err = command(*ask, "--out", out, "--zero-shot", "--control")
    assert code == 2 and "--control" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--zero-shot", "--model", "storybook"), "a stock model is named by --preset"),
        (("--labels", "joy,calm"), "--labels goes with --zero-shot"),
        (("--max-pixels", "9999"), "--max-pixels goes with --zero-shot"),
        (("--zero-shot", "--labels", "joy,joy"), "'joy' is there twice"),
        (("--zero-shot", "--labels", "joy,,calm"), "Label 2"),
        (("--zero-shot", "--preset", "emosym-7b"), "hf download Qwen/Qwen2-VL-7B-Instruct"),
        (("--zero-shot", "--preset", "emosym-7c"), "Did you mean 'emosym-7b'"),
    ],
)
def test_wrong_requests_end_in_a_sentence(command, folder, arguments, told, tmp_path) -> None:
    out = tmp_path / "r.csv"
    code, _, err = command("understand", folder / "a.png", *arguments, "--csv", out)
    assert code == 2
    assert told in err and "Traceback" not in err
    assert not out.exists()
