from __future__ import annotations

import json
from pathlib import Path

import pytest

from emosym.data.notes import Note
from emosym.data.word_rows import read_word_rows
from emosym.errors import UsageError


def test_tables_and_json_of_every_form(tmp_path: Path) -> None:
    table = tmp_path / "ov.csv"
    table.write_text('name,openset,english\nclip1,"[happy, excited]",Hi!\nclip2,[],"No, no."\n')
    first, second = read_word_rows(table)
    assert (first.name, first.truth, first.text) == ("clip1", "[happy, excited]", "Hi!")
    assert (second.truth, second.answer, second.image) == ("[]", None, None)

    def read(content: object, suffix: str = ".json") -> list[tuple[str, str | None, str | None]]:
        path = tmp_path / f"rows{suffix}"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return [(row.name, row.truth, row.answer) for row in read_word_rows(path)]

    assert read({"a": ["sad", "mad"], "b": {"ov_labels": "sad", "response": "mad"}}) == [
        ("a", "sad, mad", None),
        ("b", "sad", "mad"),
    ]
    assert read([{"id": 3, "Open-Set": "sad", "pred": ["x"]}]) == [("3", "sad", "x")]
    lines = '{"name": "a", "label": "sad"}\n{"name": "b", "label": ["mad"]}\n'
    assert read(lines, ".jsonl") == [("a", "sad", None), ("b", "mad", None)]
    assert read('{"name": "a", "label": "sad"}\n', ".jsonl") == [("a", "sad", None)]
    assert read([{"label": "sad"}]) == [("1", "sad", None)]


def test_odd_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name": "a", "label": "sad"}\nnot json\n[1]\n{"name": "a", "label": "mad"}\n')
    notes: list[Note] = []
    assert [row.truth for row in read_word_rows(path, notes)] == ["sad"]
    assert [note.where for note in notes] == [f"rows.jsonl, row {n}" for n in (2, 3, 4)]
    assert "'a' stands there twice" in notes[2].sentence
    with pytest.raises(UsageError, match="row 2 is no row"):
        read_word_rows(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "", "not valid JSON"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "7", "must hold rows"),
        ("a.json", "[]", "no row of emotion words"),
        ("a.csv", "name,openset\n", "no row below its header"),
        ("a.json", "[" * 100_000, "not valid JSON"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=told):
        read_word_rows(tmp_path / name)
