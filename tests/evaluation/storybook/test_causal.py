"""The causal test: swaps that change nothing where they must not, and shares worked out by hand."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from emosym.data.dataset import Dataset
from emosym.data.images import load_image
from emosym.data.sources.open import open_dataset
from emosym.data.storybook import ACTIONS, FACES, OBJECTS, SCENES, write_storybook
from emosym.errors import UsageError
from emosym.evaluation.storybook import causal_painting
from emosym.evaluation.storybook.causal import (
    answer_values,
    draw_donors,
    evaluate_causal,
    with_context_of,
    word_values,
)
from emosym.models.reader.prefix_cache import whole
from emosym.models.reader.reasoner import think
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_reading import open_pictures


@pytest.fixture(scope="module")
def storybook(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Pictures of which every label has two: swaps need a partner."""
    root = tmp_path_factory.mktemp("causal") / "data"
    write_storybook(root, {"train": 1, "val": 1, "test": 16}, size=64, seed=5, workers=1)
    found = open_dataset("storybook", root, "test")
    labels = found.labels()
    counts = np.bincount(labels, minlength=8)
    rows = np.flatnonzero(counts[labels] > 1)
    assert len(rows) >= 6
    return found.subset(rows)


@torch.no_grad()
def test_a_donor_hands_over_its_context_and_nothing_else(
    tiny_checkpoint: Path, storybook: Dataset
) -> None:
    model = EmoSymPipeline.from_pretrained(tiny_checkpoint).model
    reasoner, count = model.reader.reasoner, model.reader.tokens.num_context_tokens
    shown = [load_image(storybook.picture(i)) for i in range(4)]
    host, _ = open_pictures(model.reader, shown[:2])
    donor = think(reasoner, open_pictures(model.reader, shown[2:])[0])
    own = think(reasoner, host)
    same = with_context_of(reasoner, host, own)
    assert torch.equal(same.emotion_latent, own.emotion_latent)
    swapped = with_context_of(reasoner, host, donor)
    assert torch.equal(swapped.context_latents, donor.context_latents)
    assert not torch.equal(swapped.emotion_latent, own.emotion_latent)
    start = own.prefix_length
    places = slice(start, start + count)
    for mine, other, mixed in zip(
        own.cache.layers, donor.cache.layers, swapped.cache.layers, strict=True
    ):
        for kept, given, got in zip(whole(mine), whole(other), whole(mixed), strict=True):
            assert torch.equal(got[:, :, :start], kept[:, :, :start])
            assert torch.equal(got[:, :, places], given[:, :, places])


def test_pictures_of_two_sizes_are_refused(tiny_checkpoint: Path, storybook: Dataset) -> None:
    model = EmoSymPipeline.from_pretrained(tiny_checkpoint).model
    prefix, _ = open_pictures(model.reader, [load_image(storybook.picture(0))])
    thought = think(model.reader.reasoner, prefix)
    short = type(prefix)(
        tuple(k[:, :, 1:] for k in prefix.keys),
        tuple(v[:, :, 1:] for v in prefix.values),
        prefix.mask[:, 1:],
        prefix.next_position,
    )
    with pytest.raises(UsageError, match="one size only"):
        with_context_of(model.reader.reasoner, short, thought)


def test_donors_are_of_the_same_or_of_another_emotion() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    donors = draw_donors(labels, 3)
    assert (labels[donors["same"]] == labels).all()
    assert (donors["same"] != np.arange(5)).all()
    assert (labels[donors["other"]] != labels).all()
    assert all(np.array_equal(v, draw_donors(labels, 3)[k]) for k, v in donors.items())
    for bad in ([0, 0, 1], [0, 0], [-1, -1, 1, 1]):
        with pytest.raises(UsageError, match="two of each"):
            draw_donors(np.array(bad), 0)


def test_answers_by_hand() -> None:
    """Four pictures; the swap makes the last one read as its donor, and leaves the others."""
    own = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    moved = own.copy()
    moved[3] = [0.6, 0.4]
    ways = ("feed_same", "feed_other", "swap_same", "block", "cut", "self_feed", "self_swap")
    shares = {"own": own, "swap_other": moved, **dict.fromkeys(ways, own)}
    donors = {"same": np.array([1, 0, 3, 2]), "other": np.array([2, 3, 0, 1])}
    values: dict[str, Any] = {}
    answer_values(values, shares, donors, np.array([0, 0, 1, 1]), 0)
    assert values["self_swap_change"] == values["self_feed_change"] == 0
    assert values["own_accuracy"] == 1 and values["swap_other_accuracy"] == 0.75
    assert values["swap_other_flip"] == values["swap_other_to_donor"] == 0.25
    assert values["swap_other_tv"] == pytest.approx(0.5 / 4)
    kl = 0.1 * np.log(0.1 / 0.6) + 0.9 * np.log(0.9 / 0.4)
    assert values["swap_other_kl"] == pytest.approx(kl / 4)
    assert values["swap_same_to_donor"] is None  # no donor is read as something else
    assert values["block_flip"] == values["block_kl"] == 0


def test_words_by_hand() -> None:
    def facts(scene: str, *objects: str) -> dict[str, frozenset[str]]:
        shown = {"scene": frozenset([scene]), "object": frozenset(objects)}
        return {**shown, "face": frozenset(["f"]), "action": frozenset(["a"])}

    there = [facts("cave", "ball", "cake"), facts("cave", "ball", "kite")]
    donors = {"same": np.array([1, 0]), "other": np.array([1, 0])}
    said = {
        "own": there,
        "swap_same": [there[1], there[0]],  # says all of the donor
        "swap_other": [facts("swamp"), facts("swamp", "cake")],
    }
    values: dict[str, Any] = {}
    word_values(values, said, there, donors, 0)
    assert values["words_own_same_object_host"] == 1 and values["words_own_same_object_donor"] == 0
    assert values["words_swap_same_object_host"] == 0
    assert values["words_swap_same_object_donor"] == 1
    # the ball is in both; the first says nothing, the second its donor's cake
    assert values["words_swap_other_object_donor"] == 0.5
    assert values["words_swap_other_object_host"] == 0
    assert values["words_own_same_scene_host"] is None  # the scenes do not differ


class Fixed:
    """Judges for a base that has none; the attribute judge sees a cave and the last object."""

    name, checksum = "fixed", "0" * 64
    names: ClassVar = {"scene": SCENES, "object": OBJECTS, "face": FACES, "action": ACTIONS}

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.eye(8)[[1] * len(images)]

    def attributes(self, images: np.ndarray) -> dict[str, np.ndarray]:
        seen = {"scene": SCENES.index("cave"), "object": 11, "face": 0, "action": 0}
        return {k: np.eye(len(self.names[k]))[[i] * len(images)] for k, i in seen.items()}


def test_a_whole_causal_test(
    tiny_checkpoint: Path, storybook: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint)
    monkeypatch.setattr(causal_painting, "load_judges", lambda pipeline: (Fixed(),) * 3)
    quick = functools.partial(paint_request, num_inference_steps=2)
    monkeypatch.setattr(causal_painting, "paint_request", quick)
    values: dict[str, Any] = {}
    labels = storybook.labels()
    donors = draw_donors(labels, 0)
    plain = evaluate_causal(pipeline, storybook, paintings=0)
    assert plain["name"] == "causal" and not plain["extractors"]
    assert plain["values"]["self_swap_change"] == plain["values"]["self_feed_change"] == 0
    assert plain["values"]["cut_tv"] > 0 and plain["values"]["swap_other_tv"] > 0
    facts = [
        {
            "scene": frozenset([str(s.attributes["scene"])]),
            "object": frozenset(s.attributes["object"]),
            "face": frozenset([str(s.attributes["facial_expression"])]),
            "action": frozenset([str(s.attributes["human_action"])]),
        }
        for s in storybook
    ]
    generator = torch.Generator().manual_seed(0)
    latents = (
        torch.randn(len(labels), 96, generator=generator),
        torch.randn(len(labels), 2, 96, generator=generator),
    )
    painted: list[np.ndarray] = []
    paint = causal_painting._paint
    monkeypatch.setattr(
        causal_painting, "_paint", lambda *a: painted.append(paint(*a)) or painted[-1]
    )
    arguments = (donors, facts, labels, 3, 0, lambda count: None)
    causal_painting.painting_values(values, pipeline, latents, *arguments)
    assert values["painted_n"] == 3 and len(painted) == 3
    assert not np.array_equal(painted[0], painted[1])  # c reaches the painter
    cave = [frozenset(["cave"]) == f["scene"] for f in facts[:3]]
    differs = [facts[i]["scene"] != facts[int(donors["other"][i])]["scene"] for i in range(3)]
    wanted = [c for c, d in zip(cave, differs, strict=True) if d]
    found = values["painted_own_other_scene_host"]
    assert found == (np.mean(wanted) if wanted else None)
    share = float(np.mean(labels[:3] == 1))
    assert values["painted_swap_other_emotion_host_judge_a"] == share
