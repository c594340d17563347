"""Emotion-cause pairs: which turns of a conversation caused an emotion in it (ECF, RECCON).

Two settings, kept apart: emotions given (every turn's emotion is shown) and predicted (none is).
"""

from __future__ import annotations

import re
from typing import Any

from emosym.emotions import LABEL_SPACES, LabelSpace, other_words, own_space
from emosym.errors import UsageError
from emosym.tasks.cause_values import measure_causes, pairs_text
from emosym.tasks.question import (
    EMOVERSE_SYSTEM,
    chosen_wording,
    lines_of,
    one_line,
    taught,
)
from emosym.tasks.task import Task, Unparsed, parse_label, reward_by
from emosym.types import ECPE, CausePair, Conversation, Frame, Message, Sample, Turn

EMOTIONS = ("given", "predicted")
CANDIDATES = ("all", "past")
WORDINGS = ("emosym", "emoverse")
MOST_PAIRS = 4096
FORM = 'Answer with pairs such as "3_surprise,1" and ";" between them, or "None".'
_WORD = r"[^\W\d_][^\d_,;:]{0,40}?"
_PAIR = re.compile(
    rf"(?<![0-9])([0-9]{{1,6}}) ?(?:_ ?({_WORD})?|({_WORD})) ?[,:] ?([0-9]{{1,6}})(?![0-9])"
)
_NO_CAUSE = ("", "none", "no cause", "no causes", "nothing", "no pair", "no pairs", "[]")
_PUBLISHED_HEAD = (
    "Below is a conversation containing multiple utterances from different speakers, \n"
    "along with the corresponding emotion label for each utterance. \n"
    "Your task is to identify the indices of the candidate utterances that elicited the emotion "
    "in the target utterance.\n"
)
_PUBLISHED_TAIL = (
    'You need to return the answer as, for example, "3_surprise,1", \n'
    "which means that the emotion of surprise in the third sentence is related to the first "
    "sentence, \n"
    "and if the emotion is related to more than one sentence, separate the sentences with "
    "\u201c;\u201d.\n"
    "The emotion-cause indices of the target utterance are:"
)


def ecpe(
    space: LabelSpace = LABEL_SPACES["ecf6"],
    template: str = "emosym",
    emotions: str = "given",
    candidates: str | None = None,
) -> Task:
    """Return the task; pairs are of the emotions of `space` without its neutral class.

    With `emotions="given"` every turn is shown with its emotion, with "predicted" none is. All
    turns are candidates, the one in question and later ones too; with `candidates="past"`, the
    published way and that of the wording `emoverse`, only earlier ones are listed (their truth
    still holds the others). `emoverse` asks of one turn whose emotions are given.

    Raises:
        UsageError: for an unknown setting, or one that a wording has not.
    """
    chosen_wording(template, WORDINGS)
    chosen_wording(emotions, EMOTIONS)
    listed = candidates or ("past" if template == "emoverse" else "all")
    chosen_wording(listed, CANDIDATES)
    if template == "emoverse" and emotions == "predicted":
        raise UsageError("The published wording of ecpe shows the emotions: use emotions='given'.")
    own = causes_space(space)

    def conversation(sample: Sample) -> Conversation:
        if not sample.turns:
            raise UsageError(f"Sample {sample.id!r} has no turns.")
        if template == "emoverse":
            return _published(sample, listed)
        return _ours(sample, emotions == "given", listed)

    def parse(answer: object) -> tuple[CausePair, ...] | Unparsed:
        return parse_pairs(answer, own)

    def teach(sample: Sample) -> Conversation:
        said = pairs_text(true_pairs(sample))
        return taught(conversation(sample), said if template == "emoverse" else said or "None")

    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1

        return set_f1(*(pairs_text(pairs).split(";") for pairs in (found, truth)))

    return Task(
        ECPE,
        own,
        conversation=conversation,
        teach=teach,
        parse=parse,
        measure=lambda predictions, truths: measure_causes(predictions, truths, own, parse),
        reward=reward_by(parse, score),
    )


def causes_space(space: LabelSpace) -> LabelSpace:
    """Return a label space without its neutral class: nothing causes that."""
    if space.neutral is None:
        return space
    return own_space([label for label in space.labels if label != space.neutral])


def true_pairs(sample: Sample) -> tuple[CausePair, ...]:
    """Return the true pairs of a sample, sorted, each once.

    Raises:
        UsageError: when none are known, or one points outside the conversation.
    """
    found = sample.targets.get(ECPE)
    if not isinstance(found, tuple):
        raise UsageError(f"Sample {sample.id!r} has no emotion-cause pairs.")
    pairs = [CausePair(*pair) for pair in found]
    for pair in pairs:
        if not (0 <= pair.turn < len(sample.turns) and 0 <= pair.cause < len(sample.turns)):
            raise UsageError(
                f"Sample {sample.id!r} has {len(sample.turns)} turns, but a pair of turn "
                f"{pair.turn + 1} and turn {pair.cause + 1}."
            )
    return tuple(sorted(set(pairs), key=lambda pair: (pair.turn, pair.emotion or "", pair.cause)))


def parse_pairs(answer: object, space: LabelSpace) -> tuple[CausePair, ...] | Unparsed:
    """Return the pairs of an answer such as "5_surprise,2;5_surprise,5", in order, each once.

    Blanks, capitals, a last ";" and misspelt emotions do not matter. An empty answer, or "None",
    says that there is no cause. An emotion that is none stays as it is, and one that is missing is
    None: such a pair is wrong, and counted. At most 4,096 pairs are read.
    """
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    if " ".join(answer.lower().strip(" \t\r\n.;,!").split()) in _NO_CAUSE:
        return ()
    known = other_words(space)
    found: dict[CausePair, None] = {}
    read: dict[str, str | None] = {"": None}
    for number, match in enumerate(_PAIR.finditer(one_line(answer))):
        turn, cause = int(match[1]) - 1, int(match[4]) - 1
        if number == MOST_PAIRS:
            break
        word = (match[2] or match[3] or "").strip().lower()
        if word not in read:
            label = parse_label(word, space.labels, known)
            read[word] = "".join(re.findall(r"[a-z]+", word)) or None
            read[word] = read[word] if isinstance(label, Unparsed) else label
        if turn >= 0 and cause >= 0:
            found[CausePair(turn, read[word], cause)] = None
    return tuple(found) if found else Unparsed(answer, "it holds no pair")


def _ours(sample: Sample, given: bool, listed: str) -> Conversation:
    focus = sample.focus
    last = len(sample.turns) if listed == "all" or focus is None else focus + 1
    parts: list[str | Frame] = lines_of(
        sample.turns[:last], lambda number, turn: _numbered(number, turn, given, ". ", ": ")
    )
    if focus is None:
        ask = "Which turns caused which emotions?"
        question = f"{ask} {FORM}" if given else f"Who feels what in which turn? {ask} {FORM}"
    else:
        emotion = sample.turns[focus].emotion if given else None
        felt = f"caused the {emotion} of turn {focus + 1}?"
        unknown = f"caused what the speaker of turn {focus + 1} feels, and what is it?"
        question = f"Which turns {felt if emotion else unknown} {FORM}"
    return (Message("user", (*parts, question)),)


def _numbered(number: int, turn: Turn, given: bool, first: str, second: str) -> str:
    """Return "3. Ann (joy): words", numbers counting from 1."""
    emotion = f" ({turn.emotion})" if given and turn.emotion else ""
    return f"{number + 1}{first}{turn.speaker or 'Someone'}{emotion}{second}{one_line(turn.text)}"


def _published(sample: Sample, listed: str) -> Conversation:
    if sample.focus is None:
        raise UsageError(
            f"The published wording of ecpe asks of one turn, and sample {sample.id!r} has none in "
            "focus."
        )
    lines = [
        f"{number + 1}_{turn.emotion or 'neutral'}. {turn.speaker or 'Someone'}: "
        f"{one_line(turn.text)}\n"
        for number, turn in enumerate(sample.turns)
    ]
    chosen = lines[: sample.focus] if listed == "past" else lines
    text = (
        f"{_PUBLISHED_HEAD}Input conversation:{''.join(lines)}"
        f"Candidate utterances:{''.join(chosen) or chr(10)}"
        f"Target utterance:{lines[sample.focus]}{_PUBLISHED_TAIL}"
    )
    frames = sample.turns[sample.focus].frames
    return (Message("system", (EMOVERSE_SYSTEM,)), Message("user", (*frames, text)))


def ecpe_predicted(space: LabelSpace) -> Task:
    """Return the task in the setting where emotions are to be found too."""
    return ecpe(space, emotions="predicted")
