"""What the base is trained on: made once, in any number of calls, and read back as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.config.load import resolve_recipe
from emosym.config.recipes import BaseRecipe
from emosym.data import storybook
from emosym.errors import StoppedEarly
from emosym.models.painter.text_encoder import tokenize
from emosym.training.storybook import corpus
from emosym.training.storybook.corpus import (
    draw_corpus,
    load_judge_data,
    load_texts,
    prepare_data,
    stories_of,
    tokenizer_of,
    world_seed,
)
from emosym.training.storybook.judges import draw_judge_data
from emosym.training.storybook.reader import tokenize_texts

COUNT = 70


def recipe_at(out: Path, seed: int = 0) -> BaseRecipe:
    raw = {"stage": "base", "out": str(out), "seed": seed, "count": COUNT, "workers": 1}
    found = resolve_recipe({**raw, "judges": {"count": 6}}, "test")
    assert isinstance(found, BaseRecipe)
    return found


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> BaseRecipe:
    """A recipe whose data are made, in as many calls as there are pieces of work."""
    recipe = recipe_at(tmp_path_factory.mktemp("corpus") / "run")
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "DRAWN_AT_ONCE", 40)
        patch.setattr(corpus, "TOKENIZED_AT_ONCE", 32)
        while True:
            try:
                prepare_data(recipe, deadline=0.0)
                break
            except StoppedEarly as stopped:
                told.append(str(stopped))
    assert told == [
        *("corpus at 40 of 70", "corpus at 70 of 70"),
        *("texts tokenized", "the judges' pictures drawn"),
    ]
    return recipe


def test_corpus_and_stories_are_the_same_pictures(recipe: BaseRecipe) -> None:
    found, stories = draw_corpus(recipe), stories_of(recipe, COUNT)
    assert found.shape == (COUNT, 64, 64, 3) and found.dtype == np.uint8
    for index in (0, 39, 40, 69):
        picture = np.asarray(storybook.paint_story(stories[index], 64))
        assert np.array_equal(found[index], picture), index


def test_nothing_is_made_again(recipe: BaseRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    for name in ("draw_many", "draw_story"):
        monkeypatch.setattr(storybook, name, fail)
    monkeypatch.setattr("emosym.models.tokenizer.train_tokenizer", fail)
    prepare_data(recipe)
    assert len(draw_corpus(recipe)) == COUNT
    assert len(tokenizer_of(recipe)) <= 1024


def test_the_texts_come_back(recipe: BaseRecipe) -> None:
    stories = stories_of(recipe, COUNT)
    wanted = tokenize_texts(
        tokenizer_of(recipe),
        [storybook.caption_of(s) for s in stories],
        [storybook.rationale_of(s) for s in stories],
        [storybook.questions_of(s) for s in stories],
    )
    found = load_texts(recipe)
    assert len(found) == COUNT
    assert [found[i] for i in range(COUNT)] == wanted


@pytest.mark.parametrize("length", [64, 20])  # 20 cuts them
def test_prompts_are_what_the_painter_tokenizes(recipe: BaseRecipe, length: int) -> None:
    tokenizer = tokenizer_of(recipe)
    captions = [storybook.caption_of(s) for s in stories_of(recipe, COUNT)]
    found = load_texts(recipe).prompts(tokenizer, length)
    assert torch.equal(torch.from_numpy(found).long(), tokenize(tokenizer, captions, length))


def test_the_judges_data_come_back(recipe: BaseRecipe) -> None:
    found, wanted = load_judge_data(recipe), draw_judge_data(recipe.seed, 6, 64, 1)
    assert (found.names, found.emotions) == (wanted.names, wanted.emotions)
    for name in ("images", "labels", "targets"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert found.attributes.keys() == wanted.attributes.keys()
    for name, values in wanted.attributes.items():
        assert np.array_equal(found.attributes[name], values), name
        assert found.attributes[name].dtype == values.dtype, name
    kept = {field.name for field in dataclasses.fields(wanted)} - {"posterior"}
    assert kept == {"images", "labels", "targets", "attributes", "names", "emotions"}


def test_the_world_is_its_own(tmp_path: Path) -> None:
    one, other = world_seed(recipe_at(tmp_path)), world_seed(recipe_at(tmp_path, seed=1))
    assert one != other and one not in (0, 1)
