"""The data that flows: a sample in, a reading or a painting out. Frozen, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn of a conversation."""

    speaker: str
    text: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture inside another file (a table of a data set): `read` gives its encoded bytes."""

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        """Return the name, which stands for the path in messages and results."""
        return self.name


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to read: n images or frames, optional text, speakers and context, and its truth.

    `images` are paths, encoded bytes, stored or decoded pictures; nothing is decoded before it is
    needed. `valence` and `arousal` are raters' means on 1..7 (unpleasant to pleasant, calm to
    stirred up). `votes` maps labels to weights (any positive sum). `attributes` holds EmoSet's
    fields (brightness, colorfulness, scene, object, facial_expression, human_action) or others.
    """

    id: str
    images: tuple[Path | bytes | StoredImage | Image.Image, ...] = ()
    text: str | None = None
    speakers: tuple[str, ...] = ()
    context: tuple[Utterance, ...] = ()
    label_space: str = "mikels8"
    label: str | None = None
    votes: Mapping[str, float] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    caption: str | None = None
    rationale: str | None = None
    valence: float | None = None
    arousal: float | None = None


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
    only the nearest one of a world that the picture is not from. `abstains` says that the
    confidence fell below what the checkpoint takes for an answer (None without a threshold).
    """

    emotion: str
    probabilities: Mapping[str, float]
    confidence: float
    polarity: str | None
    valence_norm: float | None
    arousal_norm: float | None
    dominance_norm: float | None
    in_domain: float | None
    outside: bool
    emotion_latent: np.ndarray = field(repr=False)
    context_latents: np.ndarray = field(repr=False)
    rationale: str | None = None
    raw_probabilities: Mapping[str, float] = field(default_factory=dict, repr=False)
    abstains: bool | None = None


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
