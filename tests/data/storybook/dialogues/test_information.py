from __future__ import annotations

import pytest

from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.data.storybook.dialogues.information import (
    best_accuracy,
    cases,
    cause_shares,
    trivial_cause_f1,
)
from emosym.data.storybook.dialogues.rules import CONTRADICTIONS, true_emotion
from emosym.data.storybook.dialogues.structure import Step, all_steps, next_steps

DRAWN = 600


def test_probabilities_sum_to_one() -> None:
    assert sum(weight for weight, _ in all_steps()) == pytest.approx(1)
    assert sum(case.share for case in cases()) == pytest.approx(1)
    assert sum(cause_shares().values()) == pytest.approx(1)


def test_steps_by_hand() -> None:
    tell, plain = Step("tell", 0), Step("plain", None)
    shares = {step: share for share, step in next_steps((tell,), 2)}
    total = 0.23 + 0.47 + 0.08  # no earlier event, no later turn
    assert shares[Step("name", 0)] == pytest.approx(0.47 / total)
    assert shares[Step("tell", 1)] == pytest.approx(0.23 / total)
    assert next_steps((Step("name", 2), plain), 4) == [(1.0, Step("tell", 2))]  # as was promised


def test_the_rule_reads_every_case_rightly_and_neither_words_nor_faces_do_alone() -> None:
    for case in cases():
        found = true_emotion(case.showing.face, case.showing.claim, case.kind)
        assert found == case.emotion
    assert best_accuracy("words + face") == best_accuracy("words + face", "msa") == 1
    assert 0.6 < best_accuracy("words") < 0.75 and 0.6 < best_accuracy("face") < 0.8
    for view in ("words", "face"):
        assert best_accuracy(view, contradictory=True) < 0.7
    assert 0.5 < trivial_cause_f1() < 0.65


def test_what_is_drawn_has_the_shares_that_are_told() -> None:
    turns = [
        (place, turn)
        for index in range(DRAWN)
        for place, turn in enumerate(draw_dialogue(7, index).turns)
    ]
    moved = [(place, turn) for place, turn in turns if turn.cause is not None]
    gaps = [place - turn.cause for place, turn in moved if turn.cause is not None]
    shares = cause_shares()
    assert gaps.count(0) / len(gaps) == pytest.approx(shares["self"], abs=0.04)
    assert gaps.count(1) / len(gaps) == pytest.approx(shares["previous"], abs=0.04)
    assert sum(gap < 0 for gap in gaps) / len(gaps) == pytest.approx(shares["later"], abs=0.025)
    neutral = 1 - len(moved) / len(turns)
    assert neutral == pytest.approx(best_accuracy("nothing"), abs=0.04)
    apart = sum(turn.showing.mode in CONTRADICTIONS for _, turn in turns) / len(turns)
    told = sum(case.share for case in cases() if case.showing.mode in CONTRADICTIONS)
    assert apart == pytest.approx(told, abs=0.025)
