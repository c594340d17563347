"""Stage 1, `align`: compress emotional reasoning into [EMO] and the context tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emosym.annotate.lookup import rationales_of, say_nothing
from emosym.config.load import dump_recipe
from emosym.config.recipes import AlignRecipe
from emosym.config.schema import DataSection
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.adapters import has_adapter, train_adapter, without_adapters
from emosym.models.emosym_model import EmoSymModel
from emosym.models.painter.painter import Painter, encode_prompts
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS
from emosym.models.reader.recompute import checkpoint_layers
from emosym.processes import Processes
from emosym.seeds import numpy_rng
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.align_loss import AlignParts, KnowledgeBase, align_losses
from emosym.training.stages.feed import Feed, Stretch, cache_folder, open_feeds
from emosym.training.stages.finish import StageResult, finish_stage, loop_settings
from emosym.training.stages.join import join_feeds
from emosym.training.stages.prefix_store import shared_prefixes
from emosym.training.stages.start import add_heads, open_start, use_lora
from emosym.training.stages.step_texts import StepTexts, step_texts
from emosym.types import Sample

log = logging.getLogger(__name__)
SHUFFLED = ("shuffled", "shuffled_within")


def run_align(
    recipe: AlignRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train stage 1 as the recipe says, and write recipe.out/checkpoint."""
    model = open_start(recipe)
    spaces = add_heads(model, recipe)
    if recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    train, val = open_feeds(model.reader, recipe)
    others = []
    if recipe.also:
        feeds = [replace(train, stretches=known_by(train, recipe.data))]
        for space, data in zip(spaces, recipe.also, strict=True):
            more, held_out = open_feeds(replace(model.reader, space=space), recipe, data)
            feeds.append(replace(more, stretches=known_by(more, data)))
            others.append(held_out)
        train = join_feeds(model.reader, feeds, recipe.data.workers)
    use_lora(model, recipe)
    train_align(model, train, recipe, progress, deadline)
    return finish_stage(
        model, recipe, dump_recipe(recipe), train, val, fit_domain_too=True, others=others
    )


def known_by(feed: Feed, data: DataSection) -> tuple[Stretch, ...]:
    """Return a feed's rows with the file of their rationales."""
    return tuple(replace(part, knowledge=data.knowledge) for part in feed.parts())


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
    told = recipe.rationale != "none" and bool(recipe.w_align or recipe.w_say or recipe.w_words)
    if not reader.tokens.num_context_tokens and told and recipe.w_align:
        raise UsageError("Rationales are compressed into context tokens: K = 0 needs w_align=0.")
    if not told and not recipe.w_cls:
        raise UsageError("There is nothing to learn from: w_cls is 0 and there is no rationale.")
    knowledge = knowledge_that_tells(model, train, recipe) if told else None
    steps = steps_that_tell(reader, train, recipe)
    spaces = [part.space for part in train.parts()]
    kept = shared_prefixes(train, cache_folder(recipe.data.root, recipe.out))
    set_trainable(model, recipe, knowledge is not None, spaces)
    reasoner.train()
    processes = Processes()
    parts = AlignParts(reader, train, recipe, processes, knowledge, steps, kept or train)
    optim = recipe.optim
    last = run_loop(
        loop_settings("align", recipe, deadline),
        {"reasoner": reasoner},
        build_optimizers({"reasoner": reasoner}, optim.lr, optim.weight_decay, optim.muon_lr),
        cosine(optim.warmup),
        len(train),
        lambda step, indices: align_losses(parts, step, indices),
        processes=processes,
        progress=progress,
        ahead=lambda _, rows: train.want(processes.own(rows)),
    )
    reasoner.eval().requires_grad_(False)
    return last


def steps_that_tell(reader: Reader, train: Feed, recipe: AlignRecipe) -> StepTexts | None:
    """Return the steps of a feed's reasoning where a recipe learns from them.

    They are dealt out with the rationales: where these are another picture's, so are the steps.

    Raises:
        UsageError: as `step_texts`.
    """
    if not (recipe.w_steps or recipe.w_step_words or recipe.w_distill or recipe.curriculum):
        return None
    order = None
    if recipe.rationale in SHUFFLED:
        order = shuffled_rows(dealt_among(recipe.rationale, train.truth), recipe.seed)
    return step_texts(reader, train.samples, order)


def knowledge_that_tells(
    model: EmoSymModel, train: Feed, recipe: AlignRecipe
) -> KnowledgeBase | None:
    """Return the rationales of a feed; None, which is said, where they are all equal.

    Raises:
        UsageError: when they are all equal and no label is used.
    """
    embed = recipe.w_align > 0
    painter = model.painter if embed and model.open_painter is not None else None
    knowledge = knowledge_base(
        model.reader, painter, train, recipe.rationale, recipe.seed, recipe.data.knowledge, embed
    )
    if not say_nothing(knowledge.texts):
        return knowledge
    learned = told_nothing(knowledge.texts[0])
    if not recipe.w_cls:
        raise UsageError(f"There is nothing to learn from: w_cls is 0, and {learned}")
    log.warning("align learns from labels alone: %s", learned)
    return None


def told_nothing(text: str) -> str:
    """Return the sentence on rationales that are all equal."""
    return (
        f"every picture has the same rationale ({text!r}), which tells none from another. Write "
        "some with `emosym data annotate --annotator vlm` (or server), or set rationale=none."
    )


def set_trainable(
    model: EmoSymModel, recipe: AlignRecipe, with_text: bool, spaces: Sequence[LabelSpace] = ()
) -> None:
    """Train adapter, tokens and heads, and the projector where it gets a loss; freeze the rest.

    The heads are those of `spaces`, of the model's own unless given.
    """
    reasoner = model.reader.reasoner
    reasoner.requires_grad_(False)
    if has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    for space in spaces or (model.space,):
        reasoner.head(space).requires_grad_(recipe.w_cls > 0)
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
    embed: bool = True,
) -> KnowledgeBase:
    """Collect rationales, and embed and tokenize them once.

    `label_blind` takes the rationale in the file `stored`, else the sample's own, else one written
    from its attributes; `caption` takes the caption in its place; `label_aware` adds the emotion
    word; `shuffled` gives each picture another
    one's text, `shuffled_within` that of another one of its emotion. Where there is no painter, the
    frozen language model embeds the texts; without `embed` nothing does, and they have no width.
    """
    texts: list[str] = []
    for part in feed.parts():
        some = feed.samples[part.first : part.stop]
        where = part.knowledge if feed.stretches else stored
        if kind == "caption":
            texts += [caption_of(sample) for sample in some]
            continue
        told = rationales_of(some, where, blind=kind != "label_aware")
        if kind == "label_aware":
            told = [
                f"{text} It evokes {sample.label_of(part.task)}."
                for text, sample in zip(told, some, strict=True)
            ]
        texts += told
    if kind in SHUFFLED:
        texts = [texts[row] for row in shuffled_rows(dealt_among(kind, feed.truth), seed)]
    known: dict[str, int] = {}
    groups = torch.tensor([known.setdefault(text, len(known)) for text in texts])
    embedded = torch.empty(len(known), 0)
    if embed and painter is not None:
        embedded = embed_texts(painter, list(known))
    elif embed:
        embedded = embed_by_reading(reader, list(known))
    return KnowledgeBase(
        tuple(texts),
        tuple(
            reader.tokenizer.encode(text, add_special_tokens=False)[:MAX_RATIONALE_TOKENS]
            for text in texts
        ),
        embedded[groups],
        groups,
    )


def caption_of(sample: Sample) -> str:
    """Return the caption of a sample.

    Raises:
        UsageError: when it has none.
    """
    if not sample.caption:
        raise UsageError(f"Sample {sample.id!r} has no caption, which rationale=caption learns.")
    return sample.caption


def dealt_among(kind: str, truth: np.ndarray) -> np.ndarray:
    """Return the groups (N,) within which texts are dealt out: all are one, or each label is."""
    return truth if kind == "shuffled_within" else np.zeros(len(truth), dtype=int)


def shuffled_rows(groups: np.ndarray, seed: int) -> list[int]:
    """Return whose text each of N pictures gets, dealt out anew within each group (N,)."""
    dealt = list(range(len(groups)))
    rng = numpy_rng(seed, "shuffled-rationales")
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        for place, source in zip(rows, rng.permutation(rows), strict=True):
            dealt[place] = int(source)
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
