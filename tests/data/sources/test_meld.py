"""MELD's tables as people have them: encodings, gaps, times, odd rows and clips."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from tests.data.dialogue_makers import MELD_ROWS, meld, turn

from emosym.data.notes import Note
from emosym.data.sources.meld import load_meld
from emosym.errors import UsageError


def kinds(notes: list[Note]) -> dict[str, int]:
    return dict(Counter(note.kind for note in notes))


def test_a_sample_is_a_turn_in_its_dialogue(tmp_path: Path) -> None:
    train = load_meld(meld(tmp_path))
    assert train.ids() == ("dia0_utt0", "dia0_utt1", "dia1_utt0") and train.split == "train"
    assert train.labels().tolist() == [5, 6, 4]
    second = train[1]
    assert [said.text for said in second.turns] == ["Oh my God, he's lost it.", "What?"]
    assert (second.focus, second.turns[1].speaker, second.turns[1].clip) == (1, "Monica", None)
    assert [said.emotion for said in second.turns] == ["sadness", "surprise"]
    assert second.targets == {"mer": "surprise", "msa": "negative"}
    assert second.attributes["episode_start"] == pytest.approx(20 * 60 + 61.927)
    assert (second.attributes["season"], second.attributes["episode"]) == ("4", "7")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8-sig", ","), ("utf-16", ","), ("cp1252", ","), ("cp1252", ";"), ("utf-8", "\t")],
)
def test_tables_that_a_spreadsheet_saved(tmp_path: Path, encoding: str, mark: str) -> None:
    whole = load_meld(meld(tmp_path / "plain"))
    saved = load_meld(meld(tmp_path / "saved", encoding=encoding, mark=mark))
    assert saved.conversations == whole.conversations and saved.targets == whole.targets


def test_dev_is_val_and_other_splits_are_told(tmp_path: Path) -> None:
    meld(tmp_path, name="dev_sent_emo.csv")
    assert [load_meld(tmp_path, name).split for name in ("val", "dev", "valid")] == ["val"] * 3
    assert len(load_meld(tmp_path / "dev_sent_emo.csv", "val")) == 3
    with pytest.raises(UsageError, match=r"Unknown split .* 'train'\. .*Valid: val\."):
        load_meld(tmp_path, "train")
    with pytest.raises(UsageError, match="holds no file of meld"):
        load_meld(meld(tmp_path / "other", name="notes.md"))
    with pytest.raises(UsageError, match="no data set at"):
        load_meld(tmp_path / "nothing")


def test_what_is_odd_is_noted_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = (
        turn(1, 0),
        turn(2, 3, label="Joy"),
        turn(2, 4, label="happines"),
        turn(1, 5),
        turn(4, 0, dialogue=1).replace("0:00:09", "0:00:19"),
        turn(5, 1, dialogue=1),
        turn(6, 1, dialogue=1),
        turn(7, 2).replace(",0,2,1,", ",x,2,1,"),
        "8,too short",
    )
    notes: list[Note] = []
    found = load_meld(meld(tmp_path, *rows), notes=notes)
    assert found.ids() == (
        *("dia0_utt0", "dia0_utt3", "dia0_utt4", "dia0_utt5"),
        *("dia1_utt0", "dia1_utt1"),
    )
    assert kinds(notes) == {
        "id_gaps": 1,
        "spellings": 1,
        "overlapping_times": 3,
        "backward_times": 1,
        "bad_row": 3,
    }
    told = {note.kind: note.sentence for note in notes}
    assert told["id_gaps"] == "dialogue 0 has no turn 1, 2."
    assert told["spellings"] == "train: joy is spelled 'joy' (4), 'Joy' (1), 'happines' (1)."
    assert {note.sentence for note in notes if note.kind == "bad_row"} == {
        "train_sent_emo.csv, row 6: dia1_utt1 stands there twice.",
        "train_sent_emo.csv, row 7: Dialogue_ID must be a whole number, got 'x'.",
        "train_sent_emo.csv, row 8: Dialogue_ID must be a whole number, got ''.",
    }
    with caplog.at_level(logging.WARNING):
        assert load_meld(tmp_path).ids() == found.ids()
    assert "Left out in" in caplog.text and ": 3, the first: " in caplog.text


def test_an_unknown_emotion_stops_a_loader_and_is_noted_by_a_check(tmp_path: Path) -> None:
    meld(tmp_path, turn(1, 0), turn(2, 1, label="hungry"))
    with pytest.raises(UsageError, match=r"Unknown emotion \(train_sent_emo.csv, row 1\) 'hungry'"):
        load_meld(tmp_path)
    notes: list[Note] = []
    found = load_meld(tmp_path, notes=notes)
    assert [note.got for note in notes] == ["hungry"] and found.labels().tolist() == [3, -1]
    assert found[1].targets == {"msa": "positive"} and found[1].turns[1].emotion is None


def test_a_label_in_the_words_of_another_space(tmp_path: Path) -> None:
    meld(tmp_path, turn(1, 0), turn(2, 1, label="sadness"))
    found = load_meld(tmp_path, space="emory7")
    assert [sample.targets["mer"] for sample in found] == ["joyful", "sad"]


def test_a_turn_of_30000_words_and_400_speakers(tmp_path: Path) -> None:
    rows = [turn(1, n).replace(",Ann,", f",Speaker {n},") for n in range(400)]
    meld(tmp_path, *rows, turn(2, 0, dialogue=1, text="word " * 30_000))
    found = load_meld(tmp_path)
    assert len({said.speaker for said in found[0].turns}) == 400
    assert len(str(found[400].turns[0].text).split()) == 30_000


def test_clips_are_those_of_the_split(tmp_path: Path) -> None:
    for place in (
        *("train_splits/dia0_utt0.mp4", "test/dia0_utt0.mp4"),
        *("test/final_videos_testdia0_utt1.mp4", "train_splits/._dia0_utt1.mp4"),
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    notes: list[Note] = []
    train = load_meld(meld(tmp_path), notes=notes)
    assert train[1].turns[0].clip == tmp_path / "train_splits/dia0_utt0.mp4"
    assert train[1].turns[1].clip is None
    assert [note.where for note in notes if note.kind == "missing_clips"] == [
        *("train_sent_emo.csv, row 1", "train_sent_emo.csv, row 2"),
    ]
    test = load_meld(meld(tmp_path, name="test_sent_emo.csv"), "test")
    assert [str(said.clip and said.clip.name) for said in test[0].turns] == [
        *("dia0_utt0.mp4", "final_videos_testdia0_utt1.mp4"),
    ]


def test_words_are_made_alike(tmp_path: Path) -> None:
    (row,) = MELD_ROWS[:1]
    odd = row.replace("\u2019", "&rsquo;").replace("lost it.", "lost\u00a0 \x97 it.")
    assert load_meld(meld(tmp_path, odd))[0].turns[0].text == "Oh my God, he's lost \u2014 it."
