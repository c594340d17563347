"""Stage `rl_text`: GRPO on what a model says, by TRL's trainer and the rewards of this package.

The KL is measured to the policy that comes in: TRL copies its adapter.
"""

from __future__ import annotations

from emosym.config.text_recipes import RlTextRecipe
from emosym.extras import require
from emosym.training.stages.finish import StageResult
from emosym.training.stages.text_rewards import (
    check_columns,
    columns_of,
    open_rewards,
    readable_of,
)
from emosym.training.stages.text_start import TextStart, finish_text, open_text, score_before
from emosym.training.stages.trl_policy import (
    as_policy,
    messages_of,
    processing_class,
    rows_of,
    set_ends,
)
from emosym.training.stages.trl_run import Watch, last_state, run_trainer, trainer_settings


def run_rl_text(
    recipe: RlTextRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Train what recipe.init says by rewards, and write recipe.out/checkpoint.

    Raises:
        UsageError: for a reward that is unknown, or whose truth the data do not have.
        EmoSymError: when trl is not installed.
        StoppedEarly: at the deadline; the same call goes on.
    """
    require("trl", "rl")
    start = open_text(recipe)
    before = score_before(start, recipe)
    train_rl_text(start, recipe, progress, deadline)
    return finish_text(start, recipe, before)


def train_rl_text(
    start: TextStart, recipe: RlTextRecipe, progress: bool = True, deadline: float | None = None
) -> None:
    """Train the adapter of `start.model` in place; what each step scored is metrics.jsonl."""
    trl = require("trl", "rl")
    rewards, weights = open_rewards(recipe.rewards, start.task, start.space)
    check_columns(recipe.rewards, start.train, start.task)
    chat, task = start.chat, start.task

    def row(index: int) -> dict[str, object]:
        sample = start.train[index]
        columns = columns_of(sample, task)
        return {"prompt": messages_of(chat, task.conversation(sample)), **columns}

    state, done = last_state(recipe.out)
    watch = Watch(recipe, deadline, done)
    settings = trl.GRPOConfig(
        **trainer_settings(recipe),
        per_device_train_batch_size=recipe.optim.batch_size * recipe.num_generations,
        num_generations=recipe.num_generations,
        max_completion_length=recipe.longest,
        temperature=recipe.temperature,
        loss_type=recipe.loss,
        epsilon=recipe.clip,
        reward_weights=[*weights, 0.0],
    )
    with as_policy(start.model, recipe.lora, recipe.seed) as policy:
        set_ends(policy, chat)
        trainer = trl.GRPOTrainer(
            policy,
            [*rewards, readable_of(task)],
            args=settings,
            train_dataset=rows_of(len(start.train), row),
            processing_class=processing_class(chat),
        )
        run_trainer(trainer, watch, recipe, state, progress)
