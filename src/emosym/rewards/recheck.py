"""EMO-R3's re-check: an answer must be read again from its explanation, and from the picture.

Reading again is somebody's else's: a frozen model given as two functions of batches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from emosym.emotions import LabelSpace, other_words
from emosym.errors import UsageError
from emosym.rewards.text import Completion, Names, answer_label, spaces_of, tagged
from emosym.rewards.words import texts_and_truths

Reader = Callable[[Sequence[Any]], Sequence[str]]
HIDDEN = "..."
FEWEST_WORDS = 3  # of an explanation without its emotion words: less explains nothing


def recheck(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    image: Sequence[Any] | None = None,
    read_words: Reader | None = None,
    read_pictures: Reader | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return 0, .5 or 1: half a point for each reading that comes to the same answer again.

    `read_words` gets the explanations (`<think>`), in which every emotion word of the label space
    is hidden, so that "it is awe" explains nothing; `read_pictures` gets the pictures (column
    `image`). Both return an answer for each (given by `functools.partial`; only right answers are
    asked about). A wrong answer gets 0 however well it agrees with itself; a row without truth
    None. With one reading only, it counts the whole point.

    Raises:
        UsageError: without a reading, its column, or for a length mismatch.
    """
    if read_words is None and read_pictures is None:
        raise UsageError("This reward needs read_words, read_pictures, or both.")
    pairs = texts_and_truths(completions, label, "label")
    spaces = spaces_of(label_space, len(pairs))
    answers = [answer_label(text, space) for (text, _), space in zip(pairs, spaces, strict=True)]
    right = [
        place
        for place, (_, truth) in enumerate(pairs)
        if truth is not None and answers[place] == spaces[place].labels[_code(spaces[place], truth)]
    ]
    earned = dict.fromkeys(right, 0)
    if read_words is not None:
        bare = {p: without_emotions(tagged(pairs[p][0], "think") or "", spaces[p]) for p in right}
        told = [p for p in right if len(re.findall(r"[^\W_]+", bare[p])) >= FEWEST_WORDS]
        for place, said in _asked(read_words, [bare[p] for p in told], told):
            earned[place] += answer_label(said, spaces[place]) == answers[place]
    if read_pictures is not None:
        if image is None or len(image) != len(pairs):
            raise UsageError(f"This reward needs the column 'image' with {len(pairs)} pictures.")
        for place, said in _asked(read_pictures, [image[p] for p in right], right):
            earned[place] += answer_label(said, spaces[place]) == answers[place]
    readings = (read_words is not None) + (read_pictures is not None)
    return [
        None if truth is None else earned.get(place, 0) / readings
        for place, (_, truth) in enumerate(pairs)
    ]


def without_emotions(text: str, space: LabelSpace) -> str:
    """Return a text with each label of a space, and other words for them, hidden."""
    words = sorted({*space.labels, *other_words(space)}, key=len, reverse=True)
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, words))})\b", HIDDEN, text, flags=re.IGNORECASE)


def _asked(read: Reader, inputs: Sequence[Any], places: Sequence[int]) -> list[tuple[int, str]]:
    said = list(read(inputs)) if inputs else []
    if len(said) != len(places):
        raise UsageError(f"{len(places)} things were to be read again, {len(said)} answers came.")
    return list(zip(places, said, strict=True))


def _code(space: LabelSpace, truth: object) -> int:
    return space.index(str(truth))
