"""Multimodal sentiment analysis: negative, neutral or positive, or a score in -3..3 (MOSEI)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emosym.emotions import SENTIMENT3, LabelSpace, other_words
from emosym.errors import UsageError
from emosym.tasks.question import (
    ask_turns,
    chosen_wording,
    one_line,
    published,
    taught,
    turn_in_question,
)
from emosym.tasks.task import (
    Prediction,
    Task,
    Unparsed,
    label_said,
    measure_labels,
    parse_label,
    reward_by,
)
from emosym.types import MSA, Conversation, Sample, Target

REACH = 3.0
QUESTIONS = {
    "emosym": "Is the sentiment of what the speaker says negative, neutral or positive?",
    "score": "How negative or positive is what the speaker says, from -3 to 3?",
}
WORDINGS = (*QUESTIONS, "emoverse")
SYNONYMS = other_words(SENTIMENT3) | {
    "positively": "positive",
    "negatively": "negative",
    "positivity": "positive",
    "negativity": "negative",
}
_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?[0-9]{1,6}(?:\.[0-9]{1,12})?(?![\w.]*[0-9])")


def msa(template: str = "emosym") -> Task:
    """Return the task: `emosym` asks for one of three labels, `score` for a number.

    `emoverse` is the published wording, which offers positive and negative only; a score of 0 is
    taught as positive there, for "positive" stands for 0 or more (Acc-2 "has0").
    """
    chosen_wording(template, WORDINGS)

    def conversation(sample: Sample) -> Conversation:
        if template in QUESTIONS:
            return ask_turns(sample, QUESTIONS[template])
        words = one_line(turn_in_question(sample).text)
        return published(
            sample,
            f'The person says: "{words}" <sentiment> Please determine which sentiment label in '
            "the video represents: positive or negative.",
        )

    return Task(
        MSA,
        SENTIMENT3,
        conversation=conversation,
        teach=lambda sample: taught(conversation(sample), _answer(sample, template)),
        parse=parse_sentiment,
        measure=measure_sentiment,
        reward=reward_by(parse_sentiment, _agreement),
    )


def parse_sentiment(answer: object) -> str | float | Unparsed:
    """Return the label that an answer names, or the one number in it, clipped to -3..3."""
    found = parse_label(answer, SENTIMENT3.labels, SYNONYMS)
    if not isinstance(found, Unparsed) or not isinstance(answer, str):
        return found
    said = {float(number.replace("\u2212", "-")) for number in _NUMBER.findall(answer)}
    return max(-REACH, min(REACH, said.pop())) if len(said) == 1 else found


def polarity_of(score: float) -> str:
    """Return the label of a score: its sign."""
    return "negative" if score < 0 else "positive" if score > 0 else "neutral"


def sign_of(target: object) -> float | None:
    """Return a score as it is, a label as -1, 0 or 1; None for neither."""
    if isinstance(target, (int, float)):
        return float(target)
    label = label_said(target)
    return None if label is None else float(SENTIMENT3.index(label) - 1)


def _answer(sample: Sample, template: str) -> str:
    target = sample.targets.get(MSA)
    score = sign_of(target)
    if score is None:
        raise UsageError(f"Sample {sample.id!r} has no sentiment (a score or a label).")
    if template == "score":
        if not isinstance(target, (int, float)):
            raise UsageError(f"Sample {sample.id!r} has a label and no score; ask for the label.")
        return f"{score:.1f}"
    if template == "emoverse":
        return "Negative." if score < 0 else "Positive."
    return f"{polarity_of(score).capitalize()}."


def _agreement(found: Any, truth: Any) -> float:
    """Return 1 for equal labels or signs; for two scores how near they are, 0..1."""
    one, other = sign_of(found), sign_of(truth)
    if one is None or other is None:
        return 0.0
    if isinstance(found, float) and isinstance(truth, (int, float)):
        return 1.0 - abs(one - other) / (2 * REACH)
    return float(polarity_of(one) == polarity_of(other))


def measure_sentiment(
    predictions: Sequence[Prediction], truths: Sequence[Target]
) -> dict[str, Any]:
    """Return Acc-2 and F1 in both senses; of scores also Acc-7, Acc-5, MAE and Pearson.

    The latter need scores on both sides; of labels accuracy and F1 of three classes stand there
    instead. An unparsed answer counts as the far end of the scale on the wrong side, so that it is
    wrong by every measure; `unreadable` is the share of such answers. `majority_*` and `median_mae`
    are those of constant answers.

    Raises:
        UsageError: for no samples, not as many of both, or a truth that is no sentiment.
    """
    from emosym.metrics.checks import same_length
    from emosym.metrics.sentiment import constant_values, sentiment_values

    same_length(predictions=predictions, truths=truths)
    wanted, guesses = scores_of(predictions, truths)
    true_scores = all(isinstance(truth, (int, float)) for truth in truths)
    scored = true_scores and all(isinstance(p, (float, int, Unparsed)) for p in predictions)
    values: dict[str, Any] = dict(sentiment_values(guesses, wanted, scored))
    values |= constant_values(wanted, scored)
    if not true_scores and all(not isinstance(truth, (int, float)) for truth in truths):
        named = [polarity_of(p) if isinstance(p, (int, float)) else p for p in predictions]
        values |= measure_labels(named, truths, SENTIMENT3)
    unread = sum(isinstance(found, Unparsed) for found in predictions)
    values["unreadable"] = unread / len(predictions)
    return values


def scores_of(
    predictions: Sequence[Prediction], truths: Sequence[Target]
) -> tuple[list[float], list[float]]:
    """Return (true, predicted) numbers, an unparsed answer being the farthest wrong end."""
    wanted, guesses = [], []
    for found, truth in zip(predictions, truths, strict=True):
        score = sign_of(truth)
        if score is None:
            raise UsageError(f"A true sentiment must be a score or a label, got {truth!r:.80}.")
        guess = sign_of(found)
        wanted.append(score)
        guesses.append((REACH if score < 0 else -REACH) if guess is None else guess)
    return wanted, guesses


def msa_of(space: LabelSpace) -> Task:
    """Return the task whatever the label space of emotions is: it has its own labels."""
    return msa()
