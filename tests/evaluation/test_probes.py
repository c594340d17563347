from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.data.sources.emoset import load_emoset
from emosym.data.storybook.writer import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.probes import evaluate_probes, probe_pairs
from emosym.pipelines.trained import EmoSymPipeline
from emosym.types import IMAGE_EMOTION, Sample, Turn


def sample(name: str, label: str | None, text: str | None, picture: str | None) -> Sample:
    frames = () if picture is None else (Path(picture),)
    targets = {} if label is None else {IMAGE_EMOTION: label}
    return Sample(name, (Turn("Ann", "Hm."), Turn("Bo", text, frames)), 1, targets)


SAMPLES = [
    sample("a", "awe", "What a sky!", "a.png"),
    sample("b", "fear", "Run!", "b.png"),
    sample("c", "awe", "So wide.", None),
    sample("d", None, None, "d.png"),
]


def texts(pairs: Sequence[Any]) -> list[tuple[int, str | None]]:
    return [(pair.row, pair.changed.turns[1].text) for pair in pairs]


def test_one_thing_changes_and_the_rest_stays() -> None:
    labels = ["awe", "fear", "awe", None]
    found = probe_pairs(SAMPLES, labels, ("awe", "fear"), ["awe", "fear", "awe", "awe"], 0)
    assert [pair.row for pair in found["picture_blank"]] == [0, 1, 3]
    grey = found["picture_blank"][0].changed.turns[1].frames[0]
    assert isinstance(grey, Image.Image) and set(grey.getdata()) == {(128, 128, 128)}
    # only b has another emotion and a picture for a, and only a for b; d's is not known
    assert [(p.row, p.towards) for p in found["picture_other"]] == [(0, 1), (1, 0)]
    assert found["picture_other"][0].changed.turns[1].frames == (Path("b.png"),)
    assert found["picture_other"][0].changed.turns[1].text == "What a sky!"
    assert found["picture_same"] == []  # c says only
    assert [(p.row, p.towards) for p in found["words_same"]] == [(0, 2), (2, 0)]
    assert texts(found["words_same"]) == [(0, "So wide."), (2, "What a sky!")]
    planted = texts(found["words_planted"])
    assert planted[0] == (0, "What a sky! (Somebody says: this is fear.)")
    assert planted[1] == (1, "Run! (Somebody says: this is awe.)")
    assert texts(found["words_added"])[0] == (0, "What a sky! (Somebody says: this is a sentence.)")
    for pairs in found.values():
        assert all(pair.changed.turns[0] == Turn("Ann", "Hm.") for pair in pairs)


def test_a_storybook_model_follows_the_picture(tmp_path: Path) -> None:
    write_storybook(tmp_path, {"train": 1, "val": 1, "test": 16}, size=64, seed=3)
    dataset: Dataset = load_emoset(tmp_path, "test")
    pipeline = EmoSymPipeline.from_pretrained("storybook", "cpu")
    result = evaluate_probes(pipeline, dataset)
    values = result["values"]
    assert values["follow_picture_other"] == 1.0  # nothing but the picture is shown
    assert values["n_picture_other"] == 16 and 0 < values["n_follow_picture_other"] <= 16
    assert values["flip_picture_blank"] > 0.5
    assert values["flip_words_other"] is None and values["n_words_other"] == 0
    assert values["unreadable"] == 0
    with pytest.raises(UsageError, match="tells none"):
        evaluate_probes(pipeline, dataset.subset([]))
