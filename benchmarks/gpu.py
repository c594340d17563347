"""Every stage at real size on one GPU, with random weights: speed, memory, FLOP utilisation.

python gpu.py                            Qwen2-VL-2B and Stable Diffusion 1.5, on the CUDA device
python gpu.py --models FOLDER            the same from a folder of scripts/make_random_snapshot.py
python gpu.py --tiny --device cpu        all of it at small sizes on a CPU, to see that it runs

Random weights cost what trained ones do. A step is the stage's own: batch, losses, backward,
clipping, optimizers; the recipes are emosym-2b-*.yaml, without accumulation. FLOPs are those that
torch counts in one step, layers recomputed for gradient checkpointing included; the utilisation is
over a large bf16 product measured on the same device, not over a data sheet.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from shared.jobs import handed_over, step_of
from shared.toy import pictures, quiet_libraries
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).resolve().parents[1]))
from scripts.make_random_snapshot import make_snapshot

from emosym.config.load import load_recipe
from emosym.config.recipes import Recipe
from emosym.device import processor_name
from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError
from emosym.memory.bank import Bank
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.painter.painter import encode_prompts
from emosym.models.painter.sampling import paint
from emosym.models.reader.recompute import checkpoint_layers
from emosym.pipelines.trained_reading import read_pictures
from emosym.training.stages import align, feedback, joint, rl
from emosym.training.stages.feed import Feed, label_targets, loose_feed
from emosym.types import Sample, picture_sample

PRESET = "emosym-2b"
STEPS, GUIDANCE = 20, 5.0
NO_CUDA = (
    "This benchmark measures a CUDA machine, and torch sees no CUDA device here. "
    "`python gpu.py --tiny --device cpu` runs all of it at small sizes on a CPU."
)


@dataclass(frozen=True)
class Row:
    """One line of the table: what ran, samples a second, peak GiB, FLOPs a second."""

    what: str
    samples: float
    peak_gib: float
    flops: float | None


@dataclass(frozen=True)
class Bench:
    """Where and how much is measured."""

    device: str
    batch: int
    repeats: int
    side: int

    def clock(self) -> float:
        """Return the time when everything asked of the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def row(self, what: str, run: Callable[[], object], samples: int) -> Row:
        """Measure `run`, which takes `samples` samples, after two unmeasured calls."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        run()
        with FlopCounterMode(display=False) as counter:
            run()
        seconds = []
        for _ in range(self.repeats):
            start = self.clock()
            run()
            seconds.append(self.clock() - start)
        middle = statistics.median(seconds)
        found = Row(what, samples / middle, self.peak(), counter.get_total_flops() / middle)
        print(f"  {what}: {found.samples:.2f} samples/s", file=sys.stderr, flush=True)
        return found

    def peak(self) -> float:
        """Return the peak memory in GiB: of the device, or of the whole process on a CPU."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kilobytes / 2**20 if sys.platform == "linux" else kilobytes / 2**30


def main() -> None:
    """Run the benchmark."""
    options = arguments()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(NO_CUDA)
    if options.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    quiet_libraries()
    bench = Bench(options.device, options.batch, options.repeats, 112 if options.tiny else 448)
    try:
        with models(options.models, options.tiny):
            rows, peak = measure(bench, options.tiny)
    except EmoSymError as error:
        sys.exit(f"Error: {error}")
    show(rows, peak, bench)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--models", type=Path, help="Folder of make_random_snapshot.py.")
    parser.add_argument("--tiny", action="store_true", help="Small sizes: a smoke run.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=None, help="Samples of a step (16; tiny 4).")
    parser.add_argument("--repeats", type=int, default=None, help="Timed steps (10; tiny 2).")
    found = parser.parse_args()
    found.batch = found.batch or (4 if found.tiny else 16)
    found.repeats = found.repeats or (2 if found.tiny else 10)
    return found


@contextmanager
def models(folder: Path | None, tiny: bool) -> Iterator[None]:
    """Within the block the preset's hub ids lead to a snapshot: a given one, or one made now."""
    with TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary)
            print("Writing random weights ...", file=sys.stderr, flush=True)
            make_snapshot(PRESET, folder, tiny)
        os.environ["EMOSYM_MODELS"] = str(folder.resolve())
        yield


def measure(bench: Bench, tiny: bool) -> tuple[list[Row], float]:
    """Measure reading, all stages and painting; also returns the device's FLOPs a second."""
    peak = product_rate(bench, 512 if tiny else 8192)
    rows = inference(bench, tiny)
    return [*rows, *(stage(bench, name) for name in STAGES)], peak


def inference(bench: Bench, tiny: bool) -> list[Row]:
    """Measure reading and painting."""
    model = fresh(bench)
    shown = [Image.fromarray(p).resize((bench.side,) * 2) for p in pictures(bench.batch)]
    reading = bench.row("understanding", lambda: read_pictures(model, shown), len(shown))
    return [reading, *painting(bench, model, tiny)]


def fresh(bench: Bench) -> EmoSymModel:
    """Open the preset with fresh tokens."""
    return new_model(PRESET, 4, True, "emosym", seed=0, device=bench.device)


def product_rate(bench: Bench, side: int) -> float:
    """Return the FLOPs a second of a square bf16 product on the device."""
    one = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16)
    for _ in range(3):
        one @ one
    start, count = bench.clock(), 10
    for _ in range(count):
        one @ one
    return count * 2 * side**3 / (bench.clock() - start)


def painting(bench: Bench, model: EmoSymModel, tiny: bool) -> list[Row]:
    """Measure the sampler, as it is and with the U-Net compiled."""
    painter, steps = model.painter, 2 if tiny else STEPS
    with torch.no_grad():
        embeds = encode_prompts(painter, ["a fox in a meadow"] * bench.batch)
        empty = encode_prompts(painter, [""])

    def run() -> object:
        return paint(painter, embeds, empty, steps, GUIDANCE)

    rows = [bench.row(f"painting, {steps} steps", run, bench.batch)]
    plain: Any = painter.unet.forward
    painter.unet.forward = torch.compile(plain)
    try:
        found = bench.row(f"painting, {steps} steps, torch.compile", run, bench.batch)
        # what a compiled U-Net computes is not counted; it is what the plain one computes
        per_picture = (rows[0].flops or 0.0) / rows[0].samples
        rows.append(Row(found.what, found.samples, found.peak_gib, per_picture * found.samples))
    finally:
        painter.unet.forward = plain
    return rows


def stage(bench: Bench, name: str) -> Row:
    """Measure one step of a stage, built by the stage itself."""
    settings = [f"optim.batch_size={bench.batch}", "optim.accumulate=1", "optim.steps=1"]
    recipe: Any = load_recipe(f"{PRESET}-{name}", settings)
    model = fresh(bench)
    adapted: Any = load_recipe(f"{PRESET}-align")
    align.use_lora(model, adapted)
    if getattr(recipe.optim, "gradient_checkpointing", False):
        checkpoint_layers(model.reader.reasoner.backbone)
    feed = feed_of(model, bench)
    with TemporaryDirectory() as temporary:
        recipe = recipe.model_copy(update={"out": Path(temporary)})
        given = handed_over(lambda *_: STAGES[name](model, feed, recipe), None, ())  # type: ignore[arg-type]
        loop_settings, modules, optimizers, _schedule, size, loss_fn = given
        step = step_of(loop_settings, modules, optimizers, size, loss_fn)
        return bench.row(f"`{name}` step", step, bench.batch)


def feed_of(model: EmoSymModel, bench: Bench) -> Feed:
    """Return labelled pictures, two of each emotion and at least two batches."""
    count = max(2 * len(MIKELS8), 2 * bench.batch)
    samples: Sequence[Sample] = [
        picture_sample(
            id=str(i),
            image=Image.fromarray(picture).resize((bench.side, bench.side)),
            label=MIKELS8.labels[i % len(MIKELS8)],
            rationale=f"A drawn picture, number {i}, of a quiet place with many things in it.",
        )
        for i, picture in enumerate(pictures(count))
    ]
    return loose_feed(model.reader, samples, label_targets(samples, model.reader.space))


def start_feedback(model: EmoSymModel, feed: Feed, recipe: Any) -> None:
    """Train one round at scope head on real pictures: an empty bank adds none."""
    feedback.set_trainable(model.reader.reasoner, recipe.scope)
    bank = Bank.open(recipe.out / "bank", create=True)
    feedback.train_round(model, feed, None, bank, recipe, 1, False)


STAGES: dict[str, Callable[[EmoSymModel, Feed, Recipe], object]] = {
    "align": lambda model, feed, recipe: align.train_align(model, feed, recipe, progress=False),
    "rl": lambda model, feed, recipe: rl.train_rl(model, feed, recipe, progress=False),
    "joint": lambda model, feed, recipe: joint.train_joint(model, feed, recipe, progress=False),
    "feedback": start_feedback,
}


def show(rows: Sequence[Row], peak: float, bench: Bench) -> None:
    """Print the table and the device."""
    where = "process" if bench.device == "cpu" else "device"
    print(f"\n### {PRESET}, random weights, batch {bench.batch}, pictures of {bench.side} px\n")
    print(f"| what | samples/s | peak GiB ({where}) | TFLOP/s | of {peak / 1e12:.3g} TFLOP/s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        flops = "" if row.flops is None else f"{row.flops / 1e12:.3g}"
        share = "" if row.flops is None else f"{row.flops / peak:.0%}"
        print(f"| {row.what} | {row.samples:.2f} | {row.peak_gib:.1f} | {flops} | {share} |")
    name = torch.cuda.get_device_name() if bench.device == "cuda" else processor_name()
    print(
        f"\nDevice: {name}, torch {torch.__version__}, Python {platform.python_version()}; "
        f"medians of {bench.repeats} steps."
    )


if __name__ == "__main__":
    main()
