"""Where to compute, and how on a CPU: measured, since no rule holds over processors.

bfloat16 is several times faster than float32 on some processors and slower on others, and the
backward pass of sdpa loses to plain attention on some. One second of trying settles it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import read_json, user_cache, write_json

if TYPE_CHECKING:
    import torch

_MEASURING = threading.Lock()
DEVICES = ("auto", "cuda", "mps", "cpu")
DTYPES = ("float32", "bfloat16")
ATTENTIONS = ("sdpa", "eager")
MEASURE_SECONDS = 0.8
LEAST_TURNS = 2
# float32 and sdpa are the plain choice: another must win clearly, or noise would decide.
MARGIN = 1.15
# The measured block: a toy reasoner's layer on a batch of 16 chats of 96 tokens.
BATCH, LENGTH, WIDTH, HEADS = 16, 96, 192, 4


@dataclass(frozen=True, slots=True)
class CpuPlan:
    """How to compute on this CPU.

    `dtype` is a name in DTYPES and `attention` one in ATTENTIONS (transformers'
    `attn_implementation`); `threads` is for `torch.set_num_threads`. `milliseconds` holds what was
    measured, one forward and backward pass per "dtype attention", empty when nothing was.
    """

    dtype: str
    attention: str
    threads: int
    milliseconds: Mapping[str, float]

    def torch_dtype(self) -> torch.dtype:
        """Return `dtype` as torch's object."""
        import torch

        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32


def best_device(name: str = "auto") -> torch.device:
    """Return the device asked for, or the fastest kind present: cuda, then mps, then cpu.

    Raises:
        UsageError: when `name` is unknown, or the device is not on this machine.
    """
    import torch

    kind, _, index = name.partition(":")
    if kind not in DEVICES or (index and not index.isdigit()):
        raise unknown_name("device", name, DEVICES)
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if kind == "auto":
        return torch.device(next(key for key in DEVICES[1:] if present[key]))
    missing_index = kind == "cuda" and index and int(index) >= torch.cuda.device_count()
    if not present[kind] or missing_index:
        found = ", ".join(key for key, there in present.items() if there)
        raise UsageError(f"Device {name!r} is not on this machine; it has: {found}.")
    return torch.device(name)


def usable_cores() -> int:
    """Return how many cores this process may use: affinity and container quota included."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2 here
    return cores


def wanted_threads() -> int:
    """Return OMP_NUM_THREADS where it is set (the user's word), else the usable cores."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else usable_cores()


def choose(milliseconds: Mapping[str, float]) -> tuple[str, str]:
    """Return (dtype, attention) from timings by "dtype attention".

    Takes the fastest, unless a plainer choice (float32 before bfloat16, sdpa before eager) is
    within MARGIN of it.
    """
    plain_first = [f"{dtype} {kind}" for dtype in DTYPES for kind in ATTENTIONS]
    fastest = min(milliseconds.values())
    name = next(
        key for key in plain_first if key in milliseconds and milliseconds[key] <= fastest * MARGIN
    )
    dtype, attention = name.split()
    return dtype, attention


def layer_step(dtype: torch.dtype, attention: str) -> tuple[Callable[[], None], torch.Tensor]:
    """Return one forward and backward pass of a transformer layer, and a weight it trains."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(0)

    def weight(*shape: int) -> torch.Tensor:
        values = torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
        return values.to(dtype).requires_grad_()

    x = weight(BATCH, LENGTH, WIDTH)  # (B, T, D)
    into, out = weight(3 * WIDTH, WIDTH), weight(WIDTH, WIDTH)
    up, down = weight(4 * WIDTH, WIDTH), weight(WIDTH, 4 * WIDTH)
    hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    mask = torch.zeros(LENGTH, LENGTH, dtype=dtype).masked_fill(hidden, -1e4)  # (T, T)
    scale = (WIDTH // HEADS) ** -0.5

    def step() -> None:
        parts = F.linear(x, into).view(BATCH, LENGTH, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)  # each (B, heads, T, D / heads)
        if attention == "sdpa":
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = q @ k.transpose(-1, -2) * scale + mask  # (B, heads, T, T)
            mixed = scores.softmax(-1, dtype=torch.float32).to(dtype) @ v
        y = x + F.linear(mixed.transpose(1, 2).reshape(x.shape), out)  # (B, T, D)
        y = y + F.linear(F.silu(F.linear(y, up)), down)
        y.float().square().mean().backward()

    return step, into


def measure(seconds: float = MEASURE_SECONDS) -> dict[str, float]:
    """Return the best time in ms of each "dtype attention", taken in turns for about `seconds`.

    The turns share whatever else the machine is doing. Every variant is warmed up once and timed
    at least LEAST_TURNS times, however long that takes: on a busy machine a plan from one run of
    one variant would be an assumption, and would be kept.
    """
    import torch

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    steps = {
        f"{dtype} {attention}": layer_step(kinds[dtype], attention)[0]
        for dtype in DTYPES
        for attention in ATTENTIONS
    }
    best = dict.fromkeys(steps, float("inf"))
    end = time.perf_counter() + seconds
    for step in steps.values():
        step()
    turns = 0
    while turns < LEAST_TURNS or time.perf_counter() < end:
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
        turns += 1
    return best


def processor_name() -> str:
    """Return the processor's name, or its architecture when the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def hardware() -> dict[str, str]:
    """Return what numbers are computed on: processor, cores, and the GPU that torch uses."""
    found = {"processor": processor_name(), "cores": str(usable_cores())}
    torch = sys.modules.get("torch")  # where nothing was computed with it, none is used
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = str(torch.cuda.get_device_name())
    return found


def _cache_file(threads: int) -> Path:
    """Return where a plan for this processor, torch and thread count is kept."""
    import torch

    key = f"{torch.__version__}|{processor_name()}|{platform.machine()}|{threads}|2"
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return user_cache() / f"cpu_plan-{name}.json"


def _read_plan(path: Path) -> CpuPlan | None:
    """Return the plan kept in `path`, or None when there is none or it is not one."""
    if not path.is_file():
        return None
    try:
        stored: Any = read_json(path, "CPU plan")
        plan = CpuPlan(**stored)
    except (UsageError, TypeError):
        return None
    return plan if plan.dtype in DTYPES and plan.attention in ATTENTIONS else None


@functools.cache
def cpu_plan() -> CpuPlan:
    """Return how to compute on this CPU, measured once (about a second) per processor and torch.

    The answer is kept in the user's cache folder, so that a run that is resumed computes as it
    began. EMOSYM_CPU_PLAN="float32 sdpa" fixes it without measuring.

    Raises:
        UsageError: when EMOSYM_CPU_PLAN is not "dtype attention".
    """
    threads = wanted_threads()
    if fixed := os.environ.get("EMOSYM_CPU_PLAN"):
        valid = [f"{dtype} {attention}" for dtype in DTYPES for attention in ATTENTIONS]
        if fixed not in valid:
            raise unknown_name("EMOSYM_CPU_PLAN", fixed, valid)
        dtype, attention = fixed.split()
        return CpuPlan(dtype, attention, threads, {})
    with _MEASURING:  # one measurement would slow the other, and the plans could differ
        path = _cache_file(threads)
        return _read_plan(path) or _measured_plan(path, threads)


@functools.cache
def _measured_plan(path: Path, threads: int) -> CpuPlan:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        milliseconds = measure()
    finally:
        torch.set_num_threads(before)
    dtype, attention = choose(milliseconds)
    plan = CpuPlan(dtype, attention, threads, milliseconds)
    # A home that cannot be written costs one second next time.
    with contextlib.suppress(EmoSymError, OSError):
        write_json(path, asdict(plan))
    return plan


def has_bf16() -> bool:
    """Return whether bf16 is fast here: a GPU has units for it, a CPU was measured to be."""
    import torch

    if not torch.cuda.is_available():
        return cpu_plan().dtype == "bfloat16"
    supported: Callable[..., bool] = torch.cuda.is_bf16_supported
    return supported(including_emulation=False)
