"""Which parameter goes to which optimizer, Muon on convolutions, and the schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from emosym.device import cpu_plan
from emosym.models.reader.latent_tokens import LatentTokens
from emosym.models.speed import LEAVE_OUT
from emosym.training.loop.optim import (
    FlattenedMuon,
    build_optimizers,
    cosine,
    flat_then_decay,
    orthogonalise,
)
from emosym.training.stages.conditions import InvertedEmotions

SETTINGS = {"lr": 0.1, "weight_decay": 0.1, "ns_steps": 4, "adjust_lr_fn": "match_rms_adamw"}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 6, 1, 1), (5, 7)])
def test_a_convolution_moves_as_its_matrix_does(
    shape: tuple[int, ...], channels_last: bool
) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape)
    weight = nn.Parameter(start.clone())
    if channels_last and len(shape) == 4:
        weight = nn.Parameter(start.clone().to(memory_format=torch.channels_last))
    matrix = nn.Parameter(start.flatten(1).clone())
    ours, theirs = FlattenedMuon([weight], **SETTINGS), Muon([matrix], **SETTINGS)
    for _ in range(4):
        gradient = torch.randn(shape)
        weight.grad, matrix.grad = gradient.clone(), gradient.flatten(1).clone()
        if channels_last and len(shape) == 4:
            weight.grad = weight.grad.to(memory_format=torch.channels_last)
        ours.step()
        theirs.step()
        torch.testing.assert_close(weight.detach().flatten(1), matrix.detach(), atol=2e-3, rtol=0)
    assert float((weight.detach() - start).abs().mean()) > 0.03
    ours.zero_grad()
    assert weight.grad is None


def test_a_weight_that_moved_in_memory_still_trains() -> None:
    conv = nn.Conv2d(3, 4, 3)
    optimizer = FlattenedMuon([conv.weight], **SETTINGS)
    conv.to(memory_format=torch.channels_last)
    before = conv.weight.detach().clone()
    conv(torch.randn(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    assert not torch.equal(conv.weight, before)


def test_muon_state_goes_through_a_state_dict() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(4, 3, 3, 3), [torch.randn(4, 3, 3, 3) for _ in range(4)]

    def run(optimizer: FlattenedMuon, weight: nn.Parameter, parts: list[torch.Tensor]) -> None:
        for gradient in parts:
            weight.grad = gradient.clone()
            optimizer.step()

    whole = nn.Parameter(start.clone())
    run(FlattenedMuon([whole], **SETTINGS), whole, gradients)
    first = nn.Parameter(start.clone())
    one = FlattenedMuon([first], **SETTINGS)
    run(one, first, gradients[:2])
    second = nn.Parameter(first.detach().clone())
    two = FlattenedMuon([second], **SETTINGS)
    two.load_state_dict(one.state_dict())
    run(two, second, gradients[2:])
    assert torch.equal(whole, second)


def compute_in(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", f"{dtype} eager")
    cpu_plan.cache_clear()


MANY = [(5, 7), (5, 7), (4, 6, 3, 3), (7, 5), (4, 6, 3, 3), (5, 7), (9, 4)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"adjust_lr_fn": "original"}, {"adjust_lr_fn": None, "nesterov": False, "ns_steps": 5}],
)
def test_matrices_of_one_shape_move_together_as_alone(
    changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_in(monkeypatch, "bfloat16")  # as torch's own always does
    torch.manual_seed(0)
    starts = [torch.randn(shape) for shape in MANY]
    weights = [nn.Parameter(start.clone()) for start in starts]
    matrices = [nn.Parameter(start.clone().flatten(1)) for start in starts]
    settings = {**SETTINGS, **changes}
    ours, theirs = FlattenedMuon(weights, **settings), Muon(matrices, **settings)
    for turn in range(4):
        for i, (weight, matrix) in enumerate(zip(weights, matrices, strict=True)):
            skipped = i == turn  # a weight without a gradient stays where it is
            gradient = torch.randn(weight.shape)
            weight.grad = None if skipped else gradient
            matrix.grad = None if skipped else gradient.flatten(1)
        ours.step()
        theirs.step()
    for start, weight, matrix in zip(starts, weights, matrices, strict=True):
        torch.testing.assert_close(weight.detach().flatten(1), matrix.detach(), atol=2e-3, rtol=0)
        assert float((weight.detach() - start).abs().mean()) > 0.03
    one, other = ours.state_dict(), theirs.state_dict()
    assert one["state"].keys() == other["state"].keys()
    for i, state in one["state"].items():
        wanted = other["state"][i]["momentum_buffer"]
        torch.testing.assert_close(state["momentum_buffer"], wanted)


def test_directions_are_nearly_orthogonal() -> None:
    """Muon's iteration leaves singular values near 1 (0.5 to 1.5 as its coefficients aim)."""
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    for given in (matrices, matrices.mT, matrices[:1]):
        found = orthogonalise(given, (3.4445, -4.775, 2.0315), 5, 1e-7)
        assert found.shape == given.shape
        values = torch.linalg.svdvals(found.float())
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.5
        u, _, v = torch.linalg.svd(given, full_matrices=False)
        assert float((found.float() * (u @ v)).sum(dim=(1, 2)).min()) > 0.8 * 8


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_the_iteration_by_hand_in_the_dtype_that_is_fast_here(
    dtype: str, error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_in(monkeypatch, dtype)
    a, b, c = 3.4445, -4.775, 2.0315
    given = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
    found = orthogonalise(given, (a, b, c), 3, 1e-7)
    assert found.dtype == getattr(torch, dtype)
    for matrix, direction in zip(given.double().numpy(), found.double().numpy(), strict=True):
        x = matrix / np.linalg.norm(matrix)
        for _ in range(3):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        assert np.abs(direction - x).max() < error


def test_one_after_the_other_goes_on_from_the_state_of_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(2, 4, 9), torch.randn(4, 2, 4, 9)
    found = []
    for orders in (("", "muon_batch"), ("muon_batch", ""), ("muon_batch", "muon_batch")):
        weights = [nn.Parameter(w.clone()) for w in start]
        state = None
        for half, left_out in enumerate(orders):
            monkeypatch.setenv(LEAVE_OUT, left_out)
            optimizer = FlattenedMuon(weights, **SETTINGS)
            if state is not None:
                optimizer.load_state_dict(state)
            for gradient in gradients[2 * half : 2 * half + 2]:
                for weight, part in zip(weights, gradient, strict=True):
                    weight.grad = part.clone()
                optimizer.step()
            state = optimizer.state_dict()
        found.append(torch.stack([w.detach() for w in weights]))
    for other in found[:2]:
        torch.testing.assert_close(other, found[2], atol=2e-3, rtol=0)


def test_fused_adamw_moves_as_the_plain_one() -> None:
    torch.manual_seed(0)
    ours, plain = Small(), Small()
    plain.load_state_dict(ours.state_dict())
    (fused,) = build_optimizers({"m": ours}, lr=0.01, weight_decay=0.2)
    (alone,) = build_optimizers({"m": plain}, lr=0.01, weight_decay=0.2)
    assert isinstance(fused, AdamW) and all(g["fused"] for g in fused.param_groups)
    for group in alone.param_groups:
        group["fused"] = False
    for _ in range(5):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            if one.requires_grad:
                one.grad = torch.randn(one.shape)
                other.grad = one.grad.clone()
        fused.step()
        alone.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.inner = nn.Linear(4, 4)
        self.conv = nn.Conv2d(1, 4, 3)
        self.row = nn.Parameter(torch.zeros(1, 4))
        self.gain = nn.Parameter(torch.ones(()))
        self.tied = nn.Linear(4, 5, bias=False)
        self.tied.weight = self.table.weight
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def ids(group: dict) -> set[int]:
    return {id(p) for p in group["params"]}


def test_who_trains_what() -> None:
    m = Small()
    (adam,) = build_optimizers({"m": m}, lr=0.01, weight_decay=0.2)
    assert isinstance(adam, AdamW)
    decayed, plain = adam.param_groups
    assert ids(decayed) == {id(m.inner.weight), id(m.conv.weight), id(m.row)}
    assert decayed["weight_decay"] == 0.2 and plain["weight_decay"] == 0.0
    rest = (m.table.weight, m.norm.weight, m.norm.bias, m.inner.bias, m.conv.bias, m.gain)
    assert ids(plain) == {id(p) for p in rest}


def test_muon_takes_the_inner_matrices_only() -> None:
    m = Small()
    muon, adam = build_optimizers({"m": m}, lr=0.01, weight_decay=0.2, muon_lr=0.02)
    assert isinstance(muon, FlattenedMuon)
    shapes = [tuple(p.shape) for p in muon.param_groups[0]["params"]]
    assert shapes == [(4, 4), (4, 9)]
    assert muon.param_groups[0]["params"][0].data_ptr() == m.inner.weight.data_ptr()
    assert id(m.row) in ids(adam.param_groups[0])  # one row is no matrix
    assert (muon.param_groups[0]["lr"], adam.param_groups[0]["lr"]) == (0.02, 0.01)


def test_one_module_under_two_names_is_trained_once() -> None:
    m = Small()
    optimizers = build_optimizers({"a": m, "b": m}, lr=0.01, muon_lr=0.02)
    count = sum(len(g["params"]) for o in optimizers for g in o.param_groups)
    assert count == sum(p.requires_grad for p in m.parameters())


@pytest.mark.parametrize("muon_lr", [None, 0.02])
def test_the_tokens_and_learned_emotions_are_embeddings(muon_lr: float | None) -> None:
    """Matrices by their shape, but rows of a table: AdamW without weight decay."""
    modules = {"tokens": LatentTokens(4, 3, True), "emotions": InvertedEmotions(8, 3, 4, 0)}
    (adam,) = build_optimizers(modules, lr=0.01, weight_decay=0.2, muon_lr=muon_lr)
    (group,) = adam.param_groups
    assert isinstance(adam, AdamW) and group["weight_decay"] == 0.0
    wanted = {id(p) for module in modules.values() for p in module.parameters()}
    assert len(wanted) == 4 and ids(group) == wanted


def test_nothing_to_train() -> None:
    assert build_optimizers({"m": Small().requires_grad_(False)}, lr=0.1) == []


def test_cosine() -> None:
    schedule = cosine(0.1)
    assert schedule(0.05) == pytest.approx(0.5)
    assert schedule(0.1) == pytest.approx(1.0)
    assert schedule(0.55) == pytest.approx(0.5)
    assert schedule(1.0) == pytest.approx(0.0)
    assert 0 < schedule(0.0) <= 1e-3


def test_flat_then_decay() -> None:
    schedule = flat_then_decay(0.1, 0.4)
    assert schedule(0.05) == pytest.approx(0.5)
    assert schedule(0.3) == schedule(0.6) == 1.0
    assert schedule(0.8) == pytest.approx(0.5)
    assert schedule(1.0) == pytest.approx(0.0)
