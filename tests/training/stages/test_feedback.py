"""Stage 4 on the tiny model: what trains, what is remembered, and that a stopped run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from emosym.config.recipes import FeedbackRecipe
from emosym.data.storybook import write_storybook
from emosym.files import sha256_of
from emosym.memory.bank import Bank
from emosym.models.checkpoint import DESCRIPTION, load_checkpoint
from emosym.training.stages.feed import open_feeds
from emosym.training.stages.feedback import run_feedback, set_trainable, train_feedback, train_round


@pytest.fixture(scope="module")
def story_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("story") / "data"
    write_storybook(root, {"train": 24, "val": 8, "test": 2}, size=64, seed=5, workers=1)
    return root


def recipe_of(out: Path, init: Path, root: Path, **more: object) -> FeedbackRecipe:
    settings: dict[str, object] = {
        "stage": "feedback",
        "out": out,
        "init": str(init),
        "data": {"root": root, "workers": 1},
        "rounds": 1,
        "paint_per_emotion": 2,
        "num_inference_steps": 2,
        "admission": "train_on",
        "duplicate_similarity": 1.0,
        "ratio": 0.5,
        "optim": {
            "steps": 4,
            "batch_size": 8,
            "lr": 1e-3,
            "checkpoint_every": 2,
            "log_every": 1,
            "bf16": False,
        },
        **more,
    }
    return FeedbackRecipe.model_validate(settings)


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("scope", ["head", "lora"])
def test_only_the_scope_trains_and_all_of_it(
    scope: str, tmp_path: Path, tiny_checkpoint: Path, story_root: Path
) -> None:
    recipe = recipe_of(tmp_path / "run", tiny_checkpoint, story_root, scope=scope)
    model = load_checkpoint(tiny_checkpoint)
    train, _ = open_feeds(model.reader, recipe)
    reasoner = model.reader.reasoner
    before = snapshot(reasoner)
    painter = {k: snapshot(m) for k, m in model.painter.modules().items()}
    bank = Bank.open(recipe.out / "bank", create=True)
    set_trainable(reasoner, scope, model.space)
    train_round(model, train, None, bank, recipe, 1, progress=False)
    after = snapshot(reasoner)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    expected = {n for n in before if n.startswith(("latent_tokens.", "heads."))}
    if scope == "lora":
        expected |= {name for name in before if ".lora_" in name}
    assert moved == expected
    for name, module in model.painter.modules().items():
        for key, value in snapshot(module).items():
            assert torch.equal(value, painter[name][key])


def test_paintings_are_remembered_with_provenance_and_a_run_goes_on(
    tmp_path: Path, tiny_checkpoint: Path, story_root: Path
) -> None:
    recipe = recipe_of(tmp_path / "run", tiny_checkpoint, story_root)
    result = run_feedback(recipe, progress=False)
    rounds = json.loads((recipe.out / "rounds.json").read_text())
    assert [r["number"] for r in rounds] == [0, 1]
    assert rounds[1]["painted"] == 16
    entries = Bank.open(recipe.out / "bank").read()
    assert len(entries) == rounds[1]["admitted"] == rounds[1]["bank"] > 0
    assert {e.provenance.round for e in entries} == {1}
    assert {e.provenance.checkpoint for e in entries} == {sha256_of(tiny_checkpoint / DESCRIPTION)}
    assert result.model.stages[-1] == "feedback"
    # a run killed after its training but before its end: painted pictures are not painted again
    shutil.rmtree(recipe.out / "checkpoint")
    again = run_feedback(recipe, progress=False)
    assert json.loads((recipe.out / "rounds.json").read_text()) == rounds
    assert again.values == result.values


def test_the_best_round_is_kept(tmp_path: Path, tiny_checkpoint: Path, story_root: Path) -> None:
    recipe = recipe_of(
        tmp_path / "run",
        tiny_checkpoint,
        story_root,
        optim={"steps": 4, "batch_size": 8, "lr": 10.0, "checkpoint_every": 4, "log_every": 1},
    )
    model = load_checkpoint(tiny_checkpoint)
    train, val = open_feeds(model.reader, recipe)
    before = snapshot(model.reader.reasoner)
    _, rounds = train_feedback(model, train, val, recipe, progress=False)
    best = max(rounds, key=lambda r: (r.held_out["accuracy"], -r.held_out["nll"]))
    assert rounds[0].kept
    after = snapshot(model.reader.reasoner)
    same = all(torch.equal(before[name], after[name]) for name in before)
    assert same == (best.number == 0)


def test_the_last_round_can_be_kept_whatever_it_did(
    tmp_path: Path, tiny_checkpoint: Path, story_root: Path
) -> None:
    recipe = recipe_of(
        tmp_path / "run",
        tiny_checkpoint,
        story_root,
        keep="last",
        optim={"steps": 4, "batch_size": 8, "lr": 10.0, "checkpoint_every": 4, "log_every": 1},
    )
    model = load_checkpoint(tiny_checkpoint)
    train, val = open_feeds(model.reader, recipe)
    before = snapshot(model.reader.reasoner)
    _, rounds = train_feedback(model, train, val, recipe, progress=False)
    assert [r.kept for r in rounds] == [True, True]
    after = snapshot(model.reader.reasoner)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_without_paintings_in_training_nothing_is_painted(
    tmp_path: Path, tiny_checkpoint: Path, story_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "emosym.training.stages.feedback.fill_bank",
        lambda *a: pytest.fail("it painted for nothing"),
    )
    recipe = recipe_of(tmp_path / "run", tiny_checkpoint, story_root, ratio=0)
    result = run_feedback(recipe, progress=False)
    rounds = json.loads((recipe.out / "rounds.json").read_text())
    assert [r["painted"] for r in rounds] == [0, 0] and result.checkpoint.is_dir()
