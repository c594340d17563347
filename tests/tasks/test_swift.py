"""ms-swift's rows: there and back in each form, hostile ones refused, files of answers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.data.notes import Note
from emosym.errors import UsageError
from emosym.tasks.swift import converted, read_answers, read_row, read_rows, row_of, write_rows
from emosym.types import Message

ROOT = Path("/data")
FACE, SEA = ROOT / "face.png", ROOT / "sea/1.png"
TALK = (
    Message("system", ("You are an expert.",)),
    Message("user", (FACE, "Ann: Hi.\n", SEA, "What does she feel?")),
    Message("assistant", ("Joy.",), learned=True),
)


def name_of(frame: Any) -> str:
    return Path(frame).relative_to(ROOT).as_posix()


def test_each_form_by_hand() -> None:
    now = row_of(TALK, name_of)
    user = {"role": "user", "content": "<image>Ann: Hi.\n<image>What does she feel?"}
    assert now == {
        "messages": [
            {"role": "system", "content": "You are an expert."},
            user,
            {"role": "assistant", "content": "Joy."},
        ],
        "images": ["face.png", "sea/1.png"],
    }
    grpo = row_of(TALK, name_of, "grpo")
    assert grpo["messages"][-1] == user and grpo["solution"] == "Joy."
    assert row_of(TALK, name_of, "grpo", "label")["label"] == "Joy."
    assert row_of(TALK, name_of, "old") == {
        "system": "You are an expert.",
        "query": "Ann: Hi.\nWhat does she feel?",
        "response": "Joy.",
        "images": ["face.png", "sea/1.png"],
    }
    with pytest.raises(UsageError, match="needs an answer"):
        row_of(TALK[:2], name_of, "grpo")
    with pytest.raises(UsageError, match="Did you mean 'messages'"):
        row_of(TALK, name_of, "mesages")


def test_rows_are_read_back() -> None:
    assert read_row(row_of(TALK, name_of), ROOT).conversation == TALK
    grpo = read_row({**row_of(TALK, name_of, "grpo"), "channel": "tv"}, ROOT)
    assert grpo.conversation == TALK[:2] and grpo.truth == "Joy."
    assert grpo.columns == {"channel": "tv"}
    old = read_row({**row_of(TALK, name_of, "old"), "history": [["Hm?", "Yes."]]}, ROOT)
    assert old.conversation == (
        TALK[0],
        Message("user", (FACE, SEA, "Hm?")),
        Message("assistant", ("Yes.",)),
        Message("user", ("Ann: Hi.\nWhat does she feel?",)),
        TALK[2],
    )


def test_rows_are_converted_both_ways() -> None:
    now = row_of(TALK, name_of)
    grpo = converted([read_row(now, ROOT)], "grpo", ROOT)
    assert grpo == [row_of(TALK, name_of, "grpo")]
    assert converted([read_row(grpo[0], ROOT)], "messages", ROOT) == [now]
    old = converted([read_row(now, ROOT)], "old", ROOT)
    back = converted([read_row(old[0], ROOT)], "messages", ROOT)[0]
    assert back["messages"][1]["content"] == "<image><image>Ann: Hi.\nWhat does she feel?"
    assert back["images"] == now["images"]


def test_videos_are_frames_or_are_told() -> None:
    row = {
        "messages": [{"role": "user", "content": "A <video> b <image><video>"}],
        "images": [{"path": "face.png", "bytes": None}],
        "videos": ["x.mp4", ["1.png", "2.png"]],
    }
    found = read_row(row, ROOT)
    assert found.conversation[0].parts == (
        *("A ", " b ", FACE),
        *(ROOT / "1.png", ROOT / "2.png"),
    )
    assert found.videos == (ROOT / "x.mp4",)
    with pytest.raises(UsageError, match="take frames"):
        converted([found], "messages", ROOT)


WORDS = st.text(min_size=1) | st.sampled_from(["<image>", "a<video>b"])


@settings(deadline=None, max_examples=40)
@given(st.lists(WORDS | st.just(FACE), min_size=1, max_size=5), st.text(min_size=1))
def test_as_many_tags_as_pictures_whatever_is_said(parts: list[Any], answer: str) -> None:
    row = row_of((Message("user", tuple(parts)), Message("assistant", (answer,))), name_of)
    content = "".join(message["content"] for message in row["messages"])
    assert content.count("<image>") == len(row.get("images", [])) and "<video>" not in content
    read = read_row(row, ROOT).conversation
    assert [part for part in read[0].parts if isinstance(part, Path)] == [
        part for part in parts if isinstance(part, Path)
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([], "no JSON object"),
        ({}, "neither 'messages' nor a 'query'"),
        ({"query": 3}, "neither"),
        ({"messages": "hi"}, "must be a list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "must have a role"),
        ({"messages": [{"role": "user", "content": None}]}, "must have a role"),
        ({"query": "x", "history": ["a"]}, "pairs of a question"),
        ({"query": "<image>x"}, "1 <image> and 0 <video> tags, but 0 images"),
        ({"query": "x", "images": ["/etc/passwd"]}, "leaves its folder"),
        ({"query": "x", "images": ["../x.png"]}, "leaves its folder"),
        ({"query": "x", "videos": [3]}, "a path or a list of frames"),
        ({"query": "x", "images": [3]}, "must be paths"),
        ({"query": "x", "images": ["a.png"] * 2000}, "2000 media"),
    ],
)
def test_hostile_rows(row: object, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_row(row, ROOT)


def test_files_of_answers_in_both_forms(tmp_path: Path) -> None:
    new = {"response": "Joy.", "labels": "Fear.", "logprobs": None, "messages": []}
    old = {"system": "s", "query": "q", "response": "5_joy,2;", "label": "", "history": []}
    path = tmp_path / "infer.jsonl"
    bad = [{"response": "Joy."}, {"labels": "Joy."}, 3]
    lines = [json.dumps(row) for row in (new, {**old, "id": "d1"}, *bad)]
    path.write_text("\n".join([*lines, "{cut off", ""]))
    notes: list[Note] = []
    assert read_answers(path, notes) == [("1", "Joy.", "Fear."), ("d1", "5_joy,2;", "")]
    assert [note.where for note in notes] == [f"infer.jsonl, row {i}" for i in (3, 4, 5, 6)]
    assert "not valid JSON" in notes[-1].sentence
    with pytest.raises(UsageError, match="row 3: it has no"):
        read_answers(path)
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([new]))
    assert read_answers(listed) == [("1", "Joy.", "Fear.")]
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(UsageError, match="no row with an answer"):
        read_answers(empty)


def test_rows_are_written_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_rows(path, [{"query": "a\nb \ud800"}, {"query": "\u201c"}]) == 2
    assert read_rows(path)[1] == {"query": "\u201c"}


def test_images_that_are_none_are_told_with_their_row() -> None:
    row = {"messages": [{"role": "user", "content": "Hm?"}], "images": [3]}
    with pytest.raises(UsageError, match="row 7: 'images' must be paths"):
        read_row(row, ROOT, "row 7")
