"""The check of conversations: what it finds, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.clip_makers import clip, sparse
from tests.data.dialogue_makers import ecf_turns, meld, turn, write_json

from emosym.data.check.run import check_dataset
from emosym.data.sources.other_tests import held_out_hashes


def test_clean_conversations(tmp_path: Path) -> None:
    report = check_dataset(meld(tmp_path), "meld")
    assert report["clean"] and report["label_space"] == "meld7"
    assert report["rows"] == 3 and report["pictures"] == 0
    train = report["splits"]["train"]
    assert train["emotions"]["surprise"] == 1 and train["conversations"] == 2
    assert (train["speakers"], train["words"], train["with_clips"]) == (3, 16, 0)
    assert json.loads(json.dumps(report)) == report


def test_every_fault_is_found_and_none_stops(tmp_path: Path) -> None:
    rows = [
        turn(1, 0),
        turn(2, 2, label="Joy"),
        turn(1, 3, label="hungry"),
        *(turn(9 + n, n, dialogue=1).replace(",Ann,", f",Speaker {n},") for n in range(400)),
        turn(3, 0, dialogue=2, text="word " * 30_000),
        turn(5, 1, dialogue=2, text=" "),
        "9,too short",
    ]
    report = check_dataset(meld(tmp_path, *rows), "meld")
    findings, remarks = report["findings"], report["remarks"]
    assert [entry["label"] for entry in findings["unknown_labels"]] == ["hungry"]
    assert len(findings["bad_rows"]) == 1 and report["problems"] == 2
    told = {kind: [entry["sentence"] for entry in found] for kind, found in remarks.items()}
    assert told["many_speakers"] == ["train, from dia1_utt0: 400 persons speak."]
    assert told["long_turns"] == ["train, from dia2_utt0, turn 0 has 30,000 words."]
    assert told["turns_without_words"] == ["train, from dia2_utt0, turn 1 has no words."]
    assert told["id_gaps"] == ["dialogue 0 has no turn 1."]
    assert len(told["backward_times"]) == len(told["overlapping_times"]) == 1
    assert told["spellings"][0].startswith("train: joy is spelled 'joy'")


def test_causes_and_empty_conversations(tmp_path: Path) -> None:
    row = {"conversation_ID": 1, "conversation": ecf_turns("joy", "fear")}
    pairs = [["1_joy", "2"], ["1_joy", "2"], ["2_fear", "3"]]
    rows = [{**row, "emotion-cause_pairs": pairs}, {"conversation_ID": 2, "conversation": []}]
    report = check_dataset(write_json(tmp_path / "train.json", rows), "ecf")
    assert report["splits"]["train"]["causes"] == 1 and report["problems"] == 2
    assert len(report["findings"]["pairs_outside"]) == 1
    assert len(report["findings"]["empty_conversations"]) == 1
    assert len(report["remarks"]["duplicate_pairs"]) == 1


def test_dialogues_of_another_test_and_of_another_split(tmp_path: Path) -> None:
    lines = [f"This is the long line number {n}" for n in range(3)]
    rows = [turn(n, n, text=text) for n, text in enumerate(lines)]
    test = meld(tmp_path / "test", *rows, name="test.csv")
    train = meld(tmp_path / "train", *rows, turn(9, 0, dialogue=1))
    report = check_dataset(train, "meld", held_out=held_out_hashes(test))
    (entry,) = report["findings"]["held_out"]
    assert entry["sentence"] == (
        "train, from dia0_utt0: 3 of 3 utterances stand in what is held out."
    )
    meld(tmp_path / "train", *rows, name="dev.csv")
    (again,) = check_dataset(train, "meld")["findings"]["held_out"]
    assert again["sentence"] == "train, from dia0_utt0: 3 of 3 utterances stand in val."


def test_clips_are_looked_into(tmp_path: Path) -> None:
    steps: list[int] = []
    meld(tmp_path, *(turn(n, n) for n in range(4)))
    clip(tmp_path / "clips/dia0_utt0.mp4", 0.5)
    (tmp_path / "clips/dia0_utt1.mp4").write_bytes(b"damaged")
    sparse(tmp_path / "clips/dia0_utt2.mp4", 2 * 3600)
    report = check_dataset(tmp_path, "meld", started=steps.append, progress=steps.append)
    findings, remarks = report["findings"], report["remarks"]
    assert steps == [3, 1, 1, 1] and report["splits"]["train"]["with_clips"] == 3
    assert [entry["where"] for entry in findings["unreadable_clips"]] == ["train, dia0_utt1.mp4"]
    assert [entry["where"] for entry in remarks["long_clips"]] == ["train, dia0_utt2.mp4"]
    assert findings["missing_clips"][0]["sentence"].endswith("there is no clip dia0_utt3.")
    assert report["problems"] == 2


def test_without_the_library_clips_are_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emosym.data.check.dialogues.is_available", lambda name: name != "av")
    meld(tmp_path)
    (tmp_path / "dia0_utt0.mp4").write_bytes(b"")
    (entry,) = check_dataset(tmp_path, "meld")["remarks"]["clips_not_looked_into"]
    assert entry["sentence"].endswith("pip install 'emosym[video]'.")
