"""Measure a base before any emotion is taught: does it describe pictures, and paint captions?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from emosym.data import storybook
from emosym.errors import EmoSymError
from emosym.evaluation.paintings import evaluate_captioned
from emosym.evaluation.results.result import make_result
from emosym.files import write_atomic
from emosym.metrics.generation import emo_accuracy
from emosym.models.judges.judge import JUDGE_NAMES, load_judge
from emosym.models.painter.painter import Painter, encode_prompts, load_painter
from emosym.models.painter.sampling import paint
from emosym.models.presets import Base, resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.models.tokenizer import load_tokenizer
from emosym.seeds import stream_seed, torch_rng
from emosym.training.storybook.reader import describe

GUIDANCE = 3.0
STEPS = 10
SHEET = 8


def evaluate_base(
    base_name: str, count: int, seed: int, sheet: Path | None = None
) -> dict[str, Any]:
    """Measure a base on `count` held-out pictures of their own stream; returns a result.

    `caption_*`: share of greedy captions that name the field as the picture has it. `paint_*`: the
    attribute judge on paintings of unseen captions, `*_relative` to its rate on real pictures,
    `*_shuffled` against the captions of other pictures (the control). `held_out_*` are pictures
    with a scene-object pair that never occurred in training.

    Raises:
        EmoSymError: when the base has no judges.
    """
    base = resolve_base(base_name)
    if base.judges is None:
        raise EmoSymError(f"The base {base_name} has no judges to measure paintings with.")
    world = stream_seed(seed, "evaluate-base-world") % 2**31
    stories, pictures = storybook.draw_many(world, "test", 0, count, 64, 1)
    captions = [storybook.caption_of(story) for story in stories]
    unseen = np.array([storybook.is_held_out(story) for story in stories])
    values = caption_values(base, captions, pictures, unseen)
    judges = [load_judge(base.judges, name) for name in JUDGE_NAMES]
    attributes = judges[2]
    painter = load_painter(Path(base.painter))
    painted = paint_captions(painter, captions, seed)
    truth = storybook.attribute_targets(stories)
    for name, rows in (("", np.arange(count)), ("held_out_", np.flatnonzero(unseen))):
        part = {k: v[rows] for k, v in truth.items()}
        found = evaluate_captioned(painted[rows], part, pictures[rows], part, attributes)
        values.update({f"paint_{name}{k}": v for k, v in found.items()})
    others = np.roll(np.arange(count), 1)
    moved = {k: v[others] for k, v in truth.items()}
    control = evaluate_captioned(painted, moved, pictures, truth, attributes)
    values["paint_everything_shuffled"] = control["everything"]
    labels = np.array([story.label for story in stories])
    best = np.stack([storybook.posterior_of(story) for story in stories]).argmax(1)
    values["best_achievable"] = float((best == labels).mean())
    for letter, judge in zip("ab", judges, strict=False):
        values[f"judge_{letter}"] = emo_accuracy(judge.probabilities(pictures), labels)
    if sheet is not None:
        write_sheet(sheet, pictures, painted)
    extractors = {judge.name: judge.checksum for judge in judges}
    return make_result("base", values, count, seed, extractors=extractors)


def caption_values(
    base: Base, captions: Sequence[str], pictures: np.ndarray, unseen: np.ndarray
) -> dict[str, float]:
    """Return the share of captions with each field right, over all and over unseen pairs.

    `pictures` (N, H, W, 3) uint8 belong to N `captions`; `unseen` (N,) bool marks those with a
    scene-object pair that never occurred in training.
    """
    model, tokenizer = load_backbone(base), load_tokenizer(Path(base.reader))
    said: list[str] = []
    for start in range(0, len(pictures), 64):
        said += describe(model, tokenizer, pictures[start : start + 64])
    rows = [field_matches(got, wanted) for got, wanted in zip(said, captions, strict=True)]
    values: dict[str, float] = {}
    for field in ("scene", "objects", "child", "mouth", "brows", "exact"):
        right = np.array([row[field] for row in rows], dtype=np.float64)
        values[f"caption_{field}"] = float(right.mean())
        if unseen.any():
            values[f"caption_held_out_{field}"] = float(right[unseen].mean())
    return values


def field_matches(said: str, wanted: str) -> dict[str, bool]:
    """Compare two captions field by field: scene and light, objects with places, child, face."""
    got, true = said.split(", "), wanted.split(", ")
    if len(got) < 4:
        return dict.fromkeys(("scene", "objects", "child", "mouth", "brows", "exact"), False)
    return {
        "scene": got[0] == true[0],
        "objects": sorted(got[1:-3]) == sorted(true[1:-3]),
        "child": got[-3] == true[-3],
        "mouth": got[-2] == true[-2],
        "brows": got[-1] == true[-1],
        "exact": said == wanted,
    }


@torch.no_grad()
def paint_captions(
    painter: Painter, captions: Sequence[str], seed: int, batch_size: int = 32
) -> np.ndarray:
    """Paint one picture per caption, uint8 (N, H, W, 3), each from its own stream."""
    parts = []
    for start in range(0, len(captions), batch_size):
        chunk = captions[start : start + batch_size]
        generators = [torch_rng(seed, "evaluate-base-noise", start + i) for i in range(len(chunk))]
        parts.append(
            paint(
                painter,
                encode_prompts(painter, chunk),
                encode_prompts(painter, [""]),
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=generators,
            )
        )
    return np.concatenate(parts)


def write_sheet(path: Path, pictures: np.ndarray, painted: np.ndarray, scale: int = 2) -> None:
    """Write a contact sheet: each row of drawn pictures above the paintings of their captions."""
    rows = []
    for start in range(0, min(len(pictures), SHEET * 4), SHEET):
        for source in (pictures, painted):
            rows.append(np.concatenate(list(source[start : start + SHEET]), axis=1))
    width = min(row.shape[1] for row in rows)
    array = np.concatenate([row[:, :width] for row in rows])
    size = (array.shape[1] * scale, array.shape[0] * scale)
    image = Image.fromarray(array).resize(size, Image.Resampling.LANCZOS)
    write_atomic(path, lambda temporary: image.save(temporary))
