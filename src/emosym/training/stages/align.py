"""Stage 1, `align`: compress emotional reasoning into [EMO] and the context tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emosym.annotate.lookup import rationales_of, say_nothing
from emosym.config.load import dump_recipe
from emosym.config.recipes import AlignRecipe
from emosym.errors import UsageError
from emosym.models.adapters import (
    add_adapter,
    has_adapter,
    language_lora,
    train_adapter,
    without_adapters,
)
from emosym.models.emosym_model import EmoSymModel
from emosym.models.painter.painter import Painter, encode_prompts
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS, say_loss, think
from emosym.models.reader.recompute import checkpoint_layers
from emosym.processes import Processes
from emosym.seeds import numpy_rng
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.feed import Feed, open_feeds
from emosym.training.stages.finish import StageResult, finish_stage, loop_settings
from emosym.training.stages.losses import info_nce, label_loss
from emosym.training.stages.start import open_start

log = logging.getLogger(__name__)
IGNORE = -100


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """One rationale per training picture, as text, as token ids, and as a unit text embedding.

    `embeddings` (N, D); `groups` (N,) are equal where texts are equal.
    """

    texts: tuple[str, ...]
    ids: tuple[list[int], ...]
    embeddings: torch.Tensor
    groups: torch.Tensor


def run_align(
    recipe: AlignRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train stage 1 as the recipe says, and write recipe.out/checkpoint."""
    model = open_start(recipe)
    if recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    train, val = open_feeds(model.reader, recipe)
    use_lora(model, recipe)
    train_align(model, train, recipe, progress, deadline)
    return finish_stage(model, recipe, dump_recipe(recipe), train, val, fit_domain_too=True)


def use_lora(model: EmoSymModel, recipe: AlignRecipe) -> None:
    """Put a fresh adapter on the language model, or leave it bare for r = 0."""
    backbone = model.reader.reasoner.backbone
    if recipe.lora.r and not has_adapter(backbone, ADAPTER):
        lora = recipe.lora
        config = language_lora(backbone, lora.r, lora.alpha, lora.dropout)
        add_adapter(backbone, config, ADAPTER, recipe.seed)


def train_align(
    model: EmoSymModel,
    train: Feed,
    recipe: AlignRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> dict[str, float]:
    """Train adapter, tokens, head and projector on a feed; returns the last losses.

    Raises:
        UsageError: for a rationale without a context token to compress it into, or no loss at all.
    """
    reader, reasoner = model.reader, model.reader.reasoner
    told = recipe.rationale != "none" and bool(recipe.w_align or recipe.w_say)
    if not reader.tokens.num_context_tokens and told and recipe.w_align:
        raise UsageError("Rationales are compressed into context tokens: K = 0 needs w_align=0.")
    if not told and not recipe.w_cls:
        raise UsageError("There is nothing to learn from: w_cls is 0 and there is no rationale.")
    knowledge = None
    if told:
        stored = recipe.data.knowledge
        painter = None if model.open_painter is None else model.painter
        knowledge = knowledge_base(reader, painter, train, recipe.rationale, recipe.seed, stored)
        if say_nothing(knowledge.texts):
            learned = told_nothing(knowledge.texts[0])
            if not recipe.w_cls:
                raise UsageError(f"There is nothing to learn from: w_cls is 0, and {learned}")
            log.warning("align learns from labels alone: %s", learned)
            knowledge = None
    set_trainable(model, recipe, knowledge is not None)
    reasoner.train()
    processes = Processes()

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        rows, own, total = torch.from_numpy(indices), processes.own(indices), len(indices)
        thought = think(reasoner, train.prefix(own))
        own_logits = reasoner.logits(thought.emotion_latent, reader.space)
        logits = processes.whole(own_logits, total)
        targets = train.targets[rows].to(logits.device)
        losses = {"classify": label_loss(logits, targets)}
        loss = recipe.w_cls * losses["classify"]
        if knowledge is not None and recipe.w_align:
            losses["align"] = info_nce(
                processes.whole(reasoner.context_projector(thought.context_latents), total),
                knowledge.embeddings[rows].to(logits.device),
                knowledge.groups[rows].to(logits.device),
                reasoner.context_projector.log_scale,
                recipe.symmetric,
            )
            loss = loss + recipe.w_align * losses["align"]
        if knowledge is not None and recipe.w_say:
            tokens, labels = rationale_batch(
                [knowledge.ids[i] for i in own], reader.end_token, logits.device
            )
            chance = processes.draw(lambda: torch.rand(total, device=logits.device))
            gist = processes.own(chance) < recipe.gist_probability
            losses["say"] = processes.mean(
                say_loss(reasoner, thought, tokens, labels, gist, reader.start_token),
                (labels != IGNORE).sum(),
            )
            loss = loss + recipe.w_say * losses["say"]
        accuracy = (logits.argmax(-1) == targets.argmax(-1)).float().mean()
        return {"loss": loss, **losses, "accuracy": accuracy}

    optim = recipe.optim
    last = run_loop(
        loop_settings("align", recipe, deadline),
        {"reasoner": reasoner},
        build_optimizers({"reasoner": reasoner}, optim.lr, optim.weight_decay, optim.muon_lr),
        cosine(optim.warmup),
        len(train),
        loss_fn,
        processes=processes,
        progress=progress,
        ahead=lambda _, rows: train.want(processes.own(rows)),
    )
    reasoner.eval().requires_grad_(False)
    return last


def told_nothing(text: str) -> str:
    """Return the sentence on rationales that are all equal."""
    return (
        f"every picture has the same rationale ({text!r}), which tells none from another. Write "
        "some with `emosym data annotate --annotator vlm` (or server), or set rationale=none."
    )


def set_trainable(model: EmoSymModel, recipe: AlignRecipe, with_text: bool) -> None:
    """Train adapter, tokens and head, and the projector where it gets a loss; freeze the rest."""
    reasoner = model.reader.reasoner
    reasoner.requires_grad_(False)
    if has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.head(model.space).requires_grad_(recipe.w_cls > 0)
    projector = reasoner.context_projector
    projector.requires_grad_(with_text and recipe.w_align > 0)
    if not recipe.symmetric:  # the published form has a fixed temperature
        projector.log_scale.requires_grad_(False)


def knowledge_base(
    reader: Reader,
    painter: Painter | None,
    feed: Feed,
    kind: str,
    seed: int,
    stored: Path | None = None,
) -> KnowledgeBase:
    """Collect rationales, and embed and tokenize them once.

    `label_blind` takes the rationale in the file `stored`, else the sample's own, else one written
    from its attributes; `label_aware` adds the emotion word; `shuffled` gives each picture another
    one's text, `shuffled_within` that of another one of its emotion. Where there is no painter, the
    frozen language model embeds the texts.
    """
    texts = rationales_of(feed.samples, stored, blind=kind != "label_aware")
    if kind == "label_aware":
        texts = [
            f"{text} It evokes {sample.label_of(feed.task)}."
            for text, sample in zip(texts, feed.samples, strict=True)
        ]
    if kind in ("shuffled", "shuffled_within"):
        dealt = feed.truth if kind == "shuffled_within" else np.zeros(len(texts), dtype=int)
        texts = shuffled_texts(texts, dealt, seed)
    known: dict[str, int] = {}
    groups = torch.tensor([known.setdefault(text, len(known)) for text in texts])
    return KnowledgeBase(
        tuple(texts),
        tuple(
            reader.tokenizer.encode(text, add_special_tokens=False)[:MAX_RATIONALE_TOKENS]
            for text in texts
        ),
        embed_texts(painter, list(known))[groups]
        if painter is not None
        else embed_by_reading(reader, list(known))[groups],
        groups,
    )


def shuffled_texts(texts: Sequence[str], groups: np.ndarray, seed: int) -> list[str]:
    """Deal texts (N) out anew among the pictures of each group (N,)."""
    dealt = list(texts)
    rng = numpy_rng(seed, "shuffled-rationales")
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        for place, source in zip(rows, rng.permutation(rows), strict=True):
            dealt[place] = texts[source]
    return dealt


@torch.no_grad()
def embed_texts(painter: Painter, texts: Sequence[str], batch_size: int = 128) -> torch.Tensor:
    """Return unit pooled embeddings (N, D) of texts by the painter's first text encoder."""
    parts = []
    for start in range(0, len(texts), batch_size):
        pooled = encode_prompts(painter, texts[start : start + batch_size]).pooled
        if pooled is None:
            raise TypeError("the painter's text encoder returns no pooled output")
        parts.append(nn.functional.normalize(pooled.float().cpu(), dim=-1))
    return torch.cat(parts)


@torch.no_grad()
def embed_by_reading(reader: Reader, texts: Sequence[str], batch_size: int = 32) -> torch.Tensor:
    """Return unit embeddings (N, H) of texts: the mean last hidden state of the frozen base."""
    reasoner, parts = reader.reasoner, []
    rows = [reader.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    rows = [row[:MAX_RATIONALE_TOKENS] or [reader.end_token] for row in rows]
    training = reasoner.training
    reasoner.eval()
    with without_adapters(reasoner.backbone):
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            longest = max(map(len, some))
            padded = [row + [reader.end_token] * (longest - len(row)) for row in some]
            ids = torch.tensor(padded, device=reasoner.device)  # (B, R)
            lengths = torch.tensor([len(row) for row in some], device=reasoner.device)
            seen = torch.arange(longest, device=reasoner.device)[None] < lengths[:, None]
            read = reasoner.language_model(
                inputs_embeds=reasoner.backbone.get_input_embeddings()(ids),  # type: ignore[operator]
                attention_mask=seen.long(),
                use_cache=False,
            )
            hidden = read.last_hidden_state.float() * seen[..., None]  # (B, R, H)
            mean = hidden.sum(dim=1) / lengths[:, None]
            parts.append(nn.functional.normalize(mean, dim=-1).cpu())
    reasoner.train(training)
    return torch.cat(parts)


def rationale_batch(
    rows: Sequence[list[int]], end_token: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rationales to one length, each with its end token; returns tokens and labels (B, R)."""
    longest = max(len(row) for row in rows) + 1
    tokens = torch.full((len(rows), longest), end_token)
    labels = torch.full((len(rows), longest), IGNORE)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        labels[i, : len(row) + 1] = torch.tensor([*row, end_token])
    return tokens.to(device), labels.to(device)
