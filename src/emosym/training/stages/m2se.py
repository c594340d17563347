"""Stage `m2se`: conversations, all turns at once, and what caused the emotions in them.

EmoVerse (arXiv 2412.08049) trains its tasks in two stages on one model; here the latents answer
what labels can answer, in one pass a conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emosym.config.load import dump_recipe
from emosym.config.recipes import M2seRecipe
from emosym.data.action_units import UNIT_SPACE
from emosym.data.clips import ClipFrames
from emosym.data.dataset import Dataset
from emosym.data.held_out import NOTHING_HELD
from emosym.data.sources.open import open_dataset
from emosym.data.sources.other_tests import held_out_hashes
from emosym.emotions import SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.errors import UsageError
from emosym.files import read_json, write_atomic, write_json
from emosym.models.adapters import has_adapter, train_adapter
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.recompute import checkpoint_layers
from emosym.models.reader.talks import (
    UNKNOWN,
    Talk,
    alone,
    talks_of,
)
from emosym.processes import Processes
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.loop.state import trainable_tensors
from emosym.training.stages.finish import StageResult, loop_settings, write_stage
from emosym.training.stages.spoken import Spoken, drawn, spoken_loss, spoken_of
from emosym.training.stages.start import open_start, use_lora
from emosym.training.stages.talk_loss import balanced_weights, batch_loss
from emosym.training.stages.talk_values import held_out
from emosym.types import ECPE, FER, MER, MSA, TEXT_EMOTION

log = logging.getLogger(__name__)
ROUNDS, BEST = "rounds.json", "best.safetensors"
DECIDES = {False: "weighted_f1", True: "macro_f1"}  # the value of best weights; several labels


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What held-out conversations said after `step` steps."""

    step: int
    values: dict[str, float]


def run_m2se(
    recipe: M2seRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train on conversations as the recipe says, and write recipe.out/checkpoint.

    Raises:
        UsageError: for data that are no conversations, a conversation without a known emotion, or
            several processes, which cannot share a conversation yet.
    """
    if Processes().world > 1:
        raise UsageError("The stage m2se runs in one process; start it without accelerate launch.")
    model = open_start(recipe)
    if recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    samples, held_samples = (
        turns_of(model.reader, recipe, split)
        for split in (recipe.data.train_split, recipe.data.val_split)
    )
    train = conversations(model.reader, recipe, samples)
    val = conversations(model.reader, recipe, held_samples)
    add_side_heads(model, train, recipe)
    spoken = None
    if recipe.spoken:
        spoken = spoken_of(
            model.reader.chat,
            samples,
            recipe.spoken,
            model.space,
            recipe.temperature,
            recipe.longest,
        )
    use_lora(model, recipe)
    if ECPE in recipe.tasks and recipe.w_causes:
        if model.causes is None or model.causes.name != model.space.name:
            model.reader.reasoner.add_pointer(model.space, recipe.seed)
        model = replace(model, causes=model.space)
    train_m2se(model, train, val, recipe, progress, deadline, spoken)
    held = held_out(model.reader, val)
    return write_stage(
        model, recipe, dump_recipe(recipe), {model.space: (held.logits, held.truth)}, held.values
    )


def conversations(reader: Reader, recipe: M2seRecipe, dataset: Dataset) -> tuple[Talk, ...]:
    """Return a data set's conversations; without `history` every turn is one of its own.

    Raises:
        UsageError: when no turn has a known emotion.
    """
    talks = talks_of(reader, dataset, recipe.tasks)
    if not recipe.history:
        talks = tuple(turn for talk in talks for turn in alone(talk))
    known = tuple(talk for talk in talks if bool((talk.labels != UNKNOWN).any()))
    if not known:
        raise UsageError(f"No turn of {recipe.data.source} {dataset.split!r} has a known emotion.")
    return known


def turns_of(reader: Reader, recipe: M2seRecipe, split: str) -> Dataset:
    """Open a split of the recipe's data, whose samples are turns.

    Dialogues of `data.held_out`, another data set's test, are left out of training.
    """
    data = recipe.data
    fraction, part, tests = (1.0, (0.0, 1.0), NOTHING_HELD)
    if split == data.train_split:
        fraction, part = data.label_fraction, data.part
        tests = NOTHING_HELD if data.held_out is None else held_out_hashes(data.held_out)
    return open_dataset(
        data.source,
        data.root,
        split,
        reader.space,
        fraction,
        recipe.seed,
        part,
        held_out=tests,
        clips=ClipFrames(data.frames) if data.frames else None,
    )


def train_m2se(
    model: EmoSymModel,
    train: Sequence[Talk],
    val: Sequence[Talk],
    recipe: M2seRecipe,
    progress: bool = True,
    deadline: float | None = None,
    spoken: Spoken | None = None,
) -> list[Evaluated]:
    """Train adapter, tokens, head and pointer; the model ends with its best weights on `val`.

    With `spoken` the same steps also teach answers in words.

    What each evaluation said is recipe.out/rounds.json; a stopped run goes on from it.
    """
    reader, reasoner = model.reader, model.reader.reasoner
    spaces = list({space.name: space for talk in train for space in talk.others}.values())
    set_trainable(model, spaces)
    reasoner.train()
    weights = balanced_weights(model.space, train, recipe.balance).to(reasoner.device)
    score = DECIDES[model.space.several]

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        losses = batch_loss(model, [train[i] for i in indices], recipe, weights)
        if spoken is None:
            return losses
        said = drawn(spoken, recipe.seed, step, recipe.spoken_batch)
        told = [conversation for _, conversation in said]
        losses["spoken"] = spoken_loss(reader.chat, told, recipe.rows_at_once)
        return {**losses, "loss": losses["loss"] + recipe.w_spoken * losses["spoken"]}

    optim, live = recipe.optim, trainable_tensors({"reasoner": reasoner})
    settings = loop_settings("m2se", recipe, deadline)
    rounds = _rounds(recipe.out)
    stops = [*range(recipe.evaluate_every, optim.steps, recipe.evaluate_every), optim.steps]
    for stop in stops:
        if _is_over([done.values[score] for done in rounds], recipe.patience):
            break
        run_loop(
            replace(settings, until=stop),
            {"reasoner": reasoner},
            build_optimizers({"reasoner": reasoner}, optim.lr, optim.weight_decay, optim.muon_lr),
            cosine(optim.warmup),
            len(train),
            loss_fn,
            progress=progress,
        )
        if stop in [done.step for done in rounds]:
            continue
        now = Evaluated(stop, held_out(reader, val).values)
        best = max((done.values[score] for done in rounds), default=-1.0)
        if now.values[score] > best:
            _keep(live, recipe.out / BEST)
        rounds.append(now)
        write_json(recipe.out / ROUNDS, [asdict(done) for done in rounds])
        told = ", ".join(f"{name} {value:.3f}" for name, value in now.values.items())
        log.info("m2se step %d, held out: %s", stop, told)
    best_weights = load_file(recipe.out / BEST)
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(best_weights[name])
    reasoner.eval().requires_grad_(False)
    return rounds


def _keep(live: Mapping[str, torch.Tensor], path: Path) -> None:
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in live.items()}
    write_atomic(path, lambda temporary: save_file(kept, temporary))


def _rounds(out: Path) -> list[Evaluated]:
    """Return what a stopped run had evaluated already."""
    path = out / ROUNDS
    if not path.is_file() or not (out / BEST).is_file():
        return []
    return [Evaluated(int(row["step"]), row["values"]) for row in read_json(path, "evaluations")]


def _is_over(scores: Sequence[float], patience: int) -> bool:
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience


def add_side_heads(model: EmoSymModel, train: Sequence[Talk], recipe: M2seRecipe) -> None:
    """Give a model the heads of what else is known of its training turns.

    Raises:
        UsageError: when a task of the recipe has no truth in the training data.
    """
    known = {space.name: space for talk in train for space in talk.others}
    told = {ECPE: any(talk.causes is not None for talk in train)}
    told |= {MER: True, TEXT_EMOTION: True}
    told |= {MSA: any(name in known for name in (SENTIMENT3.name, SENTIMENT7.name))}
    told |= {FER: UNIT_SPACE.name in known}
    if model.space.several and (MER in recipe.tasks or ECPE in recipe.tasks):
        raise UsageError(
            f"A turn may have several labels of {model.space.name} at once: train the task "
            f"{TEXT_EMOTION!r} on them; mer and ecpe need labels that exclude each other."
        )
    missing = next((task for task in recipe.tasks if not told[task]), None)
    if missing is not None:
        raise UsageError(
            f"The training data tell nothing of the task {missing!r}; leave it out of `tasks`."
        )
    reasoner = model.reader.reasoner
    own = {space.name for space in reasoner.spaces}
    for name in sorted(known):
        if name not in own or recipe.fresh_head:
            reasoner.add_head(known[name], recipe.seed)


def set_trainable(model: EmoSymModel, others: Sequence[LabelSpace] = ()) -> None:
    """Train adapter, tokens, the answering head, those of `others`, and the pointer, if any."""
    reasoner = model.reader.reasoner
    reasoner.requires_grad_(False)
    if has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    for space in (model.space, *others):
        reasoner.head(space).requires_grad_(True)
    if model.causes is not None and reasoner.pointer is not None:
        reasoner.pointer.requires_grad_(True)
