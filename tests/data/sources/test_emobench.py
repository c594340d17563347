"""EmoBench: a story, a question, choices, and which of them is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emosym.data.notes import Note
from emosym.data.sources.emobench import load_emobench
from emosym.errors import UsageError

ACTION = {
    **{"qid": "1", "language": "en", "category": "Personal-Others", "question type": "Action"},
    **{"scenario": "Sam&#39;s brother is bullied.", "subject": "Sam", "label": "Ask  him"},
    "choices": ["Ask him", "Shout"],
}
FEELING = {
    **{"qid": "1", "language": "en", "coarse_category": "cues", "scenario": "It is ruined."},
    **{"subject": "Dora", "emotion_choices": ["Delight", "Anger"], "emotion_label": "Delight"},
    **{"cause_choices": ["It is good", "It is bad", "None"], "cause_label": "It is bad"},
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path.parent


def test_questions_of_both_files(tmp_path: Path) -> None:
    write(tmp_path / "EA.jsonl", ACTION)
    write(tmp_path / "EU.jsonl", FEELING)
    found = load_emobench(tmp_path)
    assert found.ids() == ("EA-1", "EU-1-emotion", "EU-1-cause")
    action, emotion, cause = found
    assert action.turns[0].text == "Sam's brother is bullied.\nWhat should Sam do?"
    assert action.attributes["choices"] == ("Ask him", "Shout")
    assert [sample.targets["choice"] for sample in found] == ["Ask him", "Delight", "It is bad"]
    assert cause.attributes["choices"] == ("It is good", "It is bad", "None")
    assert cause.attributes["question"] == "cause" and emotion.attributes["subject"] == "Dora"
    assert found.labels().tolist() == [-1, -1, -1]
    assert load_emobench(tmp_path, "ea").ids() == ("EA-1",)
    with pytest.raises(UsageError, match="Valid: ea, eu"):
        load_emobench(tmp_path, "train")


def test_bad_rows_are_left_out(tmp_path: Path) -> None:
    wrong = {**ACTION, "qid": "2", "label": "Run"}
    write(tmp_path / "EA.jsonl", ACTION, wrong, {"choices": []}, [1])
    with (tmp_path / "EA.jsonl").open("a") as stream:
        stream.write("{not json\n")
    notes: list[Note] = []
    assert load_emobench(tmp_path, notes=notes).ids() == ("EA-1",)
    assert [note.kind for note in notes] == ["bad_row"] * 4
    assert "label 'Run' is none of its 2 choices" in notes[0].sentence
