"""GoEmotions' three columns: one label or several, in 28 words or Ekman's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from emosym.data.notes import Note
from emosym.data.sources.goemotions import load_goemotions
from emosym.errors import UsageError

ROWS = (
    'My "favourite, food\t27\teebbqej',
    "Don\u2019t hide!\t4,27\tee84bjg",
    "Sweet\t17,0\tx1",
    "Odd\t3,2\tx2",
)


def write(root: Path, *rows: str, name: str = "train.tsv") -> Path:
    (root / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return root


def test_one_label_and_several(tmp_path: Path) -> None:
    found = load_goemotions(write(tmp_path, *ROWS))
    assert found.ids() == ("eebbqej", "ee84bjg", "x1", "x2")
    assert [sample.targets["text_emotion"] for sample in found] == [
        *("neutral", ("approval", "neutral")),
        *(("joy", "admiration"), ("annoyance", "anger")),
    ]
    assert found.labels().tolist() == [27, 4, 17, 3]
    assert (
        found[0].turns[0].text == 'My "favourite, food' and found[1].turns[0].text == "Don't hide!"
    )
    assert [sample.turns[0].emotion for sample in found] == ["neutral", None, None, None]


def test_ekmans(tmp_path: Path) -> None:
    found = load_goemotions(write(tmp_path, *ROWS), space="ekman7")
    truths = [sample.targets["text_emotion"] for sample in found]
    assert truths == ["neutral", ("joy", "neutral"), "joy", "anger"]


def test_numbers_count_in_the_list_beside(tmp_path: Path) -> None:
    write(tmp_path, "anger", "joy", name="labels.txt")
    found = load_goemotions(write(tmp_path, "Yes\t1\ta", "No\t0,1\tb"))
    assert found[0].label_of("text_emotion") == "joy"
    assert found[1].targets["text_emotion"] == ("anger", "joy")


def test_bad_rows_are_left_out(tmp_path: Path) -> None:
    notes: list[Note] = []
    rows = ("fine\t1\ta", "no labels", "\t3\tb", "outside\t28\tc", "text\tjoy\td", "again\t2\ta")
    found = load_goemotions(write(tmp_path, *rows), notes=notes)
    assert found.ids() == ("a",) and Counter(note.kind for note in notes) == {"bad_row": 5}


def test_a_space_without_such_labels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Unknown emotion .*'neutral'"):
        load_goemotions(write(tmp_path, *ROWS), space="mikels8")
