"""Steps of reasoning as `align` learns them: whose, which, how many are latent, in what loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.makers import ADAPTED, HEAD, TOKENS, metrics, moved, recipe_of, snapshot
from tests.training.makers import tiny_feed as feed_of

from emosym.data.sources.open import open_dataset
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.measure import evaluate_reading
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.pipelines.trained import EmoSymPipeline
from emosym.studies.ablation.jobs import LOGITS, load_logits, measure_reading
from emosym.training.stages.align import (
    run_align,
    shuffled_rows,
    steps_that_tell,
    train_align,
)
from emosym.training.stages.feed import Feed
from emosym.training.stages.losses import state_distance
from emosym.training.stages.start import use_lora
from emosym.training.stages.step_texts import StepTexts, latents_at, padded

IGNORE = -100


@pytest.fixture
def model(tiny_base: Path) -> EmoSymModel:
    return new_model(str(tiny_base), 2, True, "emosym", 0)


def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    """Eight pictures; the third has one step, the others two."""
    found = feed_of(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    samples = [
        replace(sample, attributes={"steps": [f"a {i}", "b"][: 1 if i == 2 else 2]})
        for i, sample in enumerate(found.samples)
    ]
    return replace(found, samples=tuple(samples))


def test_latents_give_way_to_spoken_steps_by_hand() -> None:
    # the first half of 100 steps is for four latents: one more after each 12.5 steps
    asked = (0, 12, 13, 37, 38, 49, 50, 99)
    assert [latents_at(step, 100, 0.5, 4) for step in asked] == [0, 0, 1, 2, 3, 3, 4, 4]
    assert latents_at(0, 100, 0.0, 4) == 4


def test_distance_of_states_by_hand() -> None:
    student = torch.tensor([[1.0, 1.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[1.0, 0.0], [3.0, 4.0]], requires_grad=True)
    found = state_distance(student, teacher)
    assert found.item() == pytest.approx((1 / 1 + 25 / 25) / 2)
    found.backward()
    assert teacher.grad is None and student.grad is not None


def test_a_sample_with_fewer_steps_says_its_last_again() -> None:
    steps = StepTexts((([5, 6], [7]), ([8],)), 3, 2)
    tokens, labels = steps.of_latents(np.array([0, 1]))
    assert tokens.tolist() == [[[5, 6, 2], [7, 2, 2], [7, 2, 2]], [[8, 2, 2]] * 3]
    assert labels.tolist() == [
        [[5, 6, 2], [7, 2, IGNORE], [7, 2, IGNORE]],
        [[8, 2, IGNORE]] * 3,
    ]
    assert steps.spoken(np.array([0, 1]))[0].tolist() == [[5, 6, 7, 2], [8, 2, 2, 2]]
    assert steps.spoken(np.array([0, 1]), 1)[0].tolist() == [[7, 2], [2, 2]]
    assert padded([[1], [2, 3]], 0)[1].tolist() == [[1, IGNORE], [2, 3]]
    late = StepTexts((([5, 6], [7]), ([8],)), 3, 2, late=True)  # the first ones wait
    assert late.of_latents(np.array([0, 1]))[0].tolist() == [
        [[5, 6, 2], [5, 6, 2], [7, 2, 2]],
        [[8, 2, 2]] * 3,
    ]


def test_steps_go_where_rationales_go(model: EmoSymModel, tiny_pictures, tmp_path: Path) -> None:
    data = feed(model, tiny_pictures)
    own = steps_that_tell(model.reader, data, recipe_of("align", tmp_path, w_steps=1))
    assert own is not None and own.count == 2
    decoded = [model.reader.tokenizer.decode(ids[0]) for ids in own.ids]
    assert decoded == [f"a {i}\n" for i in range(8)]
    shuffled = recipe_of("align", tmp_path, w_steps=1, rationale="shuffled")
    other = steps_that_tell(model.reader, data, shuffled)
    order = shuffled_rows(np.zeros(8, dtype=int), shuffled.seed)
    assert other is not None and list(other.ids) == [own.ids[row] for row in order]
    assert steps_that_tell(model.reader, data, recipe_of("align", tmp_path)) is None


def trained(model: EmoSymModel, data: Feed, out: Path, **changes) -> tuple[set[str], list[dict]]:
    recipe = recipe_of("align", out, **changes)
    use_lora(model, recipe)
    before = snapshot(model)
    train_align(model, data, recipe, progress=False)
    return moved(before, model), metrics(out)


OPTIONS = [
    ({"bottleneck": 0.5}, {"say", "align"}),
    ({"w_steps": 0.5}, {"say", "align", "steps"}),
    ({"w_distill": 0.5}, {"say", "align", "aloud_classify", "aloud_say", "distill"}),
    ({"w_steps": 0.5, "w_align": 0, "w_say": 0}, {"steps"}),
]


@pytest.mark.parametrize(("changes", "told"), OPTIONS, ids=["narrow", "steps", "distill", "alone"])
def test_each_way_is_learned_and_logged(
    model: EmoSymModel, tiny_pictures, tmp_path: Path, changes: dict, told: set[str]
) -> None:
    found, rows = trained(model, feed(model, tiny_pictures), tmp_path, **changes)
    assert {*TOKENS, *HEAD, *ADAPTED} <= found
    assert set(rows[0]) == {"step", "loss", "classify", "accuracy", *told}
    weights = {"classify": 0.5, "align": 0.5, "say": 0.25, "steps": 0.5, "distill": 0.5}
    weights |= {"aloud_classify": 0.5, "aloud_say": 0.25}
    wanted = sum(weights[name] * rows[0][name] for name in (*told, "classify"))
    assert rows[0]["loss"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("own_steps", [0.5, 0.0])
def test_words_of_captions_or_steps_are_named(
    model: EmoSymModel, tiny_pictures, tmp_path: Path, own_steps: float
) -> None:
    kind = "label_blind" if own_steps else "caption"
    changes = {"w_words": 1.0, "w_step_words": own_steps, "rationale": kind}
    changes |= {"w_align": 0, "w_say": 0}
    _, rows = trained(model, feed(model, tiny_pictures), tmp_path, **changes)
    weights = {"classify": 0.5, "words": 1.0} | ({"step_words": 0.5} if own_steps else {})
    wanted = sum(weights[name] * rows[0][name] for name in weights)
    assert rows[0]["loss"] == pytest.approx(wanted, rel=1e-4)
    assert all(rows[-1][name] < rows[0][name] for name in {*weights} - {"classify"})


def test_a_curriculum_begins_with_words_and_ends_with_latents(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    _, rows = trained(model, feed(model, tiny_pictures), tmp_path, curriculum=0.6)
    # of three steps 1.8 are for two latents: none, then one, then all
    assert [("align" in row) for row in rows] == [False, False, True]
    assert all("say" in row for row in rows)


def test_what_cannot_be_learned_is_a_sentence(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    bare = feed_of(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    with pytest.raises(UsageError, match="has no `steps` of reasoning"):
        trained(model, bare, tmp_path / "bare", w_steps=1)
    many = [replace(s, attributes={"steps": ["a", "b", "c"]}) for s in bare.samples]
    with pytest.raises(UsageError, match=r"3 steps, and the chain 2 .*num_context_tokens=3"):
        trained(model, replace(bare, samples=tuple(many)), tmp_path / "many", w_steps=1)
    alone = {"latents": {"num_context_tokens": 0}, "w_align": 0}
    with pytest.raises(UsageError, match="bottleneck needs context tokens"):
        recipe_of("align", tmp_path, bottleneck=0.5, **alone)
    with pytest.raises(UsageError, match="w_distill learns from rationales"):
        recipe_of("align", tmp_path, w_distill=1, rationale="none")
    with pytest.raises(UsageError, match="w_words names the words of a text"):
        recipe_of("align", tmp_path, w_words=1, rationale="none")


def test_tales_from_recipe_to_checkpoint(tiny_base: Path, tmp_path: Path) -> None:
    tales = tmp_path / "tales"
    write_storybook(tales, {"train": 8, "val": 8, "test": 6}, 64, 2, level="tales")
    recipe = recipe_of(
        "align",
        tmp_path / "run",
        init=str(tiny_base),
        data={"root": str(tales), "level": "tales", "workers": 1},
        latents={"num_context_tokens": 5, "after": "sentences"},
        lora={"r": 2, "prompt": False},
        w_steps=0.5,
        bottleneck=0.5,
        w_align=0,
    )
    run_align(recipe, progress=False)
    model = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert model.reader.tokens.after == "sentences"
    assert model.reader.tokens.context_embeds.shape[0] == 1  # every step has the same
    found = measure_reading(model, {"test": tales}, tmp_path / LOGITS)
    assert 0 <= found["accuracy"] <= 1 and {"accuracy_short", "set_f1"} <= set(found)
    rows = metrics(tmp_path / "run")
    assert all(np.isfinite(row["steps"]) for row in rows)
    assert list((tales / ".cache").glob("prefixes-*")), "kept, with where the latents stand"
    # what `emosym evaluate` reads of tales is what the study measured
    test = open_dataset("storybook", tales, "test")
    pipeline = EmoSymPipeline.from_pretrained(str(tmp_path / "run" / "checkpoint"))
    told = evaluate_reading(pipeline, test, workers=1)
    assert told.result["values"]["accuracy"] == pytest.approx(found["accuracy"])
    shares = load_logits(tmp_path)["test"].softmax(-1).tolist()
    named = [(sample.id, sample) for sample in test]
    for (_, reading), row in zip(pipeline.understand_many(named), shares, strict=True):
        assert list(reading.raw_probabilities.values()) == pytest.approx(row, abs=1e-4)
