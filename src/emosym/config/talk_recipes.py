"""The recipe of the stage that learns conversations, all turns at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from emosym.config.schema import DataSection, LatentSection, LoraSection, Place, Recipe
from emosym.config.text_recipes import AnswerForm


class M2seRecipe(Recipe):
    """Conversations, all turns at once: the emotion of every turn, and what caused it.

    `init` is a base or a checkpoint. `w_causes` weighs the pointer to causes, where the data tell
    them, `w_others` the heads of sentiment (msa) and action units (fer). `balance` 0..1 and `focal`
    count rare emotions for more. Every `evaluate_every` steps the validation split is read; the
    weights of the best weighted F1 are kept, and after `patience` evaluations without a better one
    training ends. `history: false` shows each turn alone.

    `spoken` are tasks whose answers are learned in words, with weights: {mer: 1, eri: 2}. Each step
    takes `spoken_batch` samples, a task drawn in proportion to weight times its number of samples
    to the power 1 / `temperature`. Only the answer's tokens count. `spoken_form` says how answers
    are given (`tasks.reasoned`), `spoken_confidence` where a taught one comes from: `drawn` at
    random, or the `own` share that the model which comes in gives the true label.

    With `spoken_examples` so many alike dialogues of the training split, with their answers, stand
    before the question (`memory.dialogues`); the model is then to be asked with as many.

    With `easy_first` conversations come in from the easiest on (`stages.easy_first`), in that share
    of the steps.

    `causes_share` is the share of conversations whose causes are learned, drawn anew each step.
    `settle` are steps of the pointer alone at the end, on latents that are read once, after which
    the probability from which a pair is said is chosen: see `stages.settle`.

    `also` are more data sets, single pictures (task image_emotion) or conversations, each with a
    label space, and so a head, of its own; a row of a batch is drawn from each in proportion to its
    size to the power 1 / `temperature`, and each counts by its rows.
    """

    stage: Literal["m2se"]
    also: tuple[DataSection, ...] = ()
    tasks: tuple[str, ...] = ("mer",)
    reader: Place | None = None
    painter: Place | None = None
    max_pixels: int | None = Field(None, ge=28 * 28)
    latents: LatentSection = LatentSection(template="turns")
    lora: LoraSection = LoraSection()
    w_causes: float = Field(1.0, ge=0)
    causes_share: float = Field(1.0, gt=0, le=1)
    settle: int = Field(0, ge=0)
    w_others: float = Field(1.0, ge=0)
    balance: float = Field(0.0, ge=0, le=1)
    focal: float = Field(0.0, ge=0)
    evaluate_every: int = Field(100, ge=1)
    patience: int = Field(3, ge=1)
    rows_at_once: int = Field(4, ge=1)
    history: bool = True
    spoken: dict[str, float] = Field(default_factory=dict)
    w_spoken: float = Field(1.0, ge=0)
    spoken_batch: int = Field(16, ge=1)
    spoken_form: AnswerForm = "plain"
    spoken_examples: int = Field(0, ge=0)
    spoken_confidence: Literal["drawn", "own"] = "drawn"
    easy_first: float = Field(0.0, ge=0, le=1)
    temperature: float = Field(2.0, ge=1)
    longest: int = Field(1024, ge=16)
    fresh_head: bool = False

    @model_validator(mode="after")
    def _settles_what_is_learned(self) -> M2seRecipe:
        """Refuse steps of a pointer that there is not."""
        if self.settle and not ("ecpe" in self.tasks and self.w_causes):
            raise ValueError("settle: steps of the pointer to causes, so tasks must name ecpe")
        return self

    @model_validator(mode="after")
    def _orders_what_is_alone(self) -> M2seRecipe:
        """Refuse what has no meaning beside other settings: an order, examples, a confidence."""
        if self.easy_first and self.also:
            raise ValueError(
                "easy_first orders the conversations of one data set: leave out `also`"
            )
        if self.spoken_examples and (not self.spoken or self.spoken_form != "plain"):
            raise ValueError(
                "spoken_examples are shown before tasks of `spoken`, in spoken_form: plain"
            )
        if self.spoken_confidence == "own" and self.spoken_form not in ("sure", "rated"):
            raise ValueError("spoken_confidence: own is stated in spoken_form: sure or rated alone")
        return self

    @model_validator(mode="after")
    def _adapts_what_is_said(self) -> M2seRecipe:
        """Refuse an adapter that leaves alone what conversations consist of."""
        if not self.lora.prompt:
            raise ValueError("lora.prompt: false is of align: a conversation is all prompt")
        return self

    @model_validator(mode="after")
    def _evaluate_where_a_line_is(self) -> M2seRecipe:
        """Refuse evaluations between two lines of the log, where a run cannot pause."""
        every, lines = self.evaluate_every, self.optim.log_every
        if every < self.optim.steps and every % lines:
            raise ValueError(f"evaluate_every ({every}) must be a multiple of log_every ({lines})")
        return self

    @model_validator(mode="before")
    @classmethod
    def _ask_of_turns(cls, raw: Any) -> Any:
        """Let `latents` without a template keep the one that conversations are read with."""
        latents = raw.get("latents") if isinstance(raw, dict) else None
        if not isinstance(latents, dict):
            return raw
        template = latents.get("template", "turns")
        if template != "turns":
            raise ValueError(f"conversations have the template 'turns', not {template!r}")
        return {**raw, "latents": {**latents, "template": template}}
