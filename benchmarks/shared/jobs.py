"""One training step of a stage, ready to be timed: as we run it, or with measures left out.

The stages themselves build the step. Each hands over its loss, modules and optimizers where it
would start its loop, so that what is timed here is what trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from emosym.config.load import load_recipe
from emosym.config.recipes import AlignRecipe, JointRecipe, Recipe
from emosym.data import storybook
from emosym.device import cpu_plan
from emosym.emotions import MIKELS8
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base
from emosym.models.reader import prefix as prefixes
from emosym.models.reader.vision import patchify
from emosym.models.speed import LEAVE_OUT, MEASURES
from emosym.models.tokenizer import load_tokenizer
from emosym.training.loop import loop
from emosym.training.loop.engine import LossFn, new_accelerator, prepare
from emosym.training.loop.loop import LoopSettings
from emosym.training.loop.state import trainable_tensors
from emosym.training.stages import align, feedback, joint, rl
from emosym.training.stages.feed import Feed, label_targets, picture_feed
from emosym.training.storybook import painter as base_painter
from emosym.training.storybook import reader as base_reader
from emosym.training.storybook.painter import BasePainterSettings
from emosym.types import picture_sample

SAMPLES = 128
# What this module itself leaves out; all other names are of emosym.models.speed.MEASURES.
BF16, EAGER, POSITIONS, FEATURES, PREFIXES = "bf16", "eager", "positions", "features", "prefixes"


class HandedOver(Exception):  # noqa: N818 - it is no error
    """Raised in place of a stage's loop, with what the loop was given."""

    def __init__(self, *given: Any) -> None:
        """Hold run_loop's positional arguments."""
        super().__init__()
        self.given = given


@dataclass(frozen=True)
class Step:
    """One step of a stage: `run` it as often as wanted; `images` go through it each time."""

    run: Callable[[], None]
    images: int


@dataclass(frozen=True)
class Corpus:
    """Storybook pictures (N, 64, 64, 3), what they tell, and the base that reads them."""

    base: str
    stories: tuple[storybook.Story, ...]
    pictures: np.ndarray


def draw_corpus(base: str, count: int = SAMPLES) -> Corpus:
    """Draw the pictures that every step takes its batches from."""
    stories, drawn = storybook.draw_many(0, "test", 0, count, 64, 1)
    return Corpus(base, tuple(stories), drawn)


def build(name: str, corpus: Corpus, left_out: Collection[str], batch: int | None) -> Step:
    """Build one step of a job in JOBS without some measures; `batch` None is the recipe's."""
    with environment(left_out):
        given = handed_over(JOBS[name], corpus, left_out)
    settings, modules, optimizers, _schedule, size, loss_fn = given
    bf16 = BF16 not in left_out and cpu_plan().dtype == "bfloat16"
    settings = replace(settings, bf16=bf16, batch_size=batch or settings.batch_size)
    step = step_of(settings, modules, optimizers, size, loss_fn)
    if POSITIONS not in left_out:
        return Step(step, settings.batch_size)

    def with_positions_per_call() -> None:
        with library_positions():
            step()

    return Step(with_positions_per_call, settings.batch_size)


@contextmanager
def environment(left_out: Collection[str]) -> Iterator[None]:
    """Within the block models are built as the plan and EMOSYM_LEAVE_OUT then say."""
    names = " ".join(name for name in left_out if name in MEASURES)
    changed = {LEAVE_OUT: names}
    if EAGER in left_out:
        changed["EMOSYM_CPU_PLAN"] = f"{cpu_plan().dtype} sdpa"
    with patch.dict(os.environ, changed):
        cpu_plan.cache_clear()
        yield
    cpu_plan.cache_clear()


def handed_over(
    start: Callable[[Corpus, Collection[str]], object], corpus: Corpus, left_out: Collection[str]
) -> tuple[Any, ...]:
    """Run a stage up to its loop; returns what the loop was given."""

    def hand_over(*given: Any, **options: Any) -> None:
        raise HandedOver(*given)

    with ExitStack() as stack:
        for stage in (align, base_painter, base_reader, feedback, joint, rl):
            stack.enter_context(patch.object(stage, "run_loop", hand_over))
        try:
            start(corpus, left_out)
        except HandedOver as handed:
            return handed.given
    raise SystemExit("A stage no longer starts the loop that this benchmark times.")


def step_of(
    settings: LoopSettings,
    modules: Mapping[str, nn.Module],
    optimizers: list[Optimizer],
    size: int,
    loss_fn: LossFn,
) -> Callable[[], None]:
    """Return the loop's own step: batch, losses, clipping, optimizers and weight average."""
    weights = trainable_tensors(modules)
    average = {k: v.detach().clone() for k, v in weights.items()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] *= 1e-3  # all variants go on with nearly the same weights
    engine = prepare(new_accelerator(), modules, optimizers, loss_fn)
    turn = iter(range(1 << 30))

    def step() -> None:
        now = next(turn)
        loop._one_step(settings, weights, optimizers, now, size, engine, None)
        if settings.ema_decay is not None:
            loop._update_average(average, weights, settings.ema_decay, now)

    return step


def start_align(corpus: Corpus, left_out: Collection[str]) -> None:
    """Stage 1 as recipes/demo-align.yaml has it."""
    recipe = load_recipe("demo-align")
    assert isinstance(recipe, AlignRecipe)
    model = fresh_model(corpus, recipe)
    align.use_lora(model, recipe)
    align.train_align(model, feed_of(model, corpus, left_out), recipe, progress=False)


def start_joint(corpus: Corpus, left_out: Collection[str]) -> None:
    """Stage 3 as recipes/demo-joint.yaml has it."""
    recipe = load_recipe("demo-joint")
    assert isinstance(recipe, JointRecipe)
    if PREFIXES in left_out:
        recipe = recipe.model_copy(update={"cache_prefixes": False})
    model = fresh_model(corpus, recipe)
    aligned = load_recipe("demo-align")
    assert isinstance(aligned, AlignRecipe)
    align.use_lora(model, aligned)
    joint.train_joint(model, feed_of(model, corpus, left_out), recipe, progress=False)


def fresh_model(corpus: Corpus, recipe: Recipe) -> EmoSymModel:
    """Open the base with fresh tokens, as the demo's stage 1 does."""
    return new_model(corpus.base, 4, True, "emosym", recipe.seed)


def feed_of(model: EmoSymModel, corpus: Corpus, left_out: Collection[str]) -> Feed:
    """Return a labelled feed; without kept features every step runs the vision tower."""
    from PIL import Image

    samples = [
        picture_sample(
            id=str(i),
            image=Image.fromarray(picture),
            label=MIKELS8.labels[story.label],
            caption=storybook.caption_of(story),
            rationale=storybook.rationale_of(story),
        )
        for i, (story, picture) in enumerate(zip(corpus.stories, corpus.pictures, strict=True))
    ]
    feed = picture_feed(
        model.reader, samples, label_targets(samples, model.reader.space), corpus.pictures
    )
    return replace(feed, features=None) if FEATURES in left_out else feed


def start_reader(corpus: Corpus, left_out: Collection[str]) -> None:
    """The base reader, at the sizes of recipes/storybook-base.yaml."""
    tokenizer = load_tokenizer(Path(resolve_base(corpus.base).reader))
    texts = base_reader.tokenize_texts(
        tokenizer,
        [storybook.caption_of(s) for s in corpus.stories],
        [storybook.rationale_of(s) for s in corpus.stories],
        [storybook.questions_of(s) for s in corpus.stories],
    )
    base_reader.train_reader(Path("unused"), tokenizer, corpus.pictures, texts, seed=0, steps=1)


def start_unet(corpus: Corpus, left_out: Collection[str]) -> None:
    """The base painter's U-Net and text encoder, on latents that are as cheap as real ones."""
    tokenizer = load_tokenizer(Path(resolve_base(corpus.base).reader))
    latents = np.random.default_rng(0).normal(size=(len(corpus.pictures), 4, 16, 16))
    base_painter.train_unet(
        Path("unused"),
        tokenizer,
        base_painter.build_autoencoder(),
        latents.astype(np.float16),
        [storybook.caption_of(s) for s in corpus.stories],
        BasePainterSettings(),
        progress=False,
    )


def start_autoencoder(corpus: Corpus, left_out: Collection[str]) -> None:
    """The base painter's autoencoder."""
    base_painter.train_autoencoder(
        Path("unused"), corpus.pictures, BasePainterSettings(), progress=False
    )


JOBS: dict[str, Callable[[Corpus, Collection[str]], None]] = {
    "align": start_align,
    "base reader": start_reader,
    "base autoencoder": start_autoencoder,
    "base U-Net": start_unet,
    "joint": start_joint,
}


@contextmanager
def library_positions() -> Iterator[None]:
    """Within the block rotary positions are computed as the libraries do: for every row, always."""
    with (
        patch.object(prefixes, "rotary_positions", positions_of_every_row),
        patch.object(base_reader, "reader_loss", library_reader_loss),
    ):
        yield


def positions_of_every_row(
    backbone: torch.nn.Module, inputs: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Return position ids (3, B, P) from the library's loop over rows."""
    model: Any = backbone.model
    names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
    positions: torch.Tensor = model.get_rope_index(**{name: inputs[name] for name in names})[0]
    return positions


def library_reader_loss(
    model: Any, pictures: torch.Tensor, tokens: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return `base_reader.reader_loss`, positions left to the library."""
    vision = model.config.vision_config
    pixels, grid = patchify(
        pictures, vision.patch_size, vision.temporal_patch_size, vision.spatial_merge_size
    )
    hidden = model.model(
        input_ids=tokens,
        pixel_values=pixels,
        image_grid_thw=grid,
        mm_token_type_ids=(tokens == model.config.image_token_id).int(),
        use_cache=False,
    ).last_hidden_state  # (B, L, H)
    wanted = labels[:, 1:] != base_reader.IGNORE
    logits = model.lm_head(hidden[:, :-1][wanted])  # (answer tokens, V)
    return nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])
