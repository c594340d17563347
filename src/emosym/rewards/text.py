"""Verifiable rewards of written answers: `f(completions, **columns) -> list[float | None]`.

The form TRL calls. A completion is a string or a list of chat messages (their contents are
joined). `label` is the column of true labels; a row without truth (None) gives None: not
applicable. `label_space` names the space, one for all or one a row. Other columns are ignored.
The expected text is `<think>..</think><answer>awe</answer>`, for the confidence reward followed by
`<confidence>0.8</confidence>`; where nothing is tagged the whole text is the answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.rewards.nearness import vad_nearness

Completion = str | Sequence[Mapping[str, Any]]
Names = str | LabelSpace | Sequence[str | LabelSpace]
TextReward = Callable[..., "list[float | None]"]
MALFORMED_CONFIDENCE = -5.0
MALFORMED_BRIER = -1.0

_TAG = re.compile(r"</?(?:think|answer|confidence)>")
_SHAPE = ["<think>", "</think>", "<answer>", "</answer>"]
_SHAPE_SURE = [*_SHAPE, "<confidence>", "</confidence>"]
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]-?[0-9]+)?")


def completion_text(completion: Completion) -> str:
    """Return the text of a completion, given as a string or as chat messages.

    Raises:
        UsageError: when it is neither.
    """
    if isinstance(completion, str):
        return completion
    try:
        return "".join(_content(message["content"]) for message in completion)
    except (TypeError, KeyError) as error:
        raise UsageError("A completion must be a text or a list of chat messages.") from error


def _content(content: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def tagged(text: str, tag: str) -> str | None:
    """Return what stands between `<tag>` and `</tag>`, or None unless both occur exactly once."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    if text.count(opening) != 1 or text.count(closing) != 1:
        return None
    start, end = text.index(opening) + len(opening), text.index(closing)
    return text[start:end].strip() if start <= end else None


def answer_label(text: str, space: LabelSpace) -> str | None:
    """Return the label that the answer names, or None when it names none or more than one.

    The answer must be the label alone; case, spaces and punctuation around it do not matter.
    """
    answer = tagged(text, "answer") if _TAG.search(text) else text
    if answer is None:
        return None
    code = space.find(answer.strip(" \t\r\n.,;:!?\"'*`()[]"))
    return None if code is None else space.labels[code]


def stated_confidence(text: str) -> float | None:
    """Return the number in `<confidence>..</confidence>`, strictly between 0 and 1, or None."""
    stated = tagged(text, "confidence")
    if stated is None or not _NUMBER.fullmatch(stated):
        return None
    number = float(stated)
    return number if 0.0 < number < 1.0 else None


def has_format(text: str) -> bool:
    """Return whether the text is think, then answer (then confidence), none of them empty.

    Each tag stands exactly once and nothing but white space stands outside.
    """
    tags = [match.group() for match in _TAG.finditer(text)]
    if tags not in (_SHAPE, _SHAPE_SURE):
        return False
    between = _TAG.split(text)  # outside, think, outside, answer, outside, (confidence, outside)
    return not any(part.strip() for part in between[::2]) and all(
        part.strip() for part in between[1::2]
    )


def spaces_of(names: Names, count: int) -> list[LabelSpace]:
    """Return the label space of each of `count` completions, named once or for each."""
    if isinstance(names, str | LabelSpace):
        return [label_space(names)] * count
    if len(names) != count:
        raise UsageError(f"{count} completions but {len(names)} label spaces.")
    return [label_space(name) for name in names]


def _scored(
    score: Callable[[str, str, LabelSpace], float],
    completions: Sequence[Completion],
    label: Sequence[str | None] | None,
    names: Names,
) -> list[float | None]:
    if label is None:
        raise UsageError("This reward needs the column 'label' with the true labels.")
    if isinstance(label, str) or len(label) != len(completions):
        raise UsageError(f"{len(completions)} completions need as many labels.")
    rows: list[float | None] = []
    spaces = spaces_of(names, len(completions))
    for completion, truth, space in zip(completions, label, spaces, strict=True):
        text = completion_text(completion)
        if truth is None:
            rows.append(None)
        else:
            rows.append(score(text, space.labels[space.index(truth)], space))
    return rows


def accuracy(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return 1 where the answered label is the truth, else 0.

    Raises:
        UsageError: without a label column, for a length mismatch, or a truth outside the space.
    """
    return _scored(
        lambda text, truth, space: float(answer_label(text, space) == truth),
        completions,
        label,
        label_space,
    )


def polarity(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return 1 where only the polarity is right (a wrong label of the true polarity), else 0.

    It adds to `accuracy` and must weigh less (`labels.check_weights` sees to it).
    """

    def score(text: str, truth: str, space: LabelSpace) -> float:
        answer = answer_label(text, space)
        if answer is None or answer == truth:
            return 0.0
        right = space.polarity(truth)
        return float(right is not None and space.polarity(answer) == right)

    return _scored(score, completions, label, label_space)


def vad(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return the nearness of answer and truth in valence/arousal/dominance, 0..1.

    1 - ||vad(answer) - vad(truth)|| / largest distance in the space. An answer that names no
    label gets 0.

    Raises:
        UsageError: where the space has no norms; and as `accuracy`.
    """

    def score(text: str, truth: str, space: LabelSpace) -> float:
        near = vad_nearness(space)
        answer = answer_label(text, space)
        return 0.0 if answer is None else near[space.index(truth)][space.index(answer)]

    return _scored(score, completions, label, label_space)


def answer_format(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """Return 1 where the text is `<think>..</think><answer>..</answer>`, else 0."""
    return [float(has_format(completion_text(completion))) for completion in completions]


def confidence(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return the log score 2 (i ln c + (1 - i) ln(1 - c)), i = 1 where the answer is right.

    0 or less. A missing or malformed confidence, or an answer that names no label, gets -5.
    """

    def score(text: str, truth: str, space: LabelSpace) -> float:
        stated, answer = stated_confidence(text), answer_label(text, space)
        if stated is None or answer is None:
            return MALFORMED_CONFIDENCE
        return 2.0 * (math.log(stated) if answer == truth else math.log1p(-stated))

    return _scored(score, completions, label, label_space)


def brier(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return the Brier score -(c - i)^2, i = 1 where the answer is right, -1..0.

    It never punishes a sure mistake as hard as the log score does. A missing or malformed
    confidence, or an answer that names no label, gets the worst, -1.
    """

    def score(text: str, truth: str, space: LabelSpace) -> float:
        stated, answer = stated_confidence(text), answer_label(text, space)
        if stated is None or answer is None:
            return MALFORMED_BRIER
        return -((stated - float(answer == truth)) ** 2)

    return _scored(score, completions, label, label_space)


TEXT_REWARDS: dict[str, TextReward] = {
    "accuracy": accuracy,
    "polarity": polarity,
    "vad": vad,
    "format": answer_format,
    "confidence": confidence,
    "brier": brier,
}
