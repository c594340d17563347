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
from emosym.emotions import SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.errors import UsageError
from emosym.files import read_json, write_atomic, write_json
from emosym.models.adapters import has_adapter, train_adapter
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.recompute import checkpoint_layers
from emosym.models.reader.talks import Talk
from emosym.processes import Processes
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.loop.state import trainable_tensors
from emosym.training.stages.easy_first import difficulty, rows_from_easy
from emosym.training.stages.finish import StageResult, loop_settings, write_stage
from emosym.training.stages.sets import TalkSet, check_sets, mixed_rows, open_set, reads_history
from emosym.training.stages.settle import settle_pointer
from emosym.training.stages.spoken import Spoken, spoken_of, words_loss
from emosym.training.stages.start import add_heads, open_start, use_lora
from emosym.training.stages.talk_loss import (
    balanced_weights,
    batch_loss,
    learns_labels,
    with_causes,
)
from emosym.training.stages.talk_values import HeldOut, all_values, held_out_sets
from emosym.types import ECPE, FER, IMAGE_EMOTION, MER, MSA, TEXT_EMOTION

log = logging.getLogger(__name__)
ROUNDS, BEST = "rounds.json", "best.safetensors"
DECIDES = {False: "weighted_f1", True: "macro_f1"}  # the value of best weights; several labels
SIDES = {MSA: "msa_accuracy", FER: "fer_micro_f1", ECPE: "causes_given_f1"}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What held-out conversations said after `step` steps."""

    step: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Trained:
    """What every evaluation said, and the readings of the best; None: this process has not made it.

    These are what the weights that were kept say of the held-out data, by label space.
    """

    rounds: tuple[Evaluated, ...]
    best: Mapping[LabelSpace, HeldOut] | None = None


def run_m2se(
    recipe: M2seRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train on conversations as the recipe says, and write recipe.out/checkpoint.

    Of several processes each reads its own conversations of a batch, and all that is held out.

    Raises:
        UsageError: for data that are no conversations, or a conversation without a known emotion.
    """
    check_sets(recipe)
    model = open_start(recipe)
    if recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    reader = replace(model.reader, history=recipe.history)
    spaces = add_heads(model, recipe)
    with Processes().main_first():  # it takes the pictures out of clips, the others find them
        main = open_set(reader, recipe, recipe.data)
        also = [
            open_set(replace(reader, space=space), recipe, data, further=True)
            for space, data in zip(spaces, recipe.also, strict=True)
        ]
    reader = replace(reader, history=reads_history(reader, (main, *also)))
    model = replace(model, reader=reader)
    shown = next((one for one in (main, *also) if one.domain is not None), None)
    if shown is not None:
        model = replace(model, domain=shown.domain)
        model = model if shown is main else replace(model, pictures=shown.space)
    add_side_heads(model, main.train, recipe)
    spoken = None
    if recipe.spoken:
        spoken = spoken_of(
            model.reader.chat,
            main.samples,
            recipe.spoken,
            model.space,
            recipe.temperature,
            recipe.longest,
            recipe.spoken_form,
            recipe.spoken_examples,
            recipe.spoken_confidence,
        )
    use_lora(model, recipe)
    if ECPE in recipe.tasks and recipe.w_causes:
        if model.causes is None or model.causes.name != model.space.name:
            model.reader.reasoner.add_pointer(model.space, recipe.seed)
        model = replace(model, causes=model.space)
    done = train_m2se(model, main.train, main.val, recipe, progress, deadline, spoken, also)
    if recipe.settle:
        settle_pointer(model, main.train, recipe.settle, recipe.seed)
        done = replace(done, best=None)  # what was read before does not know it
    held = done.best or held_out_sets(reader, (main, *also))
    told = {space: (found.logits, found.truth) for space, found in held.items()}
    values = all_values(held, main.space)
    for one in (main, *also):
        values |= {f"clips {reason} in {one.space.name}": n for reason, n in one.failed.items()}
    return write_stage(model, recipe, dump_recipe(recipe), told, values)


def train_m2se(
    model: EmoSymModel,
    train: Sequence[Talk],
    val: Sequence[Talk],
    recipe: M2seRecipe,
    progress: bool = True,
    deadline: float | None = None,
    spoken: Spoken | None = None,
    also: Sequence[TalkSet] = (),
) -> Trained:
    """Train adapter, tokens, head and pointer; the model ends with its best weights on `val`.

    With `spoken` the same steps also teach answers in words; batches mix the rows of the data sets
    `also` with those of `train`, see `sets.mixed_rows`.

    What each evaluation said is recipe.out/rounds.json; a stopped run goes on from it. Where the
    pointer settles afterwards and there are no weights to choose among, nothing is evaluated.
    """
    reader, reasoner = model.reader, model.reader.reasoner
    rows, optim = [*train, *(talk for one in also for talk in one.train)], recipe.optim
    spaces = list({space.name: space for talk in rows for space in talk.others}.values())
    set_trainable(model, spaces)
    reasoner.train()
    processes = Processes()
    weights = balanced_weights(model.space, train, recipe.balance).to(reasoner.device)
    names = deciding(recipe, model.space, [one.space for one in also])

    order = _order(model.space, train, also, recipe)

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        chosen = indices if order is None else order[indices]
        talks = with_causes([rows[i] for i in chosen], recipe, step, int(indices[0]))
        if recipe.tasks:
            losses = batch_loss(model, talks, recipe, weights, processes)
        else:  # in words alone
            losses = {"loss": torch.zeros((), device=reasoner.device)}
        if spoken is None:
            return losses
        words = words_loss(reader.chat, spoken, recipe, step, processes)
        return {**losses, "loss": losses["loss"] + recipe.w_spoken * words, "spoken": words}

    live = trainable_tensors({"reasoner": reasoner})
    settings = loop_settings("m2se", recipe, deadline)
    settings = replace(settings, shuffle=order is None, uses_all=False)
    held = (TalkSet(model.space, (), (), tuple(val)), *also)
    rounds = _rounds(recipe.out)
    best: Mapping[LabelSpace, HeldOut] | None = None
    stops = [*range(recipe.evaluate_every, optim.steps, recipe.evaluate_every), optim.steps]
    chooses = len(stops) > 1 or not recipe.settle
    for stop in stops:
        if _is_over([score(done, names) for done in rounds], recipe.patience):
            break
        run_loop(
            replace(settings, until=stop),
            {"reasoner": reasoner},
            build_optimizers({"reasoner": reasoner}, optim.lr, optim.weight_decay, optim.muon_lr),
            cosine(optim.warmup),
            len(rows) if order is None else len(order),
            loss_fn,
            processes,
            progress,
        )
        if not chooses or stop in [done.step for done in rounds]:
            continue
        found = held_out_sets(reader, held)
        now = processes.agree(Evaluated(stop, all_values(found, model.space)))
        better = score(now, names) > max((score(done, names) for done in rounds), default=-1.0)
        best = found if better else best
        rounds.append(now)
        if processes.main:
            if better:
                _keep(live, recipe.out / BEST)
            write_json(recipe.out / ROUNDS, [asdict(done) for done in rounds])
        processes.wait()
        told = ", ".join(f"{name} {value:.3f}" for name, value in now.values.items())
        log.info("m2se step %d, held out: %s", stop, told)
    if chooses:
        _put_back(live, recipe.out / BEST)
    reasoner.eval().requires_grad_(False)
    return Trained(tuple(rounds), best)


def _order(
    main: LabelSpace, train: Sequence[Talk], also: Sequence[TalkSet], recipe: M2seRecipe
) -> np.ndarray | None:
    """Return the rows of all steps where data sets are mixed, or easy ones come first; else None.

    None: the rows of one data set, shuffled.
    """
    steps = max(recipe.optim.steps, 1)
    if recipe.easy_first:
        hard = [difficulty(talk) for talk in train]
        batch = recipe.optim.batch_size
        return rows_from_easy(hard, recipe.easy_first, recipe.seed, steps, batch)
    if not also:
        return None
    sizes = {main.name: len(train), **{one.space.name: len(one.train) for one in also}}
    return mixed_rows(sizes, recipe.temperature, recipe.seed, steps * recipe.optim.batch_size)


def _keep(live: Mapping[str, torch.Tensor], path: Path) -> None:
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in live.items()}
    write_atomic(path, lambda temporary: save_file(kept, temporary))


def _put_back(live: Mapping[str, torch.Tensor], path: Path) -> None:
    kept = load_file(path)
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(kept[name])


def _rounds(out: Path) -> list[Evaluated]:
    """Return what a stopped run had evaluated already."""
    path = out / ROUNDS
    if not path.is_file() or not (out / BEST).is_file():
        return []
    return [Evaluated(int(row["step"]), row["values"]) for row in read_json(path, "evaluations")]


def _is_over(scores: Sequence[float], patience: int) -> bool:
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience


def deciding(recipe: M2seRecipe, main: LabelSpace, also: Sequence[LabelSpace]) -> tuple[str, ...]:
    """Return the values that say which weights are best: the F1 of the labels of each data set.

    Where the labels of the main set are not learned they are those of what other heads answer.
    """
    sides = tuple(SIDES[task] for task in recipe.tasks if task in SIDES)
    own = (DECIDES[main.several],) if learns_labels(recipe) else sides
    return (*own, *(f"{DECIDES[space.several]} in {space.name}" for space in also))


def score(done: Evaluated, names: Sequence[str]) -> float:
    """Return the mean of the values that decide; where there are none, later is better."""
    found = [done.values[name] for name in names if name in done.values]
    return float(np.mean(found)) if found else float(done.step)


def add_side_heads(model: EmoSymModel, train: Sequence[Talk], recipe: M2seRecipe) -> None:
    """Give a model the heads of what else is known of its training turns.

    Raises:
        UsageError: when a task of the recipe has no truth in the training data.
    """
    known = {space.name: space for talk in train for space in talk.others}
    told = {ECPE: any(talk.causes is not None for talk in train)}
    told |= {MER: True, TEXT_EMOTION: True, IMAGE_EMOTION: True}
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
