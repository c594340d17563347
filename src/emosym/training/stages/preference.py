"""Stage `preference`: DPO against explanations that name what is not there, by TRL's trainer."""

from __future__ import annotations

from typing import Any

from emosym.config.text_recipes import PreferenceRecipe
from emosym.data.storybook.facts import companions, wrong_by_companion, wrong_by_one
from emosym.errors import UsageError
from emosym.extras import require
from emosym.seeds import numpy_rng
from emosym.tasks.reasoned import PLAIN, RATED
from emosym.training.stages.finish import StageResult
from emosym.training.stages.text_start import TextStart, finish_text, open_text, score_before
from emosym.training.stages.trl_policy import (
    as_policy,
    messages_of,
    processing_class,
    rows_of,
    set_ends,
)
from emosym.training.stages.trl_run import Watch, last_state, run_trainer, trainer_settings
from emosym.types import Message, Sample


def run_preference(
    recipe: PreferenceRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train what recipe.init says by preferences, and write recipe.out/checkpoint.

    Raises:
        UsageError: for answers without a reason, or pictures that are not the storybook's.
        EmoSymError: when trl is not installed.
        StoppedEarly: at the deadline; the same call goes on.
    """
    require("trl", "rl")
    if recipe.form in (PLAIN, RATED):
        raise UsageError(
            f"There is no reason to prefer in the form {recipe.form!r}: set form=reasoned."
        )
    start = open_text(recipe)
    before = score_before(start, recipe)
    train_preference(start, recipe, progress, deadline)
    return finish_text(start, recipe, before)


def pairs_of(start: TextStart, recipe: PreferenceRecipe) -> list[tuple[Sample, str, str]]:
    """Return for each sample what is preferred and what is not: the second is wrong by one thing.

    A sample whose rationale names none of its objects is left out. What is wrong is drawn from the
    stream (seed, "preference-ID").

    Raises:
        UsageError: when none is left.
    """
    pairs = []
    together = companions(start.train) if recipe.wrong == "likely" else {}
    for sample in start.train:
        said = "".join(map(str, start.task.teach(sample)[-1].parts))
        reason = sample.rationale or ""
        rng = numpy_rng(recipe.seed, f"preference-{sample.id}")
        if recipe.wrong == "likely":
            wrong = wrong_by_companion(reason, sample, rng, together)
        else:
            wrong = wrong_by_one(reason, sample, rng)
        if wrong is not None:
            pairs.append((sample, said, said.replace(reason, wrong)))
    if not pairs:
        raise UsageError("No rationale of the training split names an object of its picture.")
    return pairs


def train_preference(
    start: TextStart,
    recipe: PreferenceRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> None:
    """Train the adapter of `start.model` in place; what each step scored is metrics.jsonl."""
    trl = require("trl", "rl")
    chat, task = start.chat, start.task
    pairs = pairs_of(start, recipe)

    def row(index: int) -> dict[str, Any]:
        sample, good, bad = pairs[index]
        prompt = messages_of(chat, task.conversation(sample))
        images = []
        for message in prompt:
            for part in message["content"]:
                if part["type"] == "image":
                    images.append(part.pop("image"))
        chosen, rejected = (
            messages_of(chat, (Message("assistant", (text,)),)) for text in (good, bad)
        )
        return {"prompt": prompt, "images": images, "chosen": chosen, "rejected": rejected}

    state, done = last_state(recipe.out)
    watch = Watch(recipe, deadline, done)
    both = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, recipe.w_said]}
    settings = trl.DPOConfig(
        **trainer_settings(recipe),
        per_device_train_batch_size=recipe.optim.batch_size,
        max_length=None,
        **(both if recipe.w_said else {"loss_type": ["sigmoid"]}),
    )
    with as_policy(start.model, recipe.lora, recipe.seed) as policy:
        set_ends(policy, chat)
        trainer = trl.DPOTrainer(
            policy,
            args=settings,
            train_dataset=rows_of(len(pairs), row),
            processing_class=processing_class(chat),
        )
        run_trainer(trainer, watch, recipe, state, progress)
