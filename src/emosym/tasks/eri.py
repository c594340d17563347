"""Emotion reason inference: why a speaker feels so, in words, measured by the cues it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emosym.data.action_units import units_in
from emosym.emotions import LABEL_SPACES, LabelSpace, other_words
from emosym.errors import UsageError
from emosym.metrics.cues import Facts, named_cues, plain_words, stands_in
from emosym.tasks.ecpe import true_pairs
from emosym.tasks.question import (
    ask_turns,
    chosen_wording,
    one_line,
    published,
    said_by,
    taught,
    turn_in_question,
)
from emosym.tasks.task import Prediction, Task, Unparsed, reward_by
from emosym.types import ECPE, ERI, MER, Conversation, Message, Sample, Target

QUESTION = "What does the speaker feel, and why?"
WHY = "Say why."
WORDINGS = ("emosym", "emoverse")
KINDS = ("face", "emotion", "words")
KNOWN = "known"
SHORTEST = 4  # letters of a quoted word that counts as a cue: "the" and "you" stand everywhere
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"\u201c\u201d]([^\"\u201c\u201d]{1,2000})[\"\u201c\u201d]")
Known = Mapping[str, Sequence[str]]


def eri(
    space: LabelSpace = LABEL_SPACES["meld7"],
    template: str = "emosym",
    known: Known | None = None,
) -> Task:
    """Return the task; the emotions that count as cues are those of `space`.

    `known` names further cues with the phrases that say each ({"the dog": ("dog", "puppy")}), of
    which a reason names those whose phrase stands in it. The published quotes around the words
    could not be read; those of sentiment are used (`emoverse`).
    """
    chosen_wording(template, WORDINGS)

    def conversation(sample: Sample) -> Conversation:
        if template == "emosym":
            return ask_turns(sample, QUESTION)
        words = one_line(turn_in_question(sample).text)
        return published(
            sample,
            f'The person says: "{words}" <reason> What is the emotional state of the person in '
            "the video? Please tell me the reason.",
        )

    return _of_reasons(conversation, space, known)


def eri_grounded(space: LabelSpace = LABEL_SPACES["meld7"]) -> Task:
    """Return the same task, with the emotion and its causes given: only the words are asked for.

    Training shows the true ones, a model that answers what its latents found. So a reason speaks of
    what was read, and not of a second opinion.
    """
    return _of_reasons(_grounded, space, None)


def _grounded(sample: Sample) -> Conversation:
    """Return what is said in the turns that cause the one in question, the turn, the question."""
    turn = turn_in_question(sample)
    felt = turn.emotion or sample.label_of(MER)
    if felt is None:
        raise UsageError(f"Sample {sample.id!r} has no emotion, so no reason of it can be asked.")
    place = len(sample.turns) - 1 if sample.focus is None else sample.focus
    pairs = true_pairs(sample) if ECPE in sample.targets else ()
    causes = sorted({pair.cause for pair in pairs if pair.turn == place})
    lines = [said_by(turn), f"{turn.speaker or 'The speaker'} feels {felt}."]
    if causes:
        lines += ["It is caused by:", *(said_by(sample.turns[cause]) for cause in causes)]
    words = "\n".join([*(line for line in lines if line), WHY])
    return (Message("user", (*turn.frames, words)),)


def _of_reasons(
    conversation: Callable[[Sample], Conversation], space: LabelSpace, known: Known | None
) -> Task:
    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1

        return set_f1(*(_flat(cues_in(str(text), space, known)) for text in (found, truth)))

    return Task(
        ERI,
        None,
        conversation=conversation,
        teach=lambda sample: taught(conversation(sample), true_reason(sample)),
        parse=parse_reason,
        measure=lambda predictions, truths: measure_reasons(predictions, truths, space, known),
        reward=reward_by(parse_reason, score),
    )


def true_reason(sample: Sample) -> str:
    """Return the true reason of a sample, or its rationale where there is no other.

    Raises:
        UsageError: when there is neither.
    """
    found = sample.label_of(ERI) or sample.rationale
    if not found or not found.strip():
        raise UsageError(f"Sample {sample.id!r} has no reason for its emotion.")
    return found.strip()


def parse_reason(answer: object) -> str | Unparsed:
    """Return an answer's text without blanks around it, if it has a letter or digit."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    text = answer.strip()
    return text if _WORD.search(text) else Unparsed(answer, "it is empty")


def cues_in(text: str, space: LabelSpace, known: Known | None = None) -> Facts:
    """Return the cues that a text names: action units, emotions, quoted words, known cues.

    Quoted are words of four letters and more between double quotes.
    """
    plain = plain_words(text)
    emotions = {label: label for label in space.labels} | other_words(space)
    quoted = " ".join(_QUOTED.findall(text)).lower()
    found = {
        "face": frozenset(units_in(text)),
        "emotion": frozenset(label for word, label in emotions.items() if stands_in(word, plain)),
        "words": frozenset(w for w in _WORD.findall(quoted) if len(w) >= SHORTEST),
    }
    return found if known is None else found | {KNOWN: named_cues(text, known)}


def _flat(facts: Facts) -> set[str]:
    return {f"{kind}:{cue}" for kind, cues in facts.items() for cue in cues}


def measure_reasons(
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    space: LabelSpace,
    known: Known | None = None,
) -> dict[str, Any]:
    """Return precision, recall and F1 of the cues in N reasons against the true reasons.

    Values are those of `metrics.cues.cue_values`; an unparsed answer names nothing, and
    `unreadable` is the share of such. `other_cue_*` are those of another sample's true reason (the
    next one's, of the last the first's): what saying something likely without looking scores.

    Raises:
        UsageError: for no samples, not as many of both, or a truth that is no text.
    """
    from emosym.metrics.checks import same_length
    from emosym.metrics.cues import cue_values

    same_length(predictions=predictions, truths=truths)
    for truth in truths:
        if not isinstance(truth, str):
            raise UsageError(f"A true reason must be a text, got {truth!r:.80}.")
    kinds = KINDS if known is None else (*KINDS, KNOWN)
    there = [cues_in(str(truth), space, known) for truth in truths]
    said = [cues_in(found if isinstance(found, str) else "", space, known) for found in predictions]
    values: dict[str, Any] = dict(cue_values(said, there, kinds))
    other = cue_values([*there[1:], *there[:1]], there, kinds)
    for name in ("cue_precision", "cue_recall", "cue_f1"):
        values[f"other_{name}"] = other[name]
    values["unreadable"] = sum(isinstance(p, Unparsed) for p in predictions) / len(predictions)
    return values
