"""The device and the measured plan."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from emosym import device
from emosym.errors import UsageError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No plan is there yet, and the block that is measured is small."""
    for name, size in {"BATCH": 2, "LENGTH": 16, "WIDTH": 32}.items():
        monkeypatch.setattr(device, name, size)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("EMOSYM_CPU_PLAN", raising=False)
    device.cpu_plan.cache_clear()
    return tmp_path


def test_best_device_is_on_this_machine_or_refused() -> None:
    best = device.best_device()
    assert torch.zeros(1, device=best).device.type == best.type
    assert device.best_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="Did you mean 'cuda'"):
        device.best_device("cudaa")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"not on this machine; it has: .*cpu"):
            device.best_device("cuda:0")


def test_the_plainer_choice_wins_unless_clearly_slower() -> None:
    times = {"float32 sdpa": 11.0, "float32 eager": 10.5, "bfloat16 sdpa": 10.0}
    assert device.choose(times) == ("float32", "sdpa")
    assert device.choose({**times, "bfloat16 eager": 5.0}) == ("bfloat16", "eager")
    assert device.choose({"float32 sdpa": 20.0, "float32 eager": 10.0}) == ("float32", "eager")


VARIANTS = {f"{dtype} {attention}" for dtype in device.DTYPES for attention in device.ATTENTIONS}


def test_measurement_covers_all_variants() -> None:
    times = device.measure(0.0)
    assert set(times) == VARIANTS and len(VARIANTS) == 4
    assert all(0 < value < float("inf") for value in times.values())


@pytest.mark.parametrize(
    ("step_seconds", "turns"), [(0.01, 49), (100.0, device.LEAST_TURNS)], ids=["quick", "slow"]
)
def test_measurement_takes_turns_for_about_the_time_given(
    monkeypatch: pytest.MonkeyPatch, step_seconds: float, turns: int
) -> None:
    """By a clock that only the steps move: four of .01 s are warmed up, then 49 turns fill 2 s."""
    clock, taken = [0.0], collections.Counter[str]()

    def layer_step(dtype: torch.dtype, attention: str) -> tuple[Callable[[], None], torch.Tensor]:
        def step() -> None:
            clock[0] += step_seconds
            taken[f"{dtype} {attention}"] += 1

        return step, torch.zeros(1)

    monkeypatch.setattr(device, "layer_step", layer_step)
    monkeypatch.setattr(device.time, "perf_counter", lambda: clock[0])
    times = device.measure(2.0)
    assert len(taken) == 4 and set(taken.values()) == {1 + turns}
    assert list(times.values()) == pytest.approx([1000 * step_seconds] * 4)


def test_eager_and_sdpa_compute_the_same() -> None:
    """The comparison is fair only if both variants do the same work."""
    gradients = []
    for attention in device.ATTENTIONS:
        step, weight = device.layer_step(torch.float32, attention)
        step()
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_plan_is_kept_and_threads_left_alone(own_cache: Path) -> None:
    before = torch.get_num_threads()
    plan = device.cpu_plan()
    assert torch.get_num_threads() == before
    assert plan.threads == device.wanted_threads()
    assert plan.torch_dtype() == getattr(torch, plan.dtype)
    (file,) = (own_cache / "emosym").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "attention": "eager"}))
    device.cpu_plan.cache_clear()
    assert device.cpu_plan().attention == "eager"
    for broken in ("{", '{"dtype": "int3"}', '{"x": 1}'):
        file.write_text(broken)
        assert device._read_plan(file) is None


def test_plan_can_be_fixed_by_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", "float32 eager")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert device.cpu_plan() == device.CpuPlan("float32", "eager", 3, {})
    device.cpu_plan.cache_clear()
    monkeypatch.setenv("EMOSYM_CPU_PLAN", "float32 eagre")
    with pytest.raises(UsageError, match="Did you mean 'float32 eager'"):
        device.cpu_plan()


@pytest.mark.parametrize(("dtype", "fast"), [("float32", False), ("bfloat16", True)])
def test_bf16_is_used_where_it_was_measured_to_be_fast(
    dtype: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", f"{dtype} eager")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.has_bf16() is fast


def test_bf16_on_a_gpu_needs_units_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", "bfloat16 eager")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation
    )
    assert not device.has_bf16()


def test_threads_follow_the_user_then_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "x")
    assert device.wanted_threads() == device.usable_cores() >= 1
