"""Label spaces, polarity, and valence/arousal/dominance norms: the only label table.

Norms are the means of Warriner, Kuperman and Brysbaert (2013), scale 1..9. Label order of
`mikels8` is EmoSet's index order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emosym.errors import UsageError, unknown_name

VAD_MIN = 1.0
VAD_MAX = 9.0

WORD_NORMS: dict[str, tuple[float, float, float]] = {
    "amusement": (7.00, 4.82, 6.59),
    "awe": (6.85, 3.83, 5.85),
    "contentment": (6.62, 4.60, 6.58),
    "excitement": (7.62, 6.21, 6.33),
    "anger": (2.50, 5.93, 5.14),
    "disgust": (3.32, 5.00, 4.84),
    "fear": (2.93, 6.14, 3.32),
    "sadness": (2.40, 2.81, 3.84),
    "neutral": (5.50, 3.45, 5.81),
}
POLARITY: dict[str, str] = {
    "amusement": "positive",
    "awe": "positive",
    "contentment": "positive",
    "excitement": "positive",
    "joy": "positive",
    "happy": "positive",
    "anger": "negative",
    "disgust": "negative",
    "fear": "negative",
    "sadness": "negative",
    "neutral": "neutral",
    "surprise": "neutral",
}


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """An ordered set of emotion labels; the position of a label is its class index."""

    name: str
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of classes C."""
        return len(self.labels)

    def index(self, label: str) -> int:
        """Return the class index of a label (case-insensitive).

        Raises:
            UsageError: when the label is not in this space; names the nearest one.
        """
        try:
            return self.labels.index(label.lower())
        except ValueError:
            raise unknown_name("emotion", label, self.labels, f"({self.name})") from None

    def polarity(self, label: str) -> str:
        """Return 'positive', 'negative' or 'neutral'."""
        return POLARITY[self.labels[self.index(label)]]

    def indices(self, polarity: str) -> tuple[int, ...]:
        """Return the class indices of one polarity."""
        return tuple(i for i, label in enumerate(self.labels) if POLARITY.get(label) == polarity)

    def norms(self) -> tuple[tuple[float, float, float], ...] | None:
        """Return (valence, arousal, dominance) per class on 1..9, or None if a word has none."""
        if any(label not in WORD_NORMS for label in self.labels):
            return None
        return tuple(WORD_NORMS[label] for label in self.labels)

    def weights(self, wanted: str | Mapping[str, float]) -> tuple[float, ...]:
        """Turn 'awe' or {'awe': .7, 'fear': .3} into weights over the classes that sum to 1.

        Raises:
            UsageError: for an unknown emotion, a negative weight, or weights that sum to 0.
        """
        asked = {wanted: 1.0} if isinstance(wanted, str) else dict(wanted)
        values = [0.0] * len(self.labels)
        for label, weight in asked.items():
            number = float(weight)
            if not 0.0 <= number < float("inf"):
                raise UsageError(f"The weight of {label!r} must be 0 or more, got {weight}.")
            values[self.index(label)] += number
        total = sum(values)
        if total <= 0.0:
            raise UsageError("The emotion weights sum to 0; give at least one a positive weight.")
        return tuple(value / total for value in values)


LABEL_SPACES: dict[str, LabelSpace] = {
    space.name: space
    for space in (
        LabelSpace(
            "mikels8",
            (
                "amusement",
                "awe",
                "contentment",
                "excitement",
                "anger",
                "disgust",
                "fear",
                "sadness",
            ),
        ),
        LabelSpace("meld7", ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")),
        LabelSpace(
            "mosei7", ("happy", "sadness", "surprise", "disgust", "anger", "fear", "neutral")
        ),
        LabelSpace("ecf6", ("anger", "disgust", "fear", "joy", "sadness", "surprise")),
    )
}
MIKELS8 = LABEL_SPACES["mikels8"]


def label_space(name: str) -> LabelSpace:
    """Return a label space by name.

    Raises:
        UsageError: for an unknown name; names the nearest one.
    """
    if name not in LABEL_SPACES:
        raise unknown_name("label space", name, LABEL_SPACES)
    return LABEL_SPACES[name]


def weights_for_affect(
    space: LabelSpace, valence: float, arousal: float, temperature: float = 1.0
) -> tuple[float, ...]:
    """Return emotion weights whose word norms lie near a wished (valence, arousal), both 1..9.

    A softmax over negative squared distance in the valence/arousal plane; `temperature` is in
    squared scale points. Raises UsageError outside 1..9 or where the space has no norms.
    """
    import math

    for name, value in (("valence", valence), ("arousal", arousal)):
        if not VAD_MIN <= value <= VAD_MAX:
            raise UsageError(f"{name} must lie in {VAD_MIN:g}..{VAD_MAX:g}, got {value:g}.")
    norms = space.norms()
    if norms is None:
        raise UsageError(f"The label space {space.name!r} has no valence/arousal norms.")
    scores = [-((v - valence) ** 2 + (a - arousal) ** 2) / temperature for v, a, _ in norms]
    top = max(scores)
    raw = [math.exp(score - top) for score in scores]
    return tuple(value / sum(raw) for value in raw)
