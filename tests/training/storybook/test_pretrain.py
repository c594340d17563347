"""The base stage, tiny: corpus, tokenizer, reader, and a folder with checksums."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.forks import forking

from emosym.config.load import resolve_recipe
from emosym.config.recipes import BaseRecipe
from emosym.errors import StoppedEarly
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.training.storybook import judges, pretrain
from emosym.training.storybook.corpus import prepare_data
from emosym.training.storybook.pretrain import run_base


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """One judge; processes of parts are forks."""
    train = judges.train_judges
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "train_judges", partial(train, names=["judge-a"]))
        patch.setattr(pretrain, "get_context", lambda method: forking())
        yield


def judges_too(out: Path, workers: int, muon_lr: float | None = 1e-3) -> BaseRecipe:
    """A reader of 21 steps (a line of the log is 20) and judges of 11 (a line is 10)."""
    settings = {"steps": 21, "batch_size": 2, "bf16": False, "muon_lr": muon_lr}
    raw = {
        **{"stage": "base", "out": str(out), "count": 64, "workers": workers},
        "parts": ["reader", "judges"],
        "reader": {"hidden_size": 96, "layers": 1, "optim": settings},
        "judges": {"count": 4, "steps": 11, "batch_size": 2},
    }
    found = resolve_recipe(raw, "test")
    assert isinstance(found, BaseRecipe)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseRecipe, Path]:
    """A base that was trained without a stop."""
    recipe = judges_too(tmp_path_factory.mktemp("base") / "run", workers=1)
    return recipe, run_base(recipe, progress=False)


def test_the_folder_is_a_base_with_a_reader(base: tuple[BaseRecipe, Path]) -> None:
    recipe, folder = base
    found = resolve_base(str(folder))  # checks every checksum
    assert found.image_size == 64
    described = json.loads((folder / "base.json").read_text())
    assert described["pictures"] == 64 and described["parts"] == ["reader", "judges"]
    wanted = ("config.json", "tokenizer_config.json", "model.safetensors")
    assert {f"reader/{name}" for name in wanted} <= set(described["files"])
    assert (recipe.out / "recipe.yaml").is_file()


def test_the_reader_opens_in_fp32_with_what_was_stored_in_bf16(
    base: tuple[BaseRecipe, Path],
) -> None:
    model = load_backbone(resolve_base(str(base[1])))
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, parameter.bfloat16().float())


def calls_until_done(recipe: BaseRecipe, most: int) -> list[str]:
    """Call run_base with a deadline that is past until it ends; returns where it stopped."""
    told: list[str] = []
    while len(told) < most:
        try:
            run_base(recipe, progress=False, deadline=0.0)
        except StoppedEarly as stopped:
            told.append(str(stopped))
        else:
            return told
    raise AssertionError(told)


def test_called_with_no_time_at_all_it_still_comes_to_its_end(
    base: tuple[BaseRecipe, Path], tmp_path: Path
) -> None:
    recipe = judges_too(tmp_path / "run", workers=1)
    told = calls_until_done(recipe, 9)
    assert told == [
        *("corpus at 64 of 64", "texts tokenized", "the judges' pictures drawn"),
        *("base-reader at step 20 of 21", "judges not begun", "judge-a at step 10 of 11"),
    ]
    assert {p.name for p in (recipe.out / "base").iterdir()} == {"base.json", "judges", "reader"}
    resolve_base(str(recipe.out / "base"))
    for name in ("reader/model.safetensors", "judges/judge-a.safetensors"):
        one, other = (load_file(out / "base" / name) for out in (recipe.out, base[0].out))
        assert one.keys() == other.keys()
        for key, wanted in other.items():  # bit for bit: test_loop, in processes of their own
            torch.testing.assert_close(one[key], wanted, atol=1e-2, rtol=1e-2)


@pytest.mark.slow  # two processes train
def test_parts_side_by_side_stop_together(tmp_path: Path) -> None:
    recipe = judges_too(tmp_path / "run", workers=2, muon_lr=None)  # only where it stops is asked
    prepare_data(recipe)
    with pytest.raises(StoppedEarly) as stopped:
        run_base(recipe, progress=False, deadline=0.0)
    where = sorted(str(stopped.value).split(", "))
    assert where == ["base-reader at step 20 of 21", "judge-a at step 10 of 11"]
    states = {p.name for p in recipe.out.rglob("step-*")}
    assert states == {"step-00000010", "step-00000020"}
    assert not (recipe.out / "base" / "base.json").exists()
