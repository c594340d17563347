"""What may be sent and what comes back, as OpenAPI shows it."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
)

from emosym.apps.server.limits import Refused
from emosym.errors import LONGEST_SHOWN, EmoSymError, UsageError, unknown_name
from emosym.models.painter.prompt import PLACE


def whole(value: Any) -> Any:
    """Return 2.0 as 2: to JSON both are the same integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Whole = Annotated[StrictInt, BeforeValidator(whole)]
Count = Annotated[StrictInt, Field(ge=1), BeforeValidator(whole)]
Share = Annotated[Number, Field(json_schema_extra={"minimum": 0})]
Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)

SOME = Field(json_schema_extra={"not": {"additionalProperties": {"maximum": 0}}})
FORM = re.compile(r"(str|[A-Z]\w+Sent|(dict|list|function-\w+|constrained-\w+)(\[.*)?)$")
WORDS: dict[str, Any] = {"type": "string", "pattern": r"\S"}
SAYS: dict[str, Any] = {"required": ["text"], "properties": {"text": WORDS}}
SHOWS: dict[str, Any] = {
    "required": ["picture"],
    "properties": {"picture": {"not": {"type": "null"}}},
}
AFFECT_EXAMPLE: dict[str, Any] = {
    "source": "coffee.jpg",
    "valence": 5.0,
    "valence_low": 3.4,
    "valence_high": 6.6,
    "arousal": 2.7,
    "arousal_low": 1.8,
    "arousal_high": 3.7,
    "valence_9": 6.3,
    "arousal_9": 3.3,
    "coverage": 0.9,
    "in_domain": 0.4,
    "outside": False,
    "nearest": ["Dessert 4", "Cups 1", "Dessert 7"],
    "error": None,
}


class Sent(BaseModel):
    """An object that is sent: no field but its own."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PictureSent(Sent):
    """A picture in base64; `name` stands for it in the answer."""

    data: Base64 = Field(description="Base64, with or without `data:image/png;base64,` before it.")
    name: str | None = None


class TurnSent(Sent):
    """What one speaker says and shows: words or a picture, or both."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [SAYS, SHOWS]})
    speaker: str | None = None
    text: str | None = None
    picture: Base64 | PictureSent | None = Field(None, description="In base64.")


class DialogueSent(Sent):
    """A conversation, of which every turn is read."""

    turns: list[TurnSent | Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]] = Field(
        json_schema_extra={"minItems": 1}
    )
    name: str | None = None


class UnderstandSent(Sent):
    """What to read: pictures, texts and dialogues, one of them at least."""

    pictures: list[Base64 | PictureSent] = Field(
        [], description="In base64; the limit is of these and those of dialogues together."
    )
    texts: list[str] = []
    dialogues: list[DialogueSent] = []
    explain: StrictBool = Field(False, description="Of pictures: also say why, in words.")
    model: str | None = Field(None, description="Of /v1/models; unset, the first that reads it.")
    EXAMPLES: ClassVar[dict[str, Any]] = {
        "a picture": {"value": {"pictures": [{"name": "pixel.png", "data": PIXEL}]}},
        "valence and arousal of a photograph": {
            "value": {"pictures": [{"name": "pixel.png", "data": PIXEL}], "model": "photo"}
        },
        "a sentence": {"value": {"texts": ["I got the job!"]}},
        "a dialogue": {
            "value": {
                "dialogues": [
                    {
                        "name": "door",
                        "turns": [
                            {"speaker": "Ann", "text": "You came back!"},
                            {"speaker": "Bo", "text": "I did."},
                        ],
                    }
                ]
            }
        },
    }


class GenerateSent(Sent):
    """What to paint: an emotion, a mix of them, valence with arousal, or a picture to be like."""

    emotion: str | Annotated[dict[str, Share], SOME] | None = Field(
        None, description="One of the labels of /v1/models, or weights of several, 0 or more each."
    )
    valence: Number | None = Field(None, description="1 unpleasant to 9 pleasant; with arousal.")
    arousal: Number | None = Field(None, description="1 calm to 9 stirred up; with valence.")
    like: Base64 | PictureSent | None = Field(None, description="A picture in base64.")
    prompt: str = Field(
        PLACE,
        description="What to paint; the emotion goes to the braces.",
        json_schema_extra={"not": {"pattern": r"\{\}[\s\S]*\{\}"}},
    )
    intensity: Number = 1.0
    images: Count = Field(1, description="How many.")
    guidance_scale: Number | None = None
    steps: Count | None = None
    seed: Whole = Field(0, ge=0, le=2**53)
    spread: Number = 1.0
    model: str | None = None


class Problem(BaseModel):
    """Why something was not done, in one sentence."""

    error: str


class Row(BaseModel):
    """A reading, as `emosym understand --json` writes it; `error` where it could not be read."""

    model_config = ConfigDict(extra="allow")
    source: str
    emotion: str | None = None
    confidence: float | None = None
    polarity: str | None = None
    valence_norm: float | None = None
    arousal_norm: float | None = None
    dominance_norm: float | None = None
    in_domain: float | None = None
    outside: bool | None = None
    abstains: bool | None = None
    probabilities: dict[str, float] | None = None
    rationale: str | None = None
    causes: str | None = None
    labels: list[str] | None = None
    reason: str | None = None
    error: str | None = None


class AffectRow(BaseModel):
    """A reading of a photograph, as `emosym understand --model photo --json` writes it.

    Ratings are of 1 to 7, `valence_9` and `arousal_9` the same on 1 to 9; the intervals hold for a
    share `coverage` of pictures like those that people rated.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [AFFECT_EXAMPLE]})
    source: str
    valence: float | None
    valence_low: float | None
    valence_high: float | None
    arousal: float | None
    arousal_low: float | None
    arousal_high: float | None
    valence_9: float | None
    arousal_9: float | None
    coverage: float | None
    in_domain: float | None
    outside: bool | None
    nearest: list[str] | None = Field(description="The rated pictures most like it.")
    error: str | None


class Understood(BaseModel):
    """A row for every input, in order: pictures, texts, then every turn of every dialogue.

    Pictures that a reader of photographs read have rows of valence and arousal.
    """

    rows: list[AffectRow | Row]
    models: dict[str, str] = Field(description="Which model read the pictures, texts, dialogues.")


class Painted(BaseModel):
    """A painting: its picture as PNG in base64, its record, and the model's own reading of it."""

    model_config = ConfigDict(extra="allow")
    image: str
    png: str
    seed: int
    request: dict[str, Any]
    withheld: bool = Field(description="The safety checker left it black.")
    reading: Row | None
    repaint: str = Field(description="The command that paints it again.")


class JobTold(BaseModel):
    """A job: waiting, running, done, failed, cancelled or handed_back (by a server that ends)."""

    id: str
    state: str
    done: int
    total: int
    model: str
    error: str | None = None
    paintings: list[Painted] = []


class ModelTold(BaseModel):
    """What a model is and can do."""

    model_config = ConfigDict(extra="allow")
    name: str
    takes: list[str]
    paints: bool
    tells: str = Field(description="emotions, or valence and arousal.")
    labels: list[str]


class ModelsTold(BaseModel):
    """The models that are open, and the limits of a request."""

    models: list[ModelTold]
    limits: dict[str, float]


def told_problem(error: ValidationError, model: type[BaseModel]) -> EmoSymError:
    """Return the first thing that is wrong with what was sent, as one sentence.

    Of what may take several forms it is what is wrong with the form that comes nearest.
    """
    errors = error.errors(include_url=False, include_context=False)
    places = [tuple(part for part in one["loc"] if not FORM.match(str(part))) for one in errors]
    within = [k for k, place in enumerate(places) if place[: len(places[0])] == places[0]]
    nearest = max(within, key=lambda k: len(places[k]))
    first, loc = errors[nearest], places[nearest]
    if first["type"] == "json_invalid":
        said = str(first["msg"]).removeprefix("Invalid JSON: ")
        return Refused(400, f"The body is not JSON: {said}.")
    place = ".".join(str(part) for part in loc)
    if first["type"] == "extra_forbidden" and len(loc) == 1:
        return unknown_name("field", place, model.model_fields)
    where = f"The field {place[:LONGEST_SHOWN]!r}" if place else "The body"
    return UsageError(f"{where} is not as it must be: {first['msg']!s}.")
