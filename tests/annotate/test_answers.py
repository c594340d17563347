"""What a model says is unwrapped, and what is no rationale is named as such."""

from __future__ import annotations

import json

import pytest

from emosym.annotate.answers import MAX_WORDS, judge_answer

GOOD = "A child jumps beside a kite under a red sky."


@pytest.mark.parametrize(
    "said",
    [
        GOOD,
        f"  {GOOD}\n",
        json.dumps({"rationale": GOOD}),
        f"```json\n{json.dumps({'rationale': GOOD})}\n```",
        f"```\n{GOOD}\n```",
        f"<think>What is there? A sad child?</think>\n{GOOD}",
        f'"{GOOD}"',
        "A child jumps\n  beside a kite\nunder a red sky.",
    ],
)
def test_wrapping_comes_off(said: str) -> None:
    verdict = judge_answer(said)
    assert (verdict.status, verdict.text, verdict.reason) == ("ok", GOOD, None)


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ("", "malformed", "empty"),
        ("   ", "malformed", "empty"),
        ('{"rationale": "A child jum', "malformed", "cut off"),
        ('{"answer": "A child jumps"}', "malformed", "no text under 'rationale'"),
        ('{"rationale": 3}', "malformed", "no text under"),
        ("[" * 100000, "malformed", "begins like JSON"),
        ("A child.", "malformed", "2 words"),
        ("tree " * (MAX_WORDS + 1), "malformed", f"{MAX_WORDS + 1} words"),
        ("Sure! A child jumps beside a kite.", "malformed", "talks about itself"),
        ("Here is a description: a child jumps.", "malformed", "talks about itself"),
        ("A child jumps. Let me know if you need more!", "malformed", "talks about itself"),
        ("A child jumps there.<|im_end|>", "malformed", "talks about itself"),
        ("I'm sorry, but I can't help with that picture.", "refused", "declined"),
        ("I’m sorry, I cannot describe people.", "refused", "declined"),
        ("As an AI language model, I cannot view images.", "refused", "declined"),
        ("No image was provided, so nothing can be said.", "refused", "declined"),
        ("A joyful child jumps in the sun.", "emotion_word", "joyful"),
        ('{"rationale": "A calm lake and a SAD dog."}', "emotion_word", "calm, sad"),
    ],
)  # fmt: skip
def test_what_is_no_rationale(said: str, status: str, reason: str) -> None:
    verdict = judge_answer(said)
    assert verdict.status == status and verdict.text is None
    assert reason in str(verdict.reason)


def test_label_aware_answers_may_name_emotions() -> None:
    assert judge_answer("A joyful child jumps.", blind=False).status == "ok"
    assert judge_answer("Sorry, I can't.", blind=False).status == "refused"


def test_great_things_are_no_boilerplate() -> None:
    assert judge_answer("Great clouds stand over a field.").status == "ok"
