"""Running one of TRL's trainers as the stages run: resumed, stopped in time, its numbers kept."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from emosym.config.text_recipes import TextRecipe
from emosym.errors import Diverged, StoppedEarly
from emosym.files import sync, write_text
from emosym.training.loop.deadline import is_late
from emosym.training.loop.metrics_log import MetricsLog
from emosym.training.loop.progress import training_bar
from emosym.training.stages.finish import training_device, use_bf16
from emosym.training.stages.text_rewards import READABLE

log = logging.getLogger(__name__)
STATE, WHOLE = "state", "whole"
FEW = 0.5  # of sampled answers: with fewer that say something, spelling is what is rewarded
LEFT_OUT = ("epoch", "step_time", "total_flos", "num_tokens", "learning_rate")


def trainer_settings(recipe: TextRecipe) -> dict[str, Any]:
    """Return what both of TRL's configurations take from a recipe."""
    optim = recipe.optim
    return {
        "output_dir": str(recipe.out / STATE),
        "max_steps": optim.steps,
        "gradient_accumulation_steps": optim.accumulate,
        "learning_rate": optim.lr,
        "weight_decay": optim.weight_decay,
        "warmup_steps": round(optim.warmup * optim.steps),
        "lr_scheduler_type": "cosine",
        "max_grad_norm": optim.max_grad_norm,
        "save_strategy": "steps",
        "save_steps": optim.checkpoint_every,
        "save_total_limit": 2,
        "logging_steps": optim.log_every,
        "seed": recipe.seed if optim.order is None else optim.order,
        "bf16": use_bf16(optim),
        "use_cpu": torch.device(training_device()).type == "cpu",
        "gradient_checkpointing": optim.gradient_checkpointing,  # TRL's own default is on
        "disable_dropout": True,
        "disable_tqdm": True,  # there is a bar of our own, see `run_trainer`
        "report_to": [],
        "beta": recipe.beta,
        "remove_unused_columns": False,
    }


class Watch(TrainerCallback):
    """Keeps the numbers of a run, marks its states as whole, and stops it at a deadline."""

    def __init__(self, recipe: TextRecipe, deadline: float | None, start: int) -> None:
        """Open the log for steps after `start`."""
        optim = recipe.optim
        self.deadline, self.shown, self.batch = deadline, start, optim.batch_size
        self.advance: Callable[[float, int], None] | None = None
        self.log = MetricsLog(
            recipe.out, recipe.stage, 1, optim.steps, optim.batch_size, start, main=True
        )

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Keep a line of numbers."""
        if logs is None or "train_runtime" in logs:
            return
        row = {
            name.removeprefix("rewards/").removesuffix("/mean") if "/mean" in name else name: value
            for name, value in logs.items()
            if isinstance(value, (int, float)) and name not in LEFT_OUT
        }
        row = {name: float(value) for name, value in row.items() if "/std" not in name}
        if state.global_step <= args.logging_steps and row.get(READABLE, 1.0) < FEW:
            log.warning(
                "Only %.0f %% of the first sampled answers say something usable, so rewards would "
                "mostly teach it to spell the answers that it can spell, and accuracy may fall: "
                "teach it for longer first (recipe say), or sample at a lower temperature.",
                100 * row[READABLE],
            )
        self.log.add(state.global_step - 1, row)
        while self.advance is not None and self.shown < state.global_step:
            self.advance(row.get("loss", 0.0), self.batch)
            self.shown += 1
        if "loss" in row and row["loss"] != row["loss"]:
            raise Diverged(
                f"The loss is no number at step {state.global_step}: take a smaller optim.lr."
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop in order where it is late."""
        if is_late(self.deadline) and state.global_step < args.max_steps:
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a state that is written to its end."""
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE
        write_text(written, "")
        sync(written)


def last_state(out: Path) -> tuple[Path | None, int]:
    """Return the newest whole state of a stopped run and its step; torn ones are removed."""
    found: dict[int, Path] = {}
    for folder in (out / STATE).glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if step and (folder / WHOLE).is_file():
            found[int(step[1])] = folder
        elif step:
            shutil.rmtree(folder, ignore_errors=True)
    newest = max(found, default=0)
    return found.get(newest), newest


def run_trainer(
    trainer: Any, watch: Watch, recipe: TextRecipe, state: Path | None, progress: bool
) -> None:
    """Train to the end, from a state where there is one, and show how far it is.

    Raises:
        StoppedEarly: when it stopped at the deadline; the same call goes on.
    """
    trainer.add_callback(watch)
    trainer.remove_callback(PrinterCallback)
    if not recipe.optim.steps:
        return
    try:
        if state is None or int(state.name.rpartition("-")[2]) < recipe.optim.steps:
            with training_bar(recipe.stage, recipe.optim.steps, watch.shown, progress) as advance:
                watch.advance = advance
                trainer.train(resume_from_checkpoint=None if state is None else str(state))
        else:
            trainer._load_from_checkpoint(str(state))
    finally:
        watch.log.close()
    done = max(int(trainer.state.global_step), 0)
    if state is not None and not done:
        done = recipe.optim.steps
    if done < recipe.optim.steps:
        raise StoppedEarly(f"{recipe.stage} at step {done} of {recipe.optim.steps}")
