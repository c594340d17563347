from __future__ import annotations

import pytest

from emosym.data.sources.storybook_dialogues import load_storybook_dialogues
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.errors import UsageError
from emosym.evaluation.storybook.dialogues import (
    best_emotions,
    contradiction_values,
    reason_values,
    spoken,
)
from emosym.types import Sample, Turn


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    root = tmp_path_factory.mktemp("dialogues")
    write_dialogues(root, {"train": 60, "val": 1, "test": 1}, size=32, seed=3)
    return list(load_storybook_dialogues(root, "train"))


def test_the_best_reader_is_right_everywhere(samples: list[Sample]) -> None:
    best = best_emotions(samples)
    assert best == [sample.label_of("mer") for sample in samples]
    values = contradiction_values(best, samples)
    assert values["contradiction_accuracy"] == 1 and values["contradiction_fooled"] == 0
    assert isinstance(values["contradictions"], int) and values["contradictions"] > 20


def test_who_follows_words_alone_is_fooled_where_the_face_is_true(samples: list[Sample]) -> None:
    words = [str(sample.attributes.get("claim", "neutral")) for sample in samples]
    values = contradiction_values(words, samples)
    assert values["contradiction_accuracy_words_true"] == 1
    assert values["contradiction_accuracy_face_true"] == 0
    smiles = contradiction_values(["joy"] * len(samples), samples)
    assert smiles["contradiction_accuracy_words_true"] == 0
    unread = contradiction_values([None] * len(samples), samples)
    assert unread["contradiction_accuracy"] == unread["contradiction_fooled"] == 0


def test_true_reasons_name_all_that_is_planted(samples: list[Sample]) -> None:
    moved = [sample for sample in samples if "eri" in sample.targets]
    true = [sample.label_of("eri") for sample in moved]
    values = reason_values(true, moved)
    assert values["names_cause"] == values["names_happening"] == 1
    assert values["cue_precision"] == values["cue_recall"] == 1
    assert values["other_names_cause"] is not None and values["other_names_cause"] < 0.6
    silent = reason_values([None] * len(moved), moved)
    assert silent["names_cause"] == 0 and silent["cue_recall"] == 0


def test_cues_by_hand() -> None:
    face = "mouth turned up and open, brows raised"
    found = spoken(f"With {face}, Mia shows joy, because Tom won a Rubbish Bin at the fair.")
    assert found["thing"] == {"rubbish bin"} and found["happening"] == {"gift 1"}
    assert found["face"] == {"mouth turned up and open", "brows raised"}
    assert found["emotion"] == {"joy"}


def test_both_things_named_is_no_cause_named(samples: list[Sample]) -> None:
    sample = next(s for s in samples if "eri" in s.targets and len(s.attributes["events"]) > 1)
    things = " ".join(str(event["thing"]) for event in sample.attributes["events"])
    assert reason_values([f"Because of {things}."], [sample])["names_cause"] == 0


def test_what_was_not_drawn_is_refused() -> None:
    other = Sample("x", (Turn("Ann", "Hello."),), 0, {"mer": "joy"})
    with pytest.raises(UsageError, match="nothing is planted"):
        contradiction_values(["joy"], [other])
