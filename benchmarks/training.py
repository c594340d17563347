"""Images a second of one training step: as the libraries do it, as we do, and one measure less.

A step is the stage's own: batch, losses, backward, clipping, optimizers, weight average. "plain"
leaves out every measure, "ours, but ..." a single one: above 1 it saves time here, below it costs.
Other processes take the steps where a process has a thing only once: how the C library treats
freed memory, and the number of threads.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from shared.jobs import BF16, EAGER, FEATURES, JOBS, POSITIONS, PREFIXES, Corpus, build, draw_corpus
from shared.timing import arguments, interleaved, machine, ratio
from shared.toy import storybook_base
from shared.worker import Worker

from emosym.device import CpuPlan, cpu_plan
from emosym.models.speed import MEASURES, keep_freed_memory

MOST_REPEATS = 7
OURS, MEMORY = "ours", "freed_memory"
EVERYTHING = (*MEASURES, BF16, EAGER, POSITIONS, FEATURES, PREFIXES)
# What a step does where a measure is left out.
INSTEAD: dict[str, str] = {
    BF16: "fp32",
    EAGER: "sdpa attention",
    POSITIONS: "rotary positions of every row",
    FEATURES: "the vision tower at every step",
    PREFIXES: "prefixes computed at every step",
    MEMORY: "freed memory given back",
    "dropout": "torch's dropout",
    "vision_batch": "vision attention in a loop over pictures",
    "patch_matmul": "patches by a 3d convolution",
    "muon_batch": "Muon one matrix after the other",
    "group_norm": "torch's GroupNorm",
    "channels_last": "channels first in memory",
}
STEPS: dict[str, tuple[str, ...]] = {
    "align": (BF16, EAGER, POSITIONS, FEATURES, "dropout"),
    "base reader": (BF16, EAGER, POSITIONS, "vision_batch", "patch_matmul", "muon_batch"),
    "base autoencoder": (BF16, "channels_last", "muon_batch"),
    "base U-Net": (BF16, EAGER, "group_norm", "channels_last", "muon_batch"),
    "joint": (BF16, EAGER, FEATURES, PREFIXES, "group_norm", "channels_last"),
}


@dataclass(frozen=True)
class Variant:
    """One way to take steps: `images` go through `run` each time."""

    run: Callable[[], None]
    images: int


@dataclass(frozen=True)
class Others:
    """The other processes: one that gives memory back, and two of one thread each."""

    giving: Worker
    pair: tuple[Worker, ...]


def variants_of(
    job: str, corpus: Corpus, others: Others, plan: CpuPlan, batch: int | None
) -> dict[str, Variant]:
    """Build every variant of a job's step."""

    def here(left_out: Collection[str]) -> Variant:
        step = build(job, corpus, left_out, batch)
        return Variant(step.run, step.images)

    def elsewhere(left_out: Collection[str], key: str, images: int) -> Variant:
        others.giving.build(job, left_out, batch, key)
        return Variant(lambda: others.giving.run(key), images)

    def side_by_side() -> None:
        for worker in others.pair:
            worker.start(OURS)
        for worker in others.pair:
            worker.wait()

    ours = here(())
    found = {OURS: ours, "plain": elsewhere(EVERYTHING, "plain", ours.images)}
    unused = {BF16} if plan.dtype == "float32" else set()
    unused |= {EAGER} if plan.attention == "sdpa" else set()
    for measure in STEPS[job]:
        if measure not in unused:
            found[f"ours, but {INSTEAD[measure]}"] = here((measure,))
    found[f"ours, but {INSTEAD[MEMORY]}"] = elsewhere((), MEMORY, ours.images)
    if others.pair:
        for worker in others.pair:
            worker.build(job, (), batch, OURS)
        name = f"ours, {len(others.pair)} jobs of one thread side by side"
        found[name] = Variant(side_by_side, ours.images * len(others.pair))
    return found


def show(job: str, variants: Mapping[str, Variant], seconds: Mapping[str, list[float]]) -> None:
    """Print images a second, and the paired ratio of the time an image takes to ours."""
    each = {name: [t / variants[name].images for t in times] for name, times in seconds.items()}
    print(f"\n### {job}, batch {variants[OURS].images}\n")
    print(f"| what | images/s | time per image over '{OURS}' (quartiles) |")
    print("| --- | ---: | ---: |")
    for name, times in each.items():
        low, middle, high = ratio(each, name, OURS)
        told = "1" if name == OURS else f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(f"| {name} | {1 / statistics.median(times):.1f} | {told} |")
    sys.stdout.flush()


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    repeats = min(options.repeats, MOST_REPEATS)
    plan = cpu_plan()
    torch.set_num_threads(plan.threads)
    keep_freed_memory()
    batch, samples = (4, 8) if options.quick else (None, 128)
    with storybook_base() as (base, told):
        print(f"Weights: {told}. Ours here: {plan.dtype}, {plan.attention} attention.")
        ones = 2 if plan.threads > 1 else 0
        pair = [Worker(base, samples, threads=1) for _ in range(ones)]
        giving = Worker(base, samples, plan.threads, MEMORY)
        try:
            corpus = draw_corpus(base, samples)
            for job in JOBS:
                variants = variants_of(job, corpus, Others(giving, tuple(pair)), plan, batch)
                seconds = interleaved({name: v.run for name, v in variants.items()}, repeats)
                show(job, variants, seconds)
        finally:
            for worker in (giving, *pair):
                worker.close()
    machine(options.quick, repeats, plan.threads)


if __name__ == "__main__":
    main()
