"""Recipes of the stages that train what a model says: by rewards, and by preferences."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from emosym.config.schema import LoraSection, Recipe

# How an answer is given: see `tasks.reasoned`.
AnswerForm: TypeAlias = Literal["plain", "reasoned", "sure", "rated"]


class TextRecipe(Recipe):
    """What both have: how answers are given, how long they may be, and what is held out.

    `beta` weighs the KL to the policy that `init` is. `lora` is that of a fresh adapter, where
    `init` has none. Of the held-out samples `held_out` at most are answered, before and after.
    """

    form: AnswerForm = "reasoned"
    beta: float = Field(0.04, ge=0)
    longest: int = Field(128, ge=1)
    held_out: int = Field(200, ge=1)
    lora: LoraSection = LoraSection(dropout=0.0)

    @model_validator(mode="after")
    def _asks_one_task(self) -> TextRecipe:
        """Refuse several tasks, and steps that nothing would be kept of."""
        if len(self.tasks) != 1:
            raise ValueError(f"one task is trained at a time, got {len(self.tasks)}")
        if not self.lora.r:
            raise ValueError("what is said is trained in an adapter: lora.r must be 1 or more")
        return self


class RlTextRecipe(TextRecipe):
    """GRPO on what a model says (TRL's trainer): rewards by name and weight.

    Each step draws `optim.batch_size` prompts and `num_generations` answers to each at
    `temperature`. `loss` is TRL's: dapo, grpo, bnpo, dr_grpo.
    """

    stage: Literal["rl_text"]
    rewards: dict[str, float] = Field({"accuracy": 1.0, "format": 0.2}, min_length=1)
    loss: Literal["dapo", "grpo", "bnpo", "dr_grpo"] = "dapo"
    num_generations: int = Field(8, ge=2)
    temperature: float = Field(1.0, gt=0)
    clip: float = Field(0.2, gt=0)


class PreferenceRecipe(TextRecipe):
    """DPO on explanations of storybook pictures (TRL's trainer): what is there before what is not.

    A pair is the picture's own explanation, and the same with a thing named that is not there:
    `wrong: random` puts any in the place of one; `likely` adds one that often stands beside those
    that are there or, one time in two, leaves one out, so that naming few does not pay.
    `w_said` weighs, beside the preference, the likelihood of the preferred text itself, which DPO
    alone may let fall.
    """

    stage: Literal["preference"]
    beta: float = Field(0.1, gt=0)
    wrong: Literal["random", "likely"] = "random"
    w_said: float = Field(0.0, ge=0)
