"""The pointer alone on kept latents: what moves, what it gains, and from where a pair is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.stages.test_m2se import adapted, base, opened, plan, talk_data

from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.pointer import LIKELY, with_likely
from emosym.models.reader.talks import talks_of
from emosym.training.stages.m2se import train_m2se
from emosym.training.stages.settle import settle_pointer
from emosym.training.stages.talk_values import held_out

__all__ = ("base",)


def weights(model: EmoSymModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.reader.reasoner.named_parameters()}


def test_it_finds_causes_that_short_training_did_not(base: Path, tmp_path: Path) -> None:
    recipe = plan(tmp_path, 3, evaluate_every=3)
    model = adapted(opened(base), recipe)
    train, val = (
        talks_of(model.reader, data)
        for data in (talk_data("train", 0, 64), talk_data("val", 500, 32))
    )
    train_m2se(model, train, val, recipe, progress=False)
    before = held_out(model.reader, val).values
    old = weights(model)
    settle_pointer(model, train, 120, seed=0)
    new, after = weights(model), held_out(model.reader, val).values
    moved = {name for name in new if not torch.equal(old[name], new[name])}
    pointer = {name for name in new if "pointer." in name}
    assert moved and moved <= pointer
    assert pointer - moved <= {name for name in pointer if "effect_emotion" in name}
    assert after["causes_given_f1"] > before["causes_given_f1"] + 0.1
    assert after["accuracy"] == before["accuracy"]
    assert not any(p.requires_grad for p in model.reader.reasoner.pointer.parameters())
    again = adapted(opened(base), recipe)
    train_m2se(again, train, val, plan(tmp_path / "two", 3, evaluate_every=3), progress=False)
    settle_pointer(again, train, 120, seed=0)
    assert all(torch.equal(new[name], weights(again)[name]) for name in pointer)
    # where pairs are said from is kept with the checkpoint; an older one says LIKELY
    likely = float(model.reader.reasoner.pointer.likely)
    assert likely != LIKELY
    save_checkpoint(model, tmp_path / "settled")
    loaded = load_checkpoint(tmp_path / "settled").reader.reasoner
    assert loaded.pointer is not None and float(loaded.pointer.likely) == pytest.approx(likely)
    older = with_likely({"pointer.last.bias": torch.zeros(1)})
    assert float(older["pointer.likely"]) == LIKELY and "pointer.likely" not in with_likely({})


@pytest.mark.parametrize(("every", "read"), [(3, 0), (2, 2)])
def test_held_out_data_are_read_before_it_only_to_choose_weights(
    every: int, read: int, base: Path, tmp_path: Path
) -> None:
    recipe = plan(tmp_path, 3, evaluate_every=every, settle=1)
    model = adapted(opened(base), recipe)
    train, val = (talks_of(model.reader, talk_data("train", k, 15)) for k in (0, 500))
    done = train_m2se(model, train, val, recipe, progress=False)
    assert len(done.rounds) == read and (done.best is None) == (read == 0)
    assert not any(p.requires_grad for p in model.reader.reasoner.parameters())


def test_a_pointer_that_is_not_there_cannot_settle(tmp_path: Path) -> None:
    for changes in ({"tasks": ["mer"]}, {"w_causes": 0}):
        told = r"^Recipe test: settle: steps of the pointer to causes, so tasks must name ecpe\.$"
        with pytest.raises(UsageError, match=told):
            plan(tmp_path, 5, settle=10, **changes)
