"""The schema of `emosym.json`, of both formats: types, ranges, and what has to fit together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1, max_length=200)]
Place = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[^./\\\x00]{1,64}$")]
Stage = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Polarity = Literal["positive", "negative", "neutral"]
Condition = Literal[
    "emotion_context", "emotion", "emotion_repeated", "inversion", "class_word"
]  # mappers.CONDITIONS
Rating = Annotated[float, Field(ge=1, le=9)]


class Strict(BaseModel):
    """A part of the description: unknown keys, other types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SpaceRow(Strict):
    """A label space, with what is known of each label."""

    name: Name
    labels: Annotated[tuple[Text, ...], Field(min_length=2, max_length=64)]
    neutral: str | None
    polarity: tuple[Polarity | None, ...]
    norms: tuple[tuple[Rating, Rating, Rating] | None, ...]
    several: bool = False

    @model_validator(mode="after")
    def _fits(self) -> SpaceRow:
        if not len(self.labels) == len(self.polarity) == len(self.norms):
            raise ValueError("labels, polarity and norms have different lengths")
        if self.neutral is not None and self.neutral not in self.labels:
            raise ValueError(f"the neutral class {self.neutral!r} is not among the labels")
        return self


class DomainRow(Strict):
    """The share of held-out pictures below which a picture counts as outside."""

    threshold: Share


class Whole(Strict):
    """emosym.json of format 2. What is None or False is not in the folder."""

    format: Literal[2]
    emosym: Text
    base: Place
    reader: Place | None
    painter: Place | None
    max_pixels: Annotated[int, Field(ge=1)] | None
    reader_fingerprint: Text
    four_bit: bool
    condition: Condition
    spaces: Annotated[tuple[SpaceRow, ...], Field(min_length=1, max_length=64)]
    space: Name
    template: str
    num_context_tokens: Annotated[int, Field(ge=0, le=256)]
    recurrent: bool
    after: Literal["prompt", "sentences", "own_sentence"] = "prompt"
    adapts_prompt: bool = True
    text_size: Annotated[int, Field(ge=1, le=65536)]
    calibrations: dict[str, dict[str, Any]]
    validation: dict[str, Annotated[int, Field(ge=0)]]
    adapter: bool
    unet_adapter: bool
    mappers: bool
    emotion_space: str | None
    domain: DomainRow | None
    causes: str | None = None
    pictures: str | None = None
    history: bool = True  # of older versions all have
    card: bool
    recipes: Annotated[int, Field(ge=0)]
    stages: Annotated[tuple[Stage, ...], Field(max_length=64)]
    versions: dict[str, str | None]
    git: str | None
    files: dict[str, Sha]
    checksum: Sha

    @model_validator(mode="after")
    def _fits(self) -> Whole:
        names = [row.name for row in self.spaces]
        if len(set(names)) < len(names):
            raise ValueError("a label space is there twice")
        for what, named in (
            ("space", [self.space]),
            ("emotion_space", [self.emotion_space] if self.emotion_space is not None else []),
            ("causes", [self.causes] if self.causes is not None else []),
            ("pictures", [self.pictures] if self.pictures is not None else []),
            ("calibrations", self.calibrations),
            ("validation", self.validation),
        ):
            for name in named:
                if name not in names:
                    raise ValueError(f"{what} names {name!r}, and the label spaces are {names}")
        if self.recipes > len(self.stages):
            raise ValueError("there are more recipes than stages")
        return self


class Older(Strict):
    """emosym.json of format 1: which parts there are is told by `files` alone."""

    format: Literal[1]
    emosym: Text = "unknown"
    base: Place
    reader: Place | None = None
    painter: Place | None = None
    max_pixels: Annotated[int, Field(ge=1)] | None = None
    reader_fingerprint: Text | None = None
    four_bit: bool = False
    condition: Condition = "emotion_context"
    label_spaces: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    label_space: str
    template: str
    num_context_tokens: Annotated[int, Field(ge=0, le=256)]
    recurrent: bool
    temperature: Annotated[float, Field(gt=0)]
    calibration: dict[str, Any] | None = None
    domain_threshold: Share | None
    stages: Annotated[tuple[Stage, ...], Field(max_length=64)]
    versions: dict[str, str | None] = {}
    git: str | None = None
    files: dict[str, Sha]
