"""What conditions the painter: each arm trains its own parts only, and paints as it was trained."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from tests.checkpoints import as_format_1, described_in
from tests.training.makers import HEAD, MAPPERS, TOKENS, moved, recipe_of, snapshot, tiny_feed

from emosym.config.recipes import JointRecipe
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.models.checkpoint import DESCRIPTION, load_checkpoint, save_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.painter import painter
from emosym.models.painter.mappers import CONDITIONS, context_at_places
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained_painting import latents_of, paint_stream
from emosym.training.stages.conditions import (
    InvertedEmotions,
    inverted_space,
    prompts_for,
    word_prompt,
)
from emosym.training.stages.feed import Feed
from emosym.training.stages.feedback import train_feedback
from emosym.training.stages.joint import train_joint

EMOTION_ONLY = tuple(name for name in MAPPERS if "context_mapper" not in name)


@pytest.fixture
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    labels = tiny_pictures.labels
    rows = np.concatenate([np.flatnonzero(labels == i)[:2] for i in range(8)])
    return tiny_feed(model.reader, tiny_pictures.pictures[rows], np.repeat(np.arange(8), 2))


def painted(model: EmoSymModel, emotion: str, seed: int) -> np.ndarray:
    space = model.emotion_space
    assert space is not None
    request = paint_request(MIKELS8, emotion, num_images=2, seed=seed, num_inference_steps=2)
    return np.stack([np.asarray(o.image) for o in paint_stream(model, request)])


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("emotion_context", {*TOKENS, *HEAD, *MAPPERS}),
        ("emotion", {*TOKENS, *HEAD, *EMOTION_ONLY}),
        ("emotion_repeated", {*TOKENS, *HEAD, *MAPPERS}),
        # the classification loss moves tokens and head; nothing of the picture conditions
        ("inversion", {*TOKENS, *HEAD, *MAPPERS}),
        ("class_word", {*TOKENS, *HEAD}),
    ],
)
def test_each_condition_trains_its_own_parts_and_paints_after_loading(
    model: EmoSymModel, feed: Feed, tmp_path: Path, condition: str, wanted: set[str]
) -> None:
    before = snapshot(model)
    recipe = recipe_of("joint", tmp_path / "run", condition=condition, unet_lora_r=2)
    after = train_joint(model, feed, recipe, progress=False)
    assert moved(before, after) == wanted
    assert after.condition == condition and after.emotion_space is not None
    alone = condition in ("emotion", "emotion_repeated")
    context = 0 if alone else model.reader.tokens.num_context_tokens
    assert after.emotion_space.num_context_tokens == context
    save_checkpoint(after, tmp_path / "checkpoint")
    loaded = load_checkpoint(tmp_path / "checkpoint")
    assert loaded.condition == condition
    ours, theirs = painted(after, "awe", 3), painted(loaded, "awe", 3)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert not np.array_equal(theirs, painted(loaded, "fear", 3))  # the emotion matters


def test_the_arms_stand_at_as_many_places_as_they_say() -> None:
    e, c = torch.ones(2, 3), torch.zeros(2, 4, 3)
    found = {name: context_at_places(name, e, c, 4) for name in CONDITIONS}
    places = {name: context.shape[1] for name, context in found.items()}
    assert places == {
        "emotion_context": 4, "emotion": 0, "emotion_repeated": 4, "inversion": 4, "class_word": 4
    }  # fmt: skip
    assert torch.equal(found["emotion_repeated"], torch.ones(2, 4, 3))  # e, and nothing of c
    assert torch.equal(context_at_places("emotion_repeated", e, c[:, :0], 4), torch.ones(2, 4, 3))
    assert torch.equal(found["emotion_context"], c)


def test_a_learned_row_is_its_emotion_and_moves(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    recipe = recipe_of("joint", tmp_path, condition="inversion", condition_dropout=0, seed=4)
    after = train_joint(model, feed, recipe, progress=False)
    tokens = model.reader.tokens
    start = InvertedEmotions(8, tokens.num_context_tokens, tokens.emotion_embed.shape[1], 4)
    space = after.emotion_space
    assert space is not None
    means = torch.stack([gaussian.mean for gaussian in space.gaussians])
    changed = (means != start.rows.detach().flatten(1)).any(dim=1)
    # three batches of four of sixteen pictures: not every emotion need have been seen
    assert 1 <= int(changed.sum()) <= 8
    untouched = inverted_space(space.labels, start)
    assert all(float(g.rest) == 0 and g.variances.numel() == 0 for g in untouched.gaussians)


def test_without_a_picture_in_the_condition_nothing_is_like_it(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    recipe = recipe_of("joint", tmp_path, condition="inversion")
    after = train_joint(model, feed, recipe, progress=False)
    with pytest.raises(UsageError, match="paints by inversion"):
        latents_of(after, Image.new("RGB", (64, 64)))
    with pytest.raises(UsageError, match="nothing to refresh"):
        train_feedback(after, feed, feed, recipe, progress=False)  # type: ignore[arg-type]


def test_a_word_in_the_prompt_needs_something_to_train(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    recipe = recipe_of("joint", tmp_path, condition="class_word")
    with pytest.raises(UsageError, match="set unet_lora_r"):
        train_joint(model, feed, recipe, progress=False)
    with pytest.raises(UsageError, match="'emotion'"):
        recipe_of("joint", tmp_path, condition="emotions")


def test_words_take_the_place_of_the_placeholder(model: EmoSymModel) -> None:
    assert word_prompt("{}", "awe") == "awe"
    assert word_prompt("a street, {} at night", "fear") == "a street, fear at night"
    assert word_prompt("a street", "anger") == "anger a street"
    prompts, truth = ["{} a", "b {}"], np.array([1, 7])
    assert prompts_for(model, prompts, truth) == prompts
    by_word = replace(model, condition="class_word")
    assert prompts_for(by_word, prompts, truth) == ["awe a", "b sadness"]


def test_a_word_has_no_shades_and_is_never_lost(
    model: EmoSymModel, feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("joint", tmp_path, condition="class_word", unet_lora_r=2)
    after = train_joint(model, feed, recipe, progress=False)
    heard: list[str] = []
    encode = painter.encode_prompts
    monkeypatch.setattr(
        painter, "encode_prompts", lambda p, texts, *c: heard.extend(texts) or encode(p, texts, *c)
    )
    settings = {"num_inference_steps": 1, "guidance_scale": 1.0}
    for prompt in ("a street of {}", "a street"):
        list(paint_stream(after, paint_request(MIKELS8, "awe", prompt=prompt, **settings)))
    assert heard == ["a street of awe", "awe a street"]
    refused = (
        paint_request(MIKELS8, {"awe": 0.5, "fear": 0.5}),
        paint_request(MIKELS8, valence=3, arousal=4),
        paint_request(MIKELS8, "awe", intensity=0.5),
        paint_request(MIKELS8, like=Image.new("RGB", (64, 64))),
    )
    for request in refused:
        with pytest.raises(UsageError, match="name one emotion, at intensity 1"):
            list(paint_stream(after, request))


def test_old_checkpoints_paint_as_ever_and_odd_ones_are_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    copy = as_format_1(Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy")))
    described = described_in(copy)
    del described["condition"]
    (copy / DESCRIPTION).write_text(json.dumps(described))
    assert load_checkpoint(copy).condition == "emotion_context"
    (copy / DESCRIPTION).write_text(json.dumps({**described, "condition": "emotions"}))
    with pytest.raises(UsageError, match="Did you mean 'emotion'"):
        load_checkpoint(copy)


def test_the_names_are_those_of_the_recipe() -> None:
    assert get_args(JointRecipe.model_fields["condition"].annotation) == CONDITIONS
