"""The data that flows: a sample in, a reading or a painting out. Frozen, no behaviour but views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from emosym.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Names of targets that data sets of pictures know: an emotion, and raters' means on 1..7.
IMAGE_EMOTION, VALENCE, AROUSAL = "image_emotion", "valence", "arousal"
TEXT_EMOTION = "text_emotion"  # what a speaker feels
# EmoVerse's: sentiment, emotion of a turn, facial action units, why it is felt, what caused it.
MSA, MER, FER, ERI, ECPE = "msa", "mer", "fer", "eri", "ecpe"
OPEN = "open"  # any emotion words
EXPRESSION = "expression"  # action units with strengths, and emotions, of a face
STATEMENT = "statement"  # whether what is said about a picture is correct
EMOTION_CHANGE = "emotion_change"  # whether a speaker feels something else than at the turn before
NEXT_EMOTION = "next_emotion"  # the emotion of the turn that follows
CHOICE = "choice"  # which of the attribute `choices` is right

# A picture, or one of a video, as it is stored.
Frame: TypeAlias = "Path | bytes | StoredImage | Image.Image"
AnyFrame = TypeVar("AnyFrame")


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture inside another file (a table of a data set): `read` gives its encoded bytes."""

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        """Return the name, which stands for the path in messages and results."""
        return self.name


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says and shows; a picture is a turn without words, with one frame.

    `frames` are paths, encoded bytes, stored or decoded pictures; nothing is decoded before it is
    needed. `clip` is a video's path, in which the turn lasts from `start` to `end` seconds.
    `emotion` is the label that the data set gives this turn: shown only by a task for which it is
    given beforehand, never by one that is to find it.
    """

    speaker: str | None = None
    text: str | None = None
    frames: tuple[Frame, ...] = ()
    clip: Path | None = None
    start: float | None = None
    end: float | None = None
    emotion: str | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """What several raters said: labels and their weights (any positive sum).

    `label` is the one that the data set gives beside the votes, if any.
    """

    weights: Mapping[str, float]
    label: str | None = None


class CausePair(NamedTuple):
    """The emotion of one turn and the turn that caused it, both counted from 0."""

    turn: int
    emotion: str | None
    cause: int


# A label or a text, several labels at once, raters' votes, a number, or causes of emotions.
Target: TypeAlias = "str | tuple[str, ...] | Votes | float | tuple[CausePair, ...]"


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to read, and what is known of it: a conversation of one or more turns.

    `focus` is the number of the turn in question, or None where the whole is. `targets` holds the
    truth of each task by its name. `attributes` holds EmoSet's fields (brightness, colorfulness,
    scene, object, facial_expression, human_action) or others.

        photo     Sample("sea", (Turn(frames=(Path("sea.jpg"),)),), targets={IMAGE_EMOTION: "awe"})
        the same  picture_sample("sea", Path("sea.jpg"), "awe")
        OASIS     picture_sample("fire", Path("fire.jpg"), valence=1.5, arousal=5.1)
        sentence  Sample("line 1", (Turn(text="I got the job!"),), targets={"text": "joy"})
        dialogue  Sample("d1", tuple(Turn(who, words) for who, words in six_lines), focus=3,
                      targets={"mer": "anger", "ecpe": (CausePair(3, "anger", 1),)})
    """

    id: str
    turns: tuple[Turn, ...] = ()
    focus: int | None = None
    targets: Mapping[str, Target] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    caption: str | None = None
    rationale: str | None = None

    @property
    def images(self) -> tuple[Frame, ...]:
        """Return the frames of all turns, in order."""
        return tuple(frame for turn in self.turns for frame in turn.frames)

    @property
    def is_picture(self) -> bool:
        """Whether it is one picture, of which no words are shown: one turn with one frame.

        A turn in question is one of a conversation, also where it is the only one: its words count.
        """
        one = len(self.turns) == 1 and len(self.turns[0].frames) == 1
        return one and self.focus is None

    def label_of(self, task: str) -> str | None:
        """Return the one label (or text) that is true for a task; None where there is none."""
        target = self.targets.get(task)
        if isinstance(target, Votes):
            return target.label
        return target if isinstance(target, str) else None

    def votes_of(self, task: str) -> Mapping[str, float] | None:
        """Return the raters' weights by label for a task; None where nobody voted."""
        target = self.targets.get(task)
        return target.weights if isinstance(target, Votes) else None

    def number_of(self, task: str) -> float | None:
        """Return the number that is true for a task; None where there is none."""
        target = self.targets.get(task)
        return float(target) if isinstance(target, (int, float)) else None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: its `parts` in order, texts and pictures (whatever is no `str`).

    `learned` says that a model is to learn to say it: its tokens are the answers of a render.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Frame, ...]
    learned: bool = False


# What a task makes of a sample. One that does not end with the assistant waits for an answer.
Conversation: TypeAlias = tuple[Message, ...]


def picture_sample(
    id: str,
    image: Frame | None = None,
    label: str | None = None,
    votes: Mapping[str, float] | None = None,
    *,
    text: str | None = None,
    valence: float | None = None,
    arousal: float | None = None,
    attributes: Mapping[str, Any] | None = None,
    caption: str | None = None,
    rationale: str | None = None,
    task: str = IMAGE_EMOTION,
) -> Sample:
    """Return a picture as a sample: one turn with one frame, and what is known of it.

    `label` and `votes` are truths of `task`; `valence` and `arousal` are raters' means on 1..7
    (unpleasant to pleasant, calm to stirred up) and targets of those names. `image` is None where
    the picture is kept elsewhere.
    """
    targets: dict[str, Target] = {}
    if votes is not None:
        targets[task] = Votes(votes, label)
    elif label is not None:
        targets[task] = label
    for name, value in ((VALENCE, valence), (AROUSAL, arousal)):
        if value is not None:
            targets[name] = value
    frames = () if image is None else (image,)
    turns = (Turn(text=text, frames=frames),) if frames or text else ()
    return Sample(id, turns, None, targets, attributes or {}, caption, rationale)


def only_picture(sample: Sample) -> Frame:
    """Return the one picture of a sample, for what works on single pictures.

    Raises:
        UsageError: when the sample has no picture, or several.
    """
    return one_frame(sample.id, sample.images)


def one_frame(name: str, frames: Sequence[AnyFrame]) -> AnyFrame:
    """Return the one frame of a sample called `name`; errors as in `only_picture`."""
    if not frames:
        raise UsageError(f"Sample {name!r} has no picture; this needs one picture a sample.")
    if len(frames) > 1:
        raise UsageError(
            f"Sample {name!r} has {len(frames)} pictures; this needs one picture a sample."
        )
    return frames[0]


@dataclass(frozen=True, slots=True)
class UnderstandingOutput:
    """The reading of one picture.

    `probabilities` follow the label space's order and sum to 1; `raw_probabilities` are the same
    before the checkpoint's calibration, of a zero-shot reader before the prior correction (empty
    where unknown); `confidence` is 0..1, calibrated unless zero-shot; `polarity` and `*_norm`,
    expectations of word norms on 1..9, are None for words that have none; `emotion_latent` is
    (H,), `context_latents` (K, H), both of no elements where zero-shot; `in_domain` is 0..1, the
    share of held-out pictures at least as far from the training pictures as this one (None where
    unknown), and `outside` says that it fell below the checkpoint's threshold: then the emotion is
    only the nearest one of a world that the picture is not from (None where nobody knows: too few
    pictures were held out, or none). `abstains` says that the
    confidence fell below what the checkpoint takes for an answer (None without a threshold).

    Of labels that do not exclude each other `probabilities` hold each label's own, which need not
    sum to 1, and `labels` those at or above their thresholds, the most probable first: `emotion` is
    the first of them, or where none is, the most probable of all. `labels` is None of others.
    """

    emotion: str
    probabilities: Mapping[str, float]
    confidence: float
    polarity: str | None
    valence_norm: float | None
    arousal_norm: float | None
    dominance_norm: float | None
    in_domain: float | None
    outside: bool | None
    emotion_latent: np.ndarray = field(repr=False)
    context_latents: np.ndarray = field(repr=False)
    rationale: str | None = None
    raw_probabilities: Mapping[str, float] = field(default_factory=dict, repr=False)
    abstains: bool | None = None
    labels: tuple[str, ...] | None = None

    def to_dict(self, latents: bool = False) -> dict[str, Any]:
        """Return the reading ready for JSON, with `latents` the latents too, as lists of numbers.

        The emotion is named where the reading is `outside` as well: look at that field first.
        """
        arrays = ("emotion_latent", "context_latents")
        found: dict[str, Any] = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in arrays
        }
        found |= {
            "probabilities": dict(self.probabilities),
            "raw_probabilities": dict(self.raw_probabilities),
        }
        return found | ({name: getattr(self, name).tolist() for name in arrays} if latents else {})


@dataclass(frozen=True, slots=True)
class RatedPicture:
    """A picture that people rated: what it is called, its mean ratings, and how far it is."""

    name: str
    valence: float
    arousal: float
    distance: float


@dataclass(frozen=True, slots=True)
class AffectOutput:
    """The valence and arousal of one photograph, where a model claims no emotions.

    `valence` and `arousal` are on the raters' scale of 1..7, each with the interval that holds a
    share `coverage` of pictures like those rated, cut to that scale. `in_domain` is 0..1, the share
    of rated pictures that were at least as far from all others; `outside` says that it is rare.
    `nearest` are the rated pictures most like it.
    """

    valence: float
    valence_low: float
    valence_high: float
    arousal: float
    arousal_low: float
    arousal_high: float
    coverage: float
    in_domain: float
    outside: bool
    nearest: tuple[RatedPicture, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the reading ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DialogueOutput:
    """The reading of one conversation.

    `readings` are those of its turns, in order; `causes` pairs of turns with the probability that
    the second caused the emotion of the first, those above a half. None where the model was not
    taught causes. `others` are, by turn, the probabilities of the other heads that it has: of
    sentiment, and of action units, each unit on its own.
    """

    readings: tuple[UnderstandingOutput, ...]
    causes: tuple[tuple[CausePair, float], ...] | None
    others: tuple[Mapping[str, Mapping[str, float]], ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationOutput:
    """One painting with the reading of itself by the same model, and how it was asked for.

    `reading` is None only where a zero-shot painter has no reader beside it. `withheld` says that
    the painter's safety checker flagged it: then the image is black.
    """

    image: Image.Image
    reading: UnderstandingOutput | None
    request: Mapping[str, Any]
    seed: int
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class BadInput:
    """A file that could not be read: an error row, never a stop."""

    source: str
    error: str
