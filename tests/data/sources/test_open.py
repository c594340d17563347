"""Every source by its name: its own label space, and shares that keep dialogues whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.dialogue_makers import ecf_turns, meld, mosei, turn, write_json

from emosym.config.schema import DataSection
from emosym.data.sources.detect import detect_source, splits_to_check
from emosym.data.sources.hub import NO_OPTIONS
from emosym.data.sources.open import SOURCES, open_dataset
from emosym.data.sources.own_labels import SOURCE_SPACES, space_of_data, space_of_source
from emosym.emotions import label_space
from emosym.errors import UsageError
from emosym.training.stages.feed import open_split


def folders(root: Path) -> dict[str, Path]:
    """Write a data set of each source of conversations and texts."""
    story = {"qid": "1", "scenario": "It rains.", "subject": "Al", "label": "a"}
    said = {"turn": 1, "speaker": "A", "utterance": "Hi.", "emotion": "joy"}
    (root / "goemotions").mkdir(parents=True)
    (root / "goemotions/train.tsv").write_text("Hi\t27\tx\n")
    scene = {"utterance_id": "c1_u001", "speakers": ["A"], "transcript": "Hi.", "emotion": "Sad"}
    return {
        "meld": meld(root / "meld"),
        "ecf": write_json(
            root / "ecf/train.json", [{"conversation_ID": 1, "conversation": ecf_turns("joy")}]
        ),
        "reccon": write_json(root / "reccon/train.json", {"tr_1": [[said]]}),
        "emorynlp": write_json(
            root / "emorynlp/train.json", {"scenes": [{"scene_id": "c1", "utterances": [scene]}]}
        ),
        "mosei": mosei(root / "mosei", ["a,1,words,1,,,,Positive,train"]),
        "goemotions": root / "goemotions",
        "emobench": write_json(root / "emobench/EA.jsonl", {**story, "choices": ["a", "b"]}),
    }


def test_each_is_known_by_its_files_and_opens_in_its_own_space(tmp_path: Path) -> None:
    found = folders(tmp_path)
    assert set(found) <= set(SOURCE_SPACES) <= set(SOURCES)
    for source, root in found.items():
        assert detect_source(root) == source
        splits, broken = splits_to_check(source, root, space_of_source(source), NO_OPTIONS)
        assert len(splits) == 1 and not broken
        dataset = open_dataset(source, root, splits[0])
        assert dataset.space == space_of_data(source, root) == space_of_source(source)
        assert dataset[0].turns[0].text and DataSection(source=source, root=root).source == source
        (file,) = [path for path in root.iterdir() if path.is_file()]
        assert detect_source(file) == source
        assert open_dataset(source, file, splits[0]).ids() == dataset.ids()
        assert detect_source(tmp_path / source / "..") is not None


def test_files_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    meld(tmp_path / "set/data")
    assert detect_source(tmp_path / "set") == "meld"
    assert len(open_dataset("meld", tmp_path / "set", "train")) == 3


def test_a_share_of_conversations_keeps_them_whole(tmp_path: Path) -> None:
    rows = [turn(n, n % 3, dialogue=n // 3) for n in range(60)]
    root = meld(tmp_path, *rows)
    tenth = open_dataset("meld", root, "train", fraction=0.1)
    halves = [open_dataset("meld", root, "train", part=part) for part in ((0, 0.5), (0.5, 1))]
    assert [len(dataset) for dataset in (tenth, *halves)] == [6, 30, 30]
    for dataset in (tenth, *halves):
        assert dataset.places is not None
        assert set(np.bincount(dataset.places[:, 0])) <= {0, 3}
    assert not set(halves[0].ids()) & set(halves[1].ids())


def test_the_folds_of_conversations_are_held_out_one_by_one(tmp_path: Path) -> None:
    rows = [turn(n, n % 3, dialogue=n // 3) for n in range(63)]
    whole = open_dataset("meld", meld(tmp_path, *rows), "train").ids()
    held = []
    for number in range(3):
        data = DataSection(source="meld", root=tmp_path, folds=3, fold=number)
        train, val = (open_split(data, label_space("meld7"), 5, one) for one in (True, False))
        assert len(train) == 42 and len(val) == 21  # 14 and 7 dialogues of 3 turns
        assert sorted([*train.ids(), *val.ids()]) == sorted(whole)
        held += val.ids()
        half = open_split(
            data.model_copy(update={"part": (0.0, 0.5)}), label_space("meld7"), 5, True
        )
        assert len(half) == 21 and set(half.ids()) < set(train.ids())
    assert sorted(held) == sorted(whole)


def test_labels_of_another_space(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown emotion"):
        open_dataset("meld", meld(tmp_path), "train", "mikels8")
