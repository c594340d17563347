"""The loop: every sample once an epoch, and kill -9 anywhere changes no number."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.forks import in_fork
from tests.training.loop import killed_runs
from torch import nn

from emosym.errors import EmoSymError, StoppedEarly, UsageError
from emosym.training.loop.loop import LoopSettings, batch_indices, run_loop
from emosym.training.loop.optim import build_optimizers, cosine

STEPS, SIZE = 23, 19


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 4), nn.Linear(4, 1)
    )


def settings_of(out: Path) -> LoopSettings:
    return LoopSettings(
        name="tiny",
        out=out,
        steps=STEPS,
        batch_size=6,
        seed=5,
        checkpoint_every=4,
        log_every=2,
        ema_decay=0.8,
        accumulate=2,
        bf16=False,
    )


def train(settings: LoopSettings, model: nn.Module | None = None, hook=None) -> nn.Module:
    """Train on noise-augmented data: dropout, noise, EMA, two optimizers, accumulation."""
    model = model or build()
    data = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(1))

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        if hook is not None:
            hook(step)
        x = data[torch.from_numpy(indices)]
        found = model(x + 0.1 * torch.randn_like(x))[:, 0]
        loss = (found - x.sum(1)).square().mean()
        return {"loss": loss, "mean": found.mean()}

    optimizers = build_optimizers({"m": model}, 1e-2, 0.1, muon_lr=2e-2)
    run_loop(settings, {"m": model}, optimizers, cosine(0.1), SIZE, loss_fn, progress=False)
    return model


def rows(out: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(row.pop("samples_per_second") > 0 for row in found)
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    out = tmp_path_factory.mktemp("loop") / "whole"
    return train(settings_of(out)), out


@pytest.mark.slow  # a process for each place
def test_killed_or_stopped_anywhere_it_ends_with_the_same_numbers(tmp_path: Path) -> None:
    """Kills: before the first state, in the middle, while a state is written, just before the end.

    And one stop by a deadline that is past, which is due at the next line of the log.

    One process imports once and forks every run, which then dies for real. The uninterrupted run
    is such a fork too: a process that has run other tests may round differently (its memory is
    aligned differently), and what is pinned is that a kill changes nothing.
    """
    middle = int(np.random.default_rng().integers(5, 10))
    plans = ["whole:0", "step:2", f"step:{middle}", "save:0", "stop:0", "step:21", "end:0"]
    told = run_plans(tmp_path, plans)
    assert "step 21 ['step-00000016', 'step-00000020']" in told
    assert ".tmp-" in told  # the torn state was there, and was not taken for one
    (stopped,) = (line for line in told.splitlines() if line.startswith("tiny"))
    assert stopped in ("tiny at step 10 of 23", "tiny at step 14 of 23")  # no checkpoint's step
    assert_the_same_in_the_end(tmp_path)


def run_plans(out: Path, plans: list[str]) -> str:
    code, said = in_fork(killed_runs.run_plans, out, plans, log=out / "log")
    assert code == 0, said[-2000:]
    return said


def assert_the_same_in_the_end(out: Path) -> None:
    whole, resumed = (load_file(out / f"{kind}.safetensors") for kind in ("whole", "end"))
    assert set(whole) == set(resumed)
    for name, wanted in whole.items():
        assert torch.equal(resumed[name], wanted), name
    assert rows(out / "killed") == rows(out / "whole")
    assert [row["step"] for row in rows(out / "killed")] == [*range(2, 23, 2), 23]
    kept = sorted(p.name for p in (out / "killed" / "state").iterdir())
    assert kept == ["step-00000020", "step-00000023"]


TORN = {
    "weights halved": lambda out: halve(last_state(out) / "weights.safetensors"),
    "state.json halved": lambda out: halve(last_state(out) / "state.json"),
    "optimizer empty": lambda out: (last_state(out) / "optimizer.safetensors").write_bytes(b""),
    "half a last line": lambda out: halve(out / "metrics.jsonl"),
    "half a last line in the state": lambda out: halve(last_state(out) / "metrics.jsonl"),
    "no lines": lambda out: (out / "metrics.jsonl").write_bytes(b""),
    "lines of zeros": lambda out: (out / "metrics.jsonl").write_bytes(bytes(400)),
    "no text": lambda out: (out / "metrics.jsonl").write_bytes(
        b'\xff{"step": 2}\n[]\n{"step": ""}\n'
    ),
}


def last_state(out: Path) -> Path:
    return sorted((out / "state").glob("step-*"))[-1]


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("torn", TORN)
def test_from_a_torn_state_it_ends_with_the_same_numbers(
    uninterrupted: tuple[nn.Module, Path], tmp_path: Path, torn: str
) -> None:
    def killed(step: int) -> None:
        if step == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings_of(tmp_path), hook=killed)
    assert last_state(tmp_path).name == "step-00000012"
    TORN[torn](tmp_path)
    resumed: list[int] = []
    model = train(settings_of(tmp_path), hook=resumed.append)
    assert resumed[0] == (8 if "weights" in torn or "state" in torn or "optimizer" in torn else 12)
    whole, out = uninterrupted
    for now, wanted in zip(rows(tmp_path), rows(out), strict=True):
        assert now == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(model.state_dict(), whole.state_dict())


def test_the_average_is_an_average_and_replaces_the_weights(
    uninterrupted: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    """By hand: decay min(.8, (1 + s) / (10 + s)) over the weights after each step."""
    seen: list[torch.Tensor] = []
    model = build()
    settings = replace(settings_of(tmp_path), ema_decay=None, accumulate=1)
    train(settings, model, lambda step: seen.append(model[0].weight.detach().clone()))
    seen.append(model[0].weight.detach().clone())
    average = seen[0]
    for step, weight in enumerate(seen[1:]):
        decay = min(0.8, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    kept = train(replace(settings, ema_decay=0.8, out=tmp_path / "b"))
    torch.testing.assert_close(kept[0].weight.detach(), average, atol=1e-6, rtol=1e-5)


def test_a_finished_run_is_not_run_again(
    uninterrupted: tuple[nn.Module, Path],
) -> None:
    whole, out = uninterrupted
    before = (out / "metrics.jsonl").read_text()

    def fail(step: int) -> None:
        raise AssertionError("trained again")

    again = train(settings_of(out), hook=fail)
    assert (out / "metrics.jsonl").read_text() == before
    assert torch.equal(again[0].weight, whole[0].weight)


def test_a_batch_in_parts_is_the_same_gradient(tmp_path: Path) -> None:
    def one_step(out: Path, accumulate: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Linear(4, 1)
        data = torch.randn(6, 4)
        settings = LoopSettings(
            "t", out, 1, 6, 0, log_every=1, accumulate=accumulate, bf16=False, max_grad_norm=0
        )
        run_loop(
            settings,
            {"m": model},
            [torch.optim.SGD(model.parameters(), lr=1.0)],
            lambda progress: 1.0,
            6,
            lambda s, i: {"loss": model(data[torch.from_numpy(i)]).square().mean()},
            progress=False,
        )
        return model.weight.detach()

    torch.testing.assert_close(one_step(tmp_path / "1", 1), one_step(tmp_path / "3", 3))


@pytest.mark.parametrize(("size", "batch"), [(19, 6), (4, 7), (8, 8), (1, 3)])
def test_every_sample_comes_once_an_epoch(size: int, batch: int) -> None:
    steps = 5 * size
    drawn = np.concatenate([batch_indices(3, "a", s, batch, size) for s in range(steps)])
    for epoch in range(len(drawn) // size):
        part = drawn[epoch * size : (epoch + 1) * size]
        assert sorted(part.tolist()) == list(range(size)), epoch
    if size > 4:
        assert drawn[:size].tolist() != drawn[size : 2 * size].tolist()
        other = [batch_indices(s, n, 0, batch, size).tolist() for s, n in ((4, "a"), (3, "b"))]
        assert drawn[:batch].tolist() not in other


def test_a_repeated_batch_serves_several_steps(tmp_path: Path) -> None:
    seen: list[list[int]] = []
    model = nn.Linear(1, 1)

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        seen.append(indices.tolist())
        return {"loss": model.weight.square().sum()}

    settings = LoopSettings("r", tmp_path, 6, 2, 0, 4, 2, bf16=False, repeat=2)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1)]
    run_loop(settings, {"m": model}, optimizers, lambda p: 1.0, 9, loss_fn, progress=False)
    assert seen[0] == seen[1] and seen[2] == seen[3] and seen[0] != seen[2]


def test_it_stops_where_neither_a_log_line_nor_a_repeated_batch_is_cut(tmp_path: Path) -> None:
    changes = {"steps": 12, "checkpoint_every": 12, "log_every": 2, "repeat": 3, "deadline": 0.0}
    with pytest.raises(StoppedEarly, match=r"^x at step 6 of 12$"):
        one(tmp_path, lambda step, model: model.weight.sum(), **changes)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-00000006"]
    one(tmp_path, lambda step, model: model.weight.sum(), **changes)  # the last step is the end
    assert [row["step"] for row in rows(tmp_path)] == [2, 4, 6, 8, 10, 12]


def test_a_deadline_to_come_stops_nothing(tmp_path: Path) -> None:
    one(tmp_path, lambda step, model: model.weight.sum(), deadline=time.time() + 3600)
    assert [p.name for p in sorted((tmp_path / "state").iterdir())][-1] == "step-00000003"


def one(tmp_path: Path, loss_fn, **changes) -> None:
    model = nn.Linear(1, 1)
    settings = replace(LoopSettings("x", tmp_path, 3, 2, 0, 1, 1, bf16=False), **changes)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1)]
    size = 4 if "size" not in changes else 0
    fn = lambda step, indices: {"loss": loss_fn(step, model)}  # noqa: E731
    run_loop(settings, {"m": model}, optimizers, lambda p: 1.0, size, fn, progress=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_one_sentence(tmp_path: Path, value: float) -> None:
    def loss_fn(step: int, model: nn.Module) -> torch.Tensor:
        return model.weight.sum() * (value if step == 2 else 1.0)

    with pytest.raises(EmoSymError, match=r"x: the loss is .* at step 2\. Lower the learning rate"):
        one(tmp_path, loss_fn)
    assert [p.name for p in sorted((tmp_path / "state").iterdir())][-1] == "step-00000002"


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(tmp_path: Path) -> None:
    """The root of 0 has the value 0 and an infinite slope."""

    def loss_fn(step: int, model: nn.Module) -> torch.Tensor:
        return (model.weight * 0.0).abs().sqrt().sum() if step == 1 else model.weight.sum()

    for norm in (1.0, 0.0):
        with pytest.raises(EmoSymError, match="the gradient is nan at step 1"):
            one(tmp_path / str(norm), loss_fn, max_grad_norm=norm)
        assert [p.name for p in (tmp_path / str(norm) / "state").iterdir()] == ["step-00000001"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "batch size of 1 or more"),
        ({"steps": -1}, "steps of 0 or more"),
        ({"checkpoint_every": 3, "log_every": 2}, "must be a multiple of log_every"),
        ({"checkpoint_every": 3, "repeat": 2}, "must be a multiple of repeat"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        one(tmp_path, lambda step, model: model.weight.sum(), **changes)


def test_no_data(tmp_path: Path) -> None:
    settings = LoopSettings("x", tmp_path, 1, 1, 0)
    with pytest.raises(UsageError, match="needs data"):
        run_loop(settings, {}, [], lambda p: 1.0, 0, lambda s, i: {}, progress=False)


def test_zero_steps_change_nothing(tmp_path: Path) -> None:
    model = build()
    before = model[0].weight.detach().clone()
    train(replace(settings_of(tmp_path), steps=0), model)
    assert torch.equal(model[0].weight, before)
