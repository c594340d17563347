"""Sections of a recipe: frozen, typed, unknown keys are errors."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def expanded(place: Any) -> Any:
    """Return a path, name or id with `~` and variables put in.

    Raises:
        ValueError: for anything but a text, an empty one, or an unknown variable or user.
    """
    place = str(place) if isinstance(place, Path) else place
    if not isinstance(place, str) or not place.strip() or "\0" in place:
        raise ValueError("a path or a name is needed here")
    found = os.path.expandvars(os.path.expanduser(place))  # noqa: PTH111 - ids are no paths
    unknown = re.match(r"~[^/]*|.*?(\$\{\w+\}|\$\w+)", found)
    if unknown:
        raise ValueError(f"{unknown[1] or unknown[0]} is not set on this machine")
    return found


Folder = Annotated[Path, BeforeValidator(expanded)]
Place = Annotated[str, BeforeValidator(expanded)]  # a folder, or the name or id of a model


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(Section):
    """Where the labelled pictures are.

    `part` keeps a stretch of the training split, so that two stages can see different pictures;
    `label_fraction` keeps a share of that. Both are seeded and stratified, by `draw` where it is
    set, else by the recipe's seed. `knowledge` is a file of
    `emosym data annotate`, whose rationales `align` takes where they fit the picture as it is. The
    columns, `config` and `download` (may fetch what is not here) are for the source `hub`.
    `labels` are those of a label space of your own (unset: the folders' names, else the model's);
    `space` names a published one, such as goemotions7.
    `polarity` and `norms` (valence, arousal, dominance on 1..9) tell what is known of them.
    With `folds` above 1 the training split is cut into so many parts, part `fold` (from 0) is held
    out in place of `val_split`, and the others train.
    `held_out` names a test (a list of hashes, or a data set) whose dialogues are not trained on.
    `frames` pictures are taken of each turn's clip (extra `video`); 0 shows words alone.
    `level` says which storybook is meant (cues, appraisal, tales): a folder of another is refused.
    """

    source: Literal[
        "storybook",
        "emoset",
        "folder",
        "fi",
        "oasis",
        "ldl",
        "hub",
        "meld",
        "ecf",
        "reccon",
        "emorynlp",
        "mosei",
        "goemotions",
        "emobench",
        "open-words",
        "statements",
        "expressions",
        "storybook-dialogues",
        "amt",
    ] = "storybook"
    root: Folder = Path("runs/data")
    train_split: str = "train"
    val_split: str = "val"
    folds: int = Field(0, ge=0)
    fold: int = Field(0, ge=0)
    part: tuple[float, float] = (0.0, 1.0)
    label_fraction: float = Field(1.0, gt=0, le=1)
    draw: int | None = None
    space: str | None = None
    labels: tuple[str, ...] | None = None
    polarity: dict[str, str] = {}
    norms: dict[str, tuple[float, float, float]] = {}
    image_column: str | None = None
    label_column: str | None = None
    config: str | None = None
    download: bool = False
    knowledge: Folder | None = None
    level: str | None = None
    held_out: Folder | None = None
    frames: int = Field(0, ge=0, le=64)
    workers: int = Field(2, ge=1)


class OptimSection(Section):
    """How long and how fast.

    `muon_lr` switches Muon on for matrices (toy sizes); `bf16` unset means: measured on a CPU, on
    elsewhere. `gradient_checkpointing` computes each decoder layer again in the backward pass,
    which takes a third more time and little memory. `order` seeds the order of the samples and the
    noise of training; unset, the recipe's seed does.
    """

    steps: int = Field(300, ge=0)
    batch_size: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)
    muon_lr: float | None = None
    weight_decay: float = Field(0.1, ge=0)
    warmup: float = Field(0.03, gt=0, lt=1)
    max_grad_norm: float = 1.0
    accumulate: int = Field(1, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    log_every: int = Field(10, ge=1)
    bf16: bool | None = None
    gradient_checkpointing: bool = False
    order: int | None = None


class LoraSection(Section):
    """Low-rank adapter of the language model; r = 0 trains the new tokens and heads only.

    `last` says on how many of the last layers it stands, unset on all: a step then costs less.
    With `prompt: false` it acts on what comes after the prompt alone: what is before [CTX] stays
    the base's and is computed once a picture, so a step costs a fraction.
    `four_bit` keeps the frozen weights below it in 4 bits (QLoRA; needs the extra `4bit`).
    """

    r: int = Field(8, ge=0)
    last: int | None = Field(None, ge=1)
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    prompt: bool = True
    four_bit: bool = False


class LatentSection(Section):
    """The [CTX] x K and [EMO] tokens; K = 0 leaves [EMO] alone.

    `after: sentences` puts one after the picture and one after each sentence beside it, where each
    sees what stands before it; of fewer sentences the first ones stand after the picture too.
    `own_sentence` lets each see no more than its own sentence (the first ones: what stands before
    it), and of the others what the one before feeds back; [EMO] then sees the last one alone.
    """

    num_context_tokens: int = Field(4, ge=0)
    recurrent: bool = True
    after: Literal["prompt", "sentences", "own_sentence"] = "prompt"
    template: Literal["emosym", "picture", "speaker", "turns"] = "emosym"

    @model_validator(mode="after")
    def _stands_somewhere(self) -> LatentSection:
        """Refuse sentences where latents stand after every turn."""
        if self.after != "prompt" and self.template == "turns":
            raise ValueError(f"after: {self.after} is of a prompt, and template: turns reads turns")
        if self.after == "own_sentence" and not self.recurrent:
            raise ValueError(
                "after: own_sentence feeds back all that is known: set recurrent: true"
            )
        return self


class Recipe(Section):
    """What every stage has: its name, its seed, its output folder, its data and its tasks."""

    stage: str
    seed: int = 0
    out: Folder
    init: Place = "storybook-base"
    data: DataSection = DataSection()
    optim: OptimSection = OptimSection()
    tasks: tuple[str, ...] = ("image_emotion",)
