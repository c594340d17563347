"""Label spaces, polarity, and valence/arousal/dominance norms: the only label table.

Norms are the means of Warriner, Kuperman and Brysbaert (2013), scale 1..9. Label order of
`mikels8` is EmoSet's index order.
"""

from __future__ import annotations

import hashlib
import math
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from emosym.errors import UsageError, unknown_name
from emosym.taxonomies import BASIC, EKMAN, FORMS, TREES
from emosym.trees import level_labels, level_polarities

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


POLARITIES = ("positive", "negative", "neutral")
SENTIMENTS = ("negative", "neutral", "positive")  # in order
SCORES = {  # of sentiment, as CMU-MOSEI names them
    "highly negative": -3.0,
    "negative": -2.0,
    "weakly negative": -1.0,
    "neutral": 0.0,
    "weakly positive": 1.0,
    "positive": 2.0,
    "highly positive": 3.0,
}
FEWEST_LABELS, MOST_LABELS = 2, 64
LONGEST_LABEL = 40
SIGNS = " -'\u2019"
Norm = tuple[float, float, float]


def normal(label: str) -> str:
    """Return a label as it is compared and stored everywhere.

    Lower case, composed letters, single blanks and none around; an underscore counts as a blank.
    """
    return " ".join(unicodedata.normalize("NFC", str(label)).lower().replace("_", " ").split())


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """An ordered set of emotion labels; the position of a label is its class index.

    `neutral` names the class of no emotion, if there is one. `polarities` and `word_norms` hold a
    value or None for each label; unset, they are those of the tables above, where they are known.
    With `several` its labels do not exclude each other: each has a probability of its own.
    """

    name: str
    labels: tuple[str, ...]
    neutral: str | None = None
    polarities: tuple[str | None, ...] | None = None
    word_norms: tuple[Norm | None, ...] | None = None
    several: bool = False

    def __len__(self) -> int:
        """Return the number of classes C."""
        return len(self.labels)

    def find(self, label: str) -> int | None:
        """Return the class index of a label in any case, with blanks around it; None: not in it."""
        word = normal(label)
        return self.labels.index(word) if word in self.labels else None

    def index(self, label: str) -> int:
        """Return the class index of a label, compared as `normal` says.

        Raises:
            UsageError: when the label is not in this space; names the nearest one.
        """
        found = self.find(label)
        if found is None:
            raise unknown_name("emotion", label, self.labels, f"({self.name})")
        return found

    def polarity(self, label: str) -> str | None:
        """Return 'positive', 'negative' or 'neutral'; None where the label has no known one."""
        place = self.index(label)
        if self.polarities is not None:
            return self.polarities[place]
        return POLARITY.get(self.labels[place])

    def indices(self, polarity: str) -> tuple[int, ...]:
        """Return the class indices of one polarity."""
        return tuple(i for i, label in enumerate(self.labels) if self.polarity(label) == polarity)

    def norm(self, label: str) -> Norm | None:
        """Return (valence, arousal, dominance) of one label on 1..9; None where unknown."""
        place = self.index(label)
        if self.word_norms is not None:
            return self.word_norms[place]
        return WORD_NORMS.get(self.labels[place])

    def norms(self) -> tuple[Norm, ...] | None:
        """Return (valence, arousal, dominance) per class on 1..9, or None if a word has none."""
        found = [self.norm(label) for label in self.labels]
        known = tuple(norm for norm in found if norm is not None)
        return known if len(known) == len(found) else None

    def weights(self, wanted: str | Mapping[str, float]) -> tuple[float, ...]:
        """Turn 'awe' or {'awe': .7, 'fear': .3} into weights over the classes that sum to 1.

        Raises:
            UsageError: for an unknown emotion, a weight that is no number of 0 or more, or weights
                that sum to 0.
        """
        asked = {wanted: 1.0} if isinstance(wanted, str) else dict(wanted)
        values = [0.0] * len(self.labels)
        for label, weight in asked.items():
            try:
                number = float(weight)
            except (TypeError, ValueError, OverflowError):
                number = math.nan
            if not 0.0 <= number < math.inf:
                raise UsageError(f"The weight of {label!r} must be 0 or more, got {weight}.")
            values[self.index(label)] += number
        largest = max(values)
        if largest <= 0.0:
            raise UsageError("The emotion weights sum to 0; give at least one a positive weight.")
        if sum(values) == math.inf:  # of numbers near the largest that there is
            values = [min(value, sys.float_info.max) / len(values) for value in values]
        total = sum(values)
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
        LabelSpace(
            "meld7",
            ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
            neutral="neutral",
        ),
        LabelSpace(
            "mosei7",
            ("happy", "sadness", "surprise", "disgust", "anger", "fear", "neutral"),
            neutral="neutral",
        ),
        LabelSpace("ecf6", ("anger", "disgust", "fear", "joy", "sadness", "surprise")),
        LabelSpace("ekman7", (*EKMAN, "neutral"), neutral="neutral"),
        LabelSpace(
            "goemotions28",
            (*sorted(BASIC), "neutral"),
            "neutral",
            (*(POLARITY[BASIC[word]] for word in sorted(BASIC)), "neutral"),
            several=True,
        ),
        LabelSpace("goemotions7", (*EKMAN, "neutral"), neutral="neutral", several=True),
        LabelSpace(
            "emory7",
            ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared"),
            "neutral",
            ("positive", "negative", "neutral", "positive", "positive", "negative", "negative"),
        ),
        LabelSpace("sentiment3", ("negative", "neutral", "positive"), "neutral", SENTIMENTS),
        LabelSpace(
            "sentiment7",
            tuple(SCORES),
            "neutral",
            (*["negative"] * 3, "neutral", *["positive"] * 3),
        ),
        *(
            LabelSpace(f"{tree}{len(labels)}", labels, None, level_polarities(tree, level))
            for tree in TREES
            for level in (1, 2)
            for labels in (level_labels(tree, level),)
        ),
    )
}
MIKELS8 = LABEL_SPACES["mikels8"]
SENTIMENT3, SENTIMENT7 = LABEL_SPACES["sentiment3"], LABEL_SPACES["sentiment7"]


def translated(label: str, space: LabelSpace) -> int | None:
    """Return the class index of a label as another data set or a person writes it, or None.

    In turn: the label itself, another form of the word (FORMS), and Ekman's emotion that it
    belongs to (EKMAN), in whatever form the space has it. So "Happines" is mosei7's happy and
    meld7's joy, and "annoyance" is meld7's anger.
    """
    found = space.find(label)
    if found is not None:
        return found
    word = normal(label)
    root = next((root for root, forms in FORMS.items() if word in forms), word)
    basic = BASIC.get(root, root)
    wanted = (root, *FORMS.get(root, ()), basic, *FORMS.get(basic, ()))
    return next((space.labels.index(word) for word in wanted if word in space.labels), None)


@cache
def other_words(space: LabelSpace) -> dict[str, str]:
    """Return {word: label} for all words but its own labels that `translated` finds in a space."""
    words = {word for root, forms in FORMS.items() for word in (root, *forms)} | set(BASIC)
    found = {word: translated(word, space) for word in sorted(words - set(space.labels))}
    return {word: space.labels[code] for word, code in found.items() if code is not None}


def label_space(name: str | LabelSpace) -> LabelSpace:
    """Return a published label space by name; a space that is given is returned as it is.

    Raises:
        UsageError: for an unknown name; names the nearest one.
    """
    if isinstance(name, LabelSpace):
        return name
    if name not in LABEL_SPACES:
        raise unknown_name("label space", name, LABEL_SPACES)
    return LABEL_SPACES[name]


def space_of_text(text: str) -> LabelSpace:
    """Return what a command line names: a published space, or labels between commas."""
    return own_space(text.split(",")) if "," in text else label_space(text.strip())


def own_space(
    labels: Sequence[str],
    name: str | None = None,
    polarity: Mapping[str, str] | None = None,
    norms: Mapping[str, Sequence[float]] | None = None,
) -> LabelSpace:
    """Return the label space of any words; those of a published space are that space.

    Their labels exclude each other.

    `polarity` and `norms` (valence, arousal, dominance on 1..9) are given for some labels or all;
    the others keep those of their word, where it is a known one. Without a `name` the space is
    called after its labels.

    Raises:
        UsageError: for fewer than 2 or more than 64 labels, one twice, an empty one, one with
            other signs than letters, digits, blanks, hyphens and apostrophes, or a polarity or a
            norm of a label that is not there, or that cannot be.
    """
    words = checked_labels(labels)
    if not polarity and not norms:
        for space in LABEL_SPACES.values():
            if space.labels == words and not space.several:
                return space
    if name in LABEL_SPACES:
        raise UsageError(f"{name!r} is a published label space with other labels; choose a name.")
    plain = LabelSpace(name or name_of(words), words, "neutral" if "neutral" in words else None)
    told = {plain.labels[plain.index(label)]: kind for label, kind in (polarity or {}).items()}
    for label, kind in told.items():
        if kind not in POLARITIES:
            raise unknown_name(f"polarity of {label!r}", str(kind), POLARITIES)
    rated = {plain.labels[plain.index(label)]: tuple(row) for label, row in (norms or {}).items()}
    for label, row in rated.items():
        if len(row) != 3 or not all(VAD_MIN <= value <= VAD_MAX for value in row):
            raise UsageError(
                f"The norms of {label!r} must be valence, arousal and dominance, each in "
                f"{VAD_MIN:g}..{VAD_MAX:g}; got {list(row)}."
            )
    return LabelSpace(
        plain.name,
        words,
        plain.neutral,
        tuple(told.get(word, POLARITY.get(word)) for word in words) if told else None,
        tuple(norm_of(rated.get(word, WORD_NORMS.get(word))) for word in words) if rated else None,
    )


def nearest_space(labels: Sequence[str]) -> LabelSpace:
    """Return the published space that has most of these words, the first of equals.

    Only spaces whose labels exclude each other count.
    """
    return max(
        (space for space in LABEL_SPACES.values() if not space.several),
        key=lambda space: sum(space.find(word) is not None for word in labels),
    )


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels as they are stored; errors as in `own_space`."""
    words = tuple(normal(label) for label in labels)
    for position, word in enumerate(words):
        if not word:
            raise UsageError(f"Label {position + 1} of {', '.join(map(repr, words))} is empty.")
        if len(word) > LONGEST_LABEL or not all(c.isalnum() or c in SIGNS for c in word):
            raise UsageError(
                f"The label {word!r} must be words of letters and digits, {LONGEST_LABEL} "
                "characters at most."
            )
        if word in words[:position]:
            raise UsageError(f"The label {word!r} is there twice.")
    if not FEWEST_LABELS <= len(words) <= MOST_LABELS:
        raise UsageError(f"Give {FEWEST_LABELS} to {MOST_LABELS} labels, got {len(words)}.")
    return words


def name_of(labels: Sequence[str]) -> str:
    """Return what a label space without a name is called: its labels, or some and a checksum."""
    whole = "-".join(label.replace(" ", "_") for label in labels)
    if len(whole) <= LONGEST_LABEL:
        return whole
    digest = hashlib.sha256("\n".join(labels).encode()).hexdigest()[:8]
    return f"{len(labels)}-labels-{digest}"


def norm_of(values: Sequence[float] | None) -> Norm | None:
    """Return three numbers of any sequence as a norm; None stays None."""
    return None if values is None else (float(values[0]), float(values[1]), float(values[2]))


def weights_for_affect(
    space: LabelSpace, valence: float, arousal: float, temperature: float = 1.0
) -> tuple[float, ...]:
    """Return emotion weights whose word norms lie near a wished (valence, arousal), both 1..9.

    A softmax over negative squared distance in the valence/arousal plane; `temperature` is in
    squared scale points. Raises UsageError outside 1..9 or where the space has no norms.
    """
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
