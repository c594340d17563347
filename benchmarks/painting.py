"""Paintings a second: as published (one at a time, 50 steps) and by a bare diffusers pipeline.

The published loop is timed without the subprocess that it starts for each picture and without
loading any weight in it: only its steps and its batch of one are compared. Picture i of both sides
starts from the same latents and the same noise; judges that trained nothing say what the fewer
steps cost. The bare pipeline is diffusers' StableDiffusionPipeline over the very same U-Net, text
encoder and scheduler, from the same prompt embeddings; the storybook autoencoder works on
pixel-unshuffled pictures, so both sides decode with it after the last step.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from shared.bars import Bar, paired, show_bars
from shared.timing import arguments, interleaved, machine, show
from shared.toy import quiet_libraries

from emosym.data import storybook
from emosym.device import cpu_plan
from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError
from emosym.evaluation.measure import load_judges
from emosym.evaluation.paintings import evaluate_paintings
from emosym.metrics.intervals import paired_bootstrap
from emosym.models.painter.autoencoder import to_pictures
from emosym.models.painter.painter import PromptEmbeds, decode_latents, encode_prompts
from emosym.models.painter.sampling import paint
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_painting import draw_latents, paint_latents
from emosym.seeds import stream_seed, torch_rng

STEPS, PUBLISHED_STEPS, BATCH, GUIDANCE = 10, 50, 16, 3.0
OURS, PUBLISHED = f"ours, {BATCH} at once, {STEPS} steps", "as published: one at a time, 50 steps"
PAINT, BARE = "`paint`", "StableDiffusionPipeline"
REAL = 400
SHOWN = (
    "emo_a_judge_a",
    "emo_a_judge_b",
    "distance_relative",
    "coverage",
    "fidelity_relative",
    "edge_energy_ratio",
)


def painted(
    pipeline: EmoSymPipeline, emotion: str, count: int, steps: int, batch: int
) -> np.ndarray:
    """Paint an emotion, uint8 (count, H, W, 3); nothing is read back."""
    seed = stream_seed(0, f"painting-{emotion}") % 2**31
    request = paint_request(
        pipeline.space,
        emotion,
        num_images=count,
        guidance_scale=GUIDANCE,
        num_inference_steps=steps,
        seed=seed,
    )
    parts = []
    for first in range(0, count, batch):
        rows = range(first, min(first + batch, count))
        latents = draw_latents(pipeline.model, request, rows, None)
        parts.append(paint_latents(pipeline.model, request, rows, *latents))
    return np.concatenate(parts)


def measure_published(pipeline: EmoSymPipeline, count: int, quick: bool) -> list[Bar]:
    """Paint every emotion both ways, one repetition an emotion, and let the judges look."""
    made: dict[str, dict[str, np.ndarray]] = {OURS: {}, PUBLISHED: {}}
    seconds: dict[str, list[float]] = {OURS: [], PUBLISHED: []}
    slow = 4 if quick else PUBLISHED_STEPS
    for emotion in MIKELS8.labels[:2] if quick else MIKELS8.labels:
        for name in (OURS, PUBLISHED) if len(seconds[OURS]) % 2 else (PUBLISHED, OURS):
            steps, batch = (STEPS, BATCH) if name == OURS else (slow, 1)
            start = time.perf_counter()
            made[name][emotion] = painted(pipeline, emotion, count, steps, batch)
            seconds[name].append(time.perf_counter() - start)
    each = {name: [t / count for t in times] for name, times in seconds.items()}
    show(f"A painting, {len(each[OURS])} x {count} of them", each, OURS)
    speed = paired(
        "images/s over as published",
        each,
        PUBLISHED,
        OURS,
        3.0,
        "the U-Net at this width gains little from a batch",
        at_least=True,
    )
    return [speed, *judged(pipeline, made)]


def judged(pipeline: EmoSymPipeline, made: dict[str, dict[str, np.ndarray]]) -> list[Bar]:
    """Compare Emo-A and diversity of the two: at most two points lost, at most 5 % nearer."""
    judges = load_judges(pipeline)
    stories, real = storybook.draw_many(0, "test", 0, REAL, 64, 1)
    labels = np.array([story.label for story in stories])
    values = {name: evaluate_paintings(p, real, labels, *judges) for name, p in made.items()}
    print("\n| judged |" + "".join(f" {name} |" for name in made))
    print("| --- |" + " ---: |" * len(made))
    for key in SHOWN:
        row = [values[name].get(key) for name in made]
        if None not in row:
            print(f"| {key} |" + "".join(f" {value:.3f} |" for value in row))
    fewer = "fewer steps cost it; give more by num_inference_steps"
    distance = [values[name]["distance_relative"] for name in (OURS, PUBLISHED)]
    what = "distance within an emotion / as published"
    bars = [Bar(what, distance[0] / distance[1], 0.95, fewer, at_least=True, unit="x")]
    for judge in judges[:2]:
        ours, theirs = (
            np.concatenate([judge.probabilities(p).argmax(1) == MIKELS8.index(e) for e, p in m])
            for m in (made[name].items() for name in (OURS, PUBLISHED))
        )
        gap = paired_bootstrap(100.0 * ours, 100.0 * theirs, seed=0)
        what = f"Emo-A, {judge.name}, minus as published (95 % interval)"
        ends = (gap.low, gap.high)
        bars.append(Bar(what, gap.value, -2.0, fewer, True, " points", ends))
    return bars


def measure_bare(pipeline: EmoSymPipeline, repeats: int, quick: bool) -> list[Bar]:
    """Time the sampler against diffusers' pipeline at equal steps, batch and guidance."""
    painter = pipeline.model.painter
    batch, steps = (2, 2) if quick else (BATCH, STEPS)
    theirs = StableDiffusionPipeline(
        vae=painter.vae,
        text_encoder=painter.text_encoders[0],
        tokenizer=painter.tokenizers[0],
        unet=painter.unet,
        # its own copy, with the offset that the pipeline would else set with a warning
        scheduler=DPMSolverMultistepScheduler.from_config(painter.scheduler.config, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    with torch.no_grad():
        embeds = encode_prompts(painter, ["a fox in a meadow"] * batch)
        empty = encode_prompts(painter, [""])
    shape = (1, int(painter.unet.config.in_channels), *[int(painter.unet.config.sample_size)] * 2)

    def generators() -> list[torch.Generator]:
        return [torch_rng(0, "painting-noise", i) for i in range(batch)]

    def ours() -> np.ndarray:
        return paint(painter, embeds, empty, steps, GUIDANCE, generators())

    @torch.no_grad()
    def bare() -> np.ndarray:
        latents = torch.cat([torch.randn(shape, generator=g) for g in generators()])
        output: Any = theirs(
            prompt_embeds=embeds.hidden,
            negative_prompt_embeds=repeated(empty, batch).hidden,
            latents=latents,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            output_type="latent",
        )
        return to_pictures(decode_latents(painter, output.images)).numpy()

    gap = int(np.abs(ours().astype(int) - bare().astype(int)).max())
    seconds = interleaved({BARE: bare, PAINT: ours}, repeats)
    show(f"{batch} paintings at once, {steps} steps, guidance {GUIDANCE:g}", seconds, BARE)
    print(f"\nLargest difference between the two sides' pictures: {gap} grey levels of 255.")
    rest = "the loop around the U-Net"
    return [paired("`paint` / a bare diffusers pipeline", seconds, PAINT, BARE, 1.02, rest)]


def repeated(embeds: PromptEmbeds, count: int) -> PromptEmbeds:
    """Return the embeds of one prompt for `count` pictures."""
    return PromptEmbeds(embeds.hidden.expand(count, -1, -1), None, embeds.mask.expand(count, -1))


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    plan = cpu_plan()
    torch.set_num_threads(plan.threads)
    quiet_libraries()
    try:
        pipeline = EmoSymPipeline.from_pretrained("storybook", device="cpu")
    except EmoSymError as error:
        sys.exit(f"This benchmark paints with the shipped checkpoint. {error}")
    print(f"Weights: storybook, {plan.attention} attention, fp32.")
    bars = measure_bare(pipeline, options.repeats, options.quick)
    bars += measure_published(pipeline, 2 if options.quick else BATCH, options.quick)
    show_bars(bars)
    machine(options.quick, options.repeats, plan.threads)


if __name__ == "__main__":
    main()
