"""The base stage, tiny: corpus, tokenizer, reader, and a folder with checksums."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.config import BaseRecipe, resolve_recipe
from emosym.data import storybook
from emosym.models.checkpoint import load_backbone
from emosym.models.presets import resolve_base
from emosym.models.reading import has_reader
from emosym.training.base import draw_corpus, run_base, stories_of, tokenizer_of, world_seed


def recipe_at(out: Path, seed: int = 0) -> BaseRecipe:
    optim = {"steps": 2, "batch_size": 4, "bf16": False, "muon_lr": 1e-3}
    reader = {"hidden_size": 96, "layers": 1, "optim": optim}
    raw = {"stage": "base", "out": str(out), "seed": seed, "count": 64, "workers": 1}
    found = resolve_recipe({**raw, "parts": ["reader"], "reader": reader}, "test")
    assert isinstance(found, BaseRecipe)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseRecipe, Path]:
    recipe = recipe_at(tmp_path_factory.mktemp("base") / "run")
    return recipe, run_base(recipe, progress=False)


def test_the_folder_is_a_base_with_a_reader(base: tuple[BaseRecipe, Path]) -> None:
    recipe, folder = base
    found = resolve_base(str(folder))  # checks every checksum
    assert found.image_size == 64 and has_reader(folder / "reader")
    described = json.loads((folder / "base.json").read_text())
    assert described["pictures"] == 64 and described["parts"] == ["reader"]
    assert "reader/model.safetensors" in described["files"]
    assert (recipe.out / "recipe.yaml").is_file()


def test_the_reader_opens_in_fp32_with_what_was_stored_in_bf16(
    base: tuple[BaseRecipe, Path],
) -> None:
    model = load_backbone(resolve_base(str(base[1])))
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, parameter.bfloat16().float())


def test_corpus_and_stories_are_the_same_pictures(base: tuple[BaseRecipe, Path]) -> None:
    recipe, _ = base
    corpus, stories = draw_corpus(recipe), stories_of(recipe, 3)
    assert corpus.shape == (64, 64, 64, 3) and corpus.dtype == np.uint8
    for picture, story in zip(corpus, stories, strict=False):
        assert np.array_equal(picture, np.asarray(storybook.paint_story(story, 64)))


def test_corpus_and_tokenizer_are_made_once(
    base: tuple[BaseRecipe, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(storybook, "draw_many", fail)
    monkeypatch.setattr("emosym.models.tokenizer.train_tokenizer", fail)
    recipe, _ = base
    assert len(draw_corpus(recipe)) == 64
    assert len(tokenizer_of(recipe)) <= 1024


def test_the_world_is_its_own(tmp_path: Path) -> None:
    one, other = world_seed(recipe_at(tmp_path)), world_seed(recipe_at(tmp_path, seed=1))
    assert one != other and one not in (0, 1)
