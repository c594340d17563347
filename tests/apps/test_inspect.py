"""`emosym inspect` at toy size, its page included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.data.storybook import SCENES, write_storybook
from emosym.emotions import MIKELS8
from emosym.evaluation.inside.effects import Effects
from emosym.evaluation.inside.effects import judged as judged_by
from emosym.evaluation.report.inside import said_inside, write_inside
from emosym.evaluation.results.result import make_result
from emosym.models.reader.reader import encode_pictures, prefill_features
from emosym.models.reader.reasoner import think
from emosym.pipelines.trained import EmoSymPipeline


def test_the_command_writes_numbers_and_a_page(command, judged: Path, tmp_path: Path) -> None:
    write_storybook(
        tmp_path / "data", {"train": 1, "val": 1, "test": 96}, seed=3, size=64, workers=1
    )
    asked = ("inspect", judged, "--data", tmp_path / "data", "--limit", 96)
    code, shown, err = command(*asked, "--shown", 0, "--out", tmp_path / "inside.json")
    assert code == 0, err
    result = json.loads((tmp_path / "inside.json").read_text())
    values, page = result["values"], (tmp_path / "inside.html").read_text()
    assert result["labels"] == list(MIKELS8.labels) and result["n"] == 96
    table = np.array(values["probe_accuracy"], dtype=float)
    assert table.shape == (4, 2)  # prompt, two [CTX], [EMO]; one layer
    assert np.isnan(table[0, 1]) and np.isfinite(np.delete(table.ravel(), 1)).all()
    assert values["doses"] == [-1.0, 0.0, 0.5, 1.0, 2.0, 4.0] and values["pushed_depth"] == 0
    # of dose 0 there is one answer, whatever the direction; of others there are two
    own, random = np.array(values["answer_own"]), np.array(values["answer_random"])
    assert own[1] == pytest.approx(random[1], abs=1e-6) and not np.allclose(own, random)
    assert all(sentence in shown for sentence in said_inside(result))
    for part in ("Where the emotion can be read", "What it answers", "[CTX] 2", "</html>"):
        assert part in page


@torch.no_grad()
def test_latents_speak_and_paint_and_judges_look(judged: Path, tiny_pictures) -> None:
    """Three pictures in two batches, of which two are shown."""
    pipeline = EmoSymPipeline.from_pretrained(judged)
    reader, counted = pipeline.model.reader, list[int]()
    features = encode_pictures(reader, tiny_pictures.pictures[:3])
    thoughts = [
        think(reader.reasoner, prefill_features(reader, some)) for some in features.split([1, 2])
    ]
    effects = Effects(pipeline, 2, 0, counted.append)
    cues = {"scene": {scene: np.ones(8, dtype=bool) for scene in SCENES}}
    found = effects.of(thoughts, np.array([0, 1, 2]), cues)
    assert counted == [2] and len(found["painted_a"]) == len(found["painted_b"]) == 2
    assert set(found["words"]) <= {1.0}  # what is named goes with every emotion
    again = Effects(pipeline, 2, 0, counted.append).of(thoughts, np.array([0, 1, 2]), None)
    assert "words" not in again and np.array_equal(again["painted_a"], found["painted_a"])
    assert (
        set(judged_by(effects)) == {"judge-a", "judge-b"}
        and judged_by(Effects(pipeline, 0, 0, counted.append)) == {}
    )


def test_words_and_paintings_are_told_and_drawn(tmp_path: Path) -> None:
    doses = [-1.0, 0.0, 1.0, 4.0]
    lines = {"own": [0.0, 0.1, 0.2, 0.6], "random": [0.1, 0.1, 0.1, 0.15]}
    values = {
        "taught": 8,
        "asked": 8,
        "shown": 2,
        "probe_accuracy": [[0.2, None], [0.5, 0.6], [0.7, 0.9]],
        "probe_shuffled": [[0.1, None], [0.1, 0.1], [0.2, 0.1]],
        "own_accuracy": 0.8,
        "majority_accuracy": 0.15,
        "depth_own": [0.3],
        "depth_random": [0.1],
        "depth_unpushed": 0.1,
        "pushed_depth": 0,
        "doses": doses,
        "answer_own_minus_random": 0.1,
        "answer_own_minus_random_interval": [0.05, 0.15],
    }
    for effect in ("answer", "words", "painted_a"):
        for kind, line in lines.items():
            for end in ("", "_low", "_high"):
                values[f"{effect}_{kind}{end}"] = list(line)
    values["words_own"] = [None, 0.1, 0.2, 0.6]  # nothing was named there
    result = make_result("inside", values, 16, 0, labels=("glee", "dread"))
    first, second, third = (told.replace("\N{NO-BREAK SPACE}", " ") for told in said_inside(result))
    assert "best off [EMO] at depth 1 of 1: 90.0 % of 8 samples" in first
    assert "from 10.0 % to 20.0 %" in second and "moves it to 10.0 % (difference 10.0" in second
    assert "At dose 4, of the first 2 samples: what it says" in third
    assert "10.0 % unpushed, 60.0 % pushed, 15.0 % pushed at random" in third
    page = write_inside(tmp_path / "page.html", result, "Inside <b>").read_text()
    assert "Inside &lt;b&gt;" in page and "as judge A sees it" in page and "judge B" not in page


def test_what_cannot_be_looked_into_is_a_sentence(
    command, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    code, _, err = command("inspect", tiny_checkpoint, "--data", tmp_path / "none")
    assert code == 2 and "Traceback" not in err and "none" in err
