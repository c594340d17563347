"""Stage 3, `joint`: the painter learns to paint from the reasoning's latents.

The picture's own latents, through the mappers and the painter's text encoder, must help to denoise
that picture. Then the emotion space is fitted, from which generation samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.optim import Optimizer

from emosym.annotate.attributes import describe_attributes
from emosym.config.load import dump_recipe
from emosym.config.recipes import JointRecipe
from emosym.data.images import load_image, square
from emosym.errors import UsageError
from emosym.models.adapters import (
    UNET_PROJECTIONS,
    add_adapter,
    has_adapter,
    lora_config,
    merged_adapter,
    train_adapter,
)
from emosym.models.emosym_model import EmoSymModel
from emosym.models.gaussians import EmotionSpace, fit_emotion_space, require_two_of_each
from emosym.models.painter.autoencoder import downscale_factor, to_pixels
from emosym.models.painter.mappers import has_context
from emosym.models.painter.painter import Painter, PromptEmbeds, encode_images, encode_prompts
from emosym.models.painter.sampling import denoising_loss, draw_times
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import think
from emosym.processes import Processes
from emosym.seeds import numpy_rng
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.conditions import (
    InvertedEmotions,
    condition_embeds,
    inverted_space,
    prompts_for,
)
from emosym.training.stages.feed import Feed, open_feeds
from emosym.training.stages.finish import StageResult, finish_stage, loop_settings
from emosym.training.stages.losses import attribute_loss, label_loss
from emosym.training.stages.prefix_store import PrefixStore, store_prefixes
from emosym.training.stages.prompts import draw_prompts
from emosym.training.stages.read_all import read_all
from emosym.training.stages.start import open_checkpoint
from emosym.types import only_picture


@dataclass(frozen=True, slots=True)
class Canvas:
    """What the painter needs of each training picture, computed once.

    `latents` (N, c, h, w), or None where pictures are encoded per batch; `attributes` (N, D) pooled
    text embeddings of what is in the picture; `groups` (N,) equal where those texts are equal;
    `empty` the embeds of the empty prompt.
    """

    latents: torch.Tensor | None
    attributes: torch.Tensor
    groups: torch.Tensor
    empty: PromptEmbeds


def run_joint(
    recipe: JointRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train stage 3 from the checkpoint recipe.init, and write recipe.out/checkpoint."""
    model = open_checkpoint(recipe)
    train, val = open_feeds(model.reader, recipe)
    with merged_adapter(model.reader.reasoner.backbone, ADAPTER):
        model = train_joint(model, train, recipe, progress, deadline)
    return finish_stage(model, recipe, dump_recipe(recipe), train, val)


def train_joint(
    model: EmoSymModel,
    train: Feed,
    recipe: JointRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> EmoSymModel:
    """Train tokens, head, mappers and optionally a U-Net adapter.

    Returns the model with its emotion space.
    """
    labels = model.reader.space.labels
    require_two_of_each(labels, train.truth)
    reader, reasoner, painter = model.reader, model.reader.reasoner, model.painter
    canvas = prepare_canvas(painter, train)
    spill = recipe.out / "prefixes" / "train"
    store = store_prefixes(train, spill=spill) if recipe.cache_prefixes else None
    if recipe.unet_lora_r and not has_adapter(painter.unet, ADAPTER):
        lora = lora_config(recipe.unet_lora_r, recipe.unet_lora_r, 0.0, UNET_PROJECTIONS)
        add_adapter(painter.unet, lora, ADAPTER, recipe.seed)
    model = replace(model, condition=recipe.condition)
    modules, inverted = set_trainable(model, recipe.seed)
    processes = Processes()

    def prompts_of(step: int, indices: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
        rng = numpy_rng(recipe.seed, "joint-prompts", step)
        return draw_prompts(train.samples, train.truth, indices, recipe.prompt, recipe.worded, rng)

    def ahead(step: int, indices: np.ndarray) -> None:
        if store is None:
            train.want(processes.own(prompts_of(step, indices)[1]))

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        rows, total = torch.from_numpy(indices), len(indices)
        prompts, sources, worded = prompts_of(step, indices)
        thought = think(reasoner, (store or train).prefix(processes.own(sources)))
        own_logits = reasoner.logits(thought.emotion_latent, reader.space)
        logits = processes.whole(own_logits, total)
        truth = train.truth[processes.own(sources)]
        told = prompts_for(model, processes.own(prompts), truth)
        embeds = encode_prompts(painter, told, condition_embeds(model, thought, truth, inverted))
        latents = canvas_latents(painter, train, canvas, processes.own(indices))
        kept, noise, times = own_draws(processes, painter, latents, total, recipe.condition_dropout)
        denoise = processes.mean(
            denoising_loss(painter, latents, drop(embeds, canvas.empty, kept), noise, times),
            len(kept),
        )
        targets = train.targets[torch.from_numpy(sources)].to(logits.device)
        losses = {"denoise": denoise, "classify": label_loss(logits, targets)}
        loss = denoise + recipe.w_cls * losses["classify"]
        if recipe.w_attr and embeds.pooled is not None:
            own = torch.from_numpy(~worded).to(logits.device)
            confidence = (logits.detach().softmax(-1) * targets).sum(-1) * own
            losses["attributes"] = attribute_loss(
                processes.whole(embeds.pooled, total),
                canvas.attributes[rows].to(embeds.pooled.device),
                canvas.groups[rows].to(embeds.pooled.device),
                confidence,
            )
            loss = loss + recipe.w_attr * losses["attributes"]
        return {"loss": loss, **losses}

    optim = recipe.optim
    run_loop(
        loop_settings("joint", recipe, deadline),
        modules,
        joint_optimizers(modules, recipe),
        cosine(optim.warmup),
        len(train),
        loss_fn,
        processes=processes,
        progress=progress,
        ahead=ahead,
    )
    for module in modules.values():
        module.requires_grad_(False)
    if inverted is not None:
        return replace(model, emotion_space=inverted_space(labels, inverted))
    return replace(model, emotion_space=refresh_space(train, store, model.condition))


def own_draws(
    processes: Processes, painter: Painter, latents: torch.Tensor, total: int, dropout: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw for `total` rows; returns this process's: condition kept (B,), noise, times (B,)."""
    kept, noise, times = processes.draw(
        lambda: (
            torch.rand(total) >= dropout,
            torch.randn(total, *latents.shape[1:]),
            draw_times(painter, total),
        )
    )
    return processes.own(kept), processes.own(noise), processes.own(times)


def joint_optimizers(modules: dict[str, torch.nn.Module], recipe: JointRecipe) -> list[Optimizer]:
    """Return optimizers in which tokens and head, trained already, move more slowly."""
    optim, scale = recipe.optim, recipe.reader_lr_scale
    new = {name: module for name, module in modules.items() if name != "reasoner"}
    old = {"reasoner": modules["reasoner"]}
    muon = None if optim.muon_lr is None else optim.muon_lr * scale
    return [
        *build_optimizers(new, optim.lr, optim.weight_decay, optim.muon_lr),
        *build_optimizers(old, optim.lr * scale, optim.weight_decay, muon),
    ]


def set_trainable(
    model: EmoSymModel, seed: int
) -> tuple[dict[str, torch.nn.Module], InvertedEmotions | None]:
    """Train tokens, head, the mappers in use and the U-Net's adapter; freeze everything else.

    Returns what trains by name, and the learned rows where the condition is `inversion`.
    """
    reasoner, painter = model.reader.reasoner, model.painter
    reasoner.eval().requires_grad_(False)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.head(model.space).requires_grad_(True)
    for module in painter.modules().values():
        module.eval().requires_grad_(False)
    modules: dict[str, torch.nn.Module] = {"reasoner": reasoner}
    inverted = None
    mappers = model.require_mappers()
    mappers.eval().requires_grad_(False)
    if model.condition == "class_word" and not has_adapter(painter.unet, ADAPTER):
        raise UsageError("With condition=class_word only a U-Net adapter trains: set unet_lora_r.")
    if model.condition != "class_word":
        mappers.train().requires_grad_(True)
        modules["mappers"] = mappers
    if model.condition == "emotion":
        mappers.context_mapper.requires_grad_(False)
    if model.condition == "inversion":
        tokens = reasoner.latent_tokens
        width = tokens.emotion_embed.shape[1]
        count = len(model.reader.space)
        inverted = InvertedEmotions(count, tokens.num_context_tokens, width, seed)
        modules["inverted"] = inverted.to(reasoner.device)
    if has_adapter(painter.unet, ADAPTER):
        train_adapter(painter.unet, ADAPTER, True)
        modules["unet"] = painter.unet
    return modules, inverted


def refresh_space(
    train: Feed, store: PrefixStore | None, condition: str = "emotion_context"
) -> EmotionSpace:
    """Fit the emotion space to the training pictures as the model reads them now."""
    readings = read_all(train, store=store)
    labels = train.reader.space.labels
    context = readings.context if has_context(condition) else readings.context[:, :0]
    return fit_emotion_space(labels, readings.emotion, context, train.truth)


@torch.no_grad()
def prepare_canvas(painter: Painter, train: Feed, batch_size: int = 64) -> Canvas:
    """Encode all attribute texts once, and all pictures where they are kept as one array."""
    latents = None
    if train.pictures is not None:
        whole = torch.from_numpy(np.asarray(train.pictures))
        parts = [whole[i : i + batch_size] for i in range(0, len(train), batch_size)]
        latents = torch.cat([encode_pixels(painter, part).cpu() for part in parts])
    texts = [s.caption or describe_attributes(s.attributes) for s in train.samples]
    known: dict[str, int] = {}
    groups = torch.tensor([known.setdefault(text, len(known)) for text in texts])
    unique = list(known)
    pooled = [
        encode_prompts(painter, unique[i : i + batch_size]).pooled
        for i in range(0, len(unique), batch_size)
    ]
    stacked = torch.cat([p.float().cpu() for p in pooled if p is not None])
    return Canvas(latents, stacked[groups], groups, encode_prompts(painter, [""]))


@torch.no_grad()
def canvas_latents(
    painter: Painter, train: Feed, canvas: Canvas, indices: np.ndarray
) -> torch.Tensor:
    """Return the painter's latents (B, c, h, w) of chosen pictures: kept, or encoded now.

    Pictures of many sizes are cut square, at the size that the painter paints.
    """
    if canvas.latents is not None:
        return canvas.latents[torch.from_numpy(indices)].to(painter.device)
    side = int(painter.unet.config.sample_size) * downscale_factor(painter.vae)
    pictures = [square(load_image(only_picture(train.samples[i])), side) for i in indices]
    return encode_pixels(painter, torch.from_numpy(np.stack([np.asarray(p) for p in pictures])))


def encode_pixels(painter: Painter, pictures: torch.Tensor) -> torch.Tensor:
    """Encode pictures (B, S, S, 3) uint8 to the painter's latents (B, c, h, w)."""
    return encode_images(painter, to_pixels(pictures).to(painter.device))


def drop(embeds: PromptEmbeds, empty: PromptEmbeds, kept: torch.Tensor) -> PromptEmbeds:
    """Put the empty prompt in place of rows where `kept` (B,) is False, for guidance."""
    kept = kept.to(embeds.hidden.device)
    hidden = torch.where(kept[:, None, None], embeds.hidden, empty.hidden.to(embeds.hidden.dtype))
    pooled = embeds.pooled
    if pooled is not None and empty.pooled is not None:
        pooled = torch.where(kept[:, None], pooled, empty.pooled.to(pooled.dtype))
    return PromptEmbeds(hidden, pooled, embeds.mask)
