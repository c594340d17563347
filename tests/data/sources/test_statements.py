from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.data.notes import Note
from emosym.data.sources.detect import detect_source
from emosym.data.sources.emoset import load_emoset
from emosym.data.sources.statements import load_statements
from emosym.data.storybook.statements import statement_record
from emosym.data.storybook.writer import write_storybook
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION, OPEN, STATEMENT, Sample


def test_records_are_read_and_odd_ones_counted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "sea.png")
    good = {"statement": "A  wave.", "label": "Correct", "class": "Scene context", "subclass": "x"}
    records: list[object] = [
        {"image_id": "sea", "ov_emotion": ["Awe"], "statement_list": [
            good,
            {**good, "label": "maybe"},
            {**good, "class": "weather"},
            {**good, "statement": " "},
            "not a statement",
            {**good, "label": "incorrect", "class": "sentiment_polarity"},
        ]},
        {"image_id": "gone", "statement_list": [good]},
        {"statement_list": [good]},
        {"image_id": "sea"},
        7,
    ]  # fmt: skip
    (tmp_path / "mvei.json").write_text(json.dumps(records))
    assert detect_source(tmp_path) == "statements"
    notes: list[Note] = []
    found = load_statements(tmp_path, notes=notes)
    assert found.ids() == ("sea-1", "sea-6")
    assert found[0].targets == {STATEMENT: ("correct", "scene_context"), OPEN: ("awe",)}
    assert found[0].turns[0].text == "A wave."
    assert found[0].images == (tmp_path / "images" / "sea.png",)
    told = " ".join(note.sentence for note in notes)
    assert len(notes) == 8
    for reason in ("'maybe'", "'weather'", "has no words", "no picture 'gone'", "no picture ''"):
        assert reason in told
    lines = "\n".join(json.dumps(record) for record in records)
    (tmp_path / "mvei.json").unlink()
    (tmp_path / "mvei.jsonl").write_text(f"{lines}\nnot json\n")
    assert load_statements(tmp_path).ids() == found.ids()


def test_statements_of_a_storybook_are_true_or_wrong_by_one_thing(tmp_path: Path) -> None:
    write_storybook(tmp_path, {"train": 1, "val": 1, "test": 6}, size=32, seed=3)
    done = CliRunner().invoke(app, ["data", "statements", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0 and "48 statements on 6 pictures" in done.output.replace("\n", " ")
    assert detect_source(tmp_path) in ("storybook", "emoset")
    pictures = {sample.id: sample for sample in load_emoset(tmp_path, "test")}
    found = load_statements(tmp_path, "test")
    assert len(found) == 48
    marks = [sample.targets[STATEMENT] for sample in found]
    assert sum(mark == "correct" for mark, _ in marks) == 24  # type: ignore[misc]
    for sample in found:
        picture = pictures[str(sample.attributes["image_id"])]
        text, (mark, kind) = str(sample.turns[0].text), sample.targets[STATEMENT]  # type: ignore[misc]
        label = str(picture.label_of(IMAGE_EMOTION))
        if kind == "emotion_interpretation":
            assert (label in text) == (mark == "correct")
        if sample.attributes["subclass"] == "object":
            there = any(f" {item} in" in text for item in picture.attributes["object"])
            assert there == (mark == "correct")
    first = pictures[sorted(pictures)[0]]
    assert statement_record(first) == statement_record(first) != statement_record(first, seed=1)
    with pytest.raises(UsageError, match="no emotion"):
        statement_record(Sample("x"))
