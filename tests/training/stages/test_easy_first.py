"""Conversations from the easiest on: how hard each is, and that all come in, each as often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.stages.test_m2se import base, opened, plan, talk_data

from emosym.errors import UsageError
from emosym.models.reader.talks import UNKNOWN, Talk, talks_of
from emosym.training.stages import m2se
from emosym.training.stages.easy_first import competence, difficulty, rows_from_easy
from emosym.training.stages.m2se import train_m2se
from emosym.types import Sample, Turn

__all__ = ("base",)


def talk(labels: list[int], speakers: str) -> Talk:
    turns = tuple(Turn(who, "Hm.") for who in speakers)
    return Talk(Sample("d", turns), np.array(labels), None, np.arange(len(labels)))


def test_how_hard_a_conversation_is() -> None:
    assert difficulty(talk([0, 0, 0], "ABA")) == pytest.approx((0 + 2) / (3 + 2))
    assert difficulty(talk([0, 1, 0, 0], "ABAB")) == pytest.approx((2 + 2) / (4 + 2))
    assert difficulty(talk([0, UNKNOWN, 1], "AAA")) == pytest.approx((0 + 1) / (3 + 1))


def test_how_many_count_at_a_step() -> None:
    assert competence(0, 10) == pytest.approx(0.25)
    assert competence(5, 10) == pytest.approx(np.sqrt(0.5 * (1 - 0.0625) + 0.0625))
    assert competence(10, 10) == competence(11, 10) == competence(0, 0) == 1.0


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.integers(1, 9),
)
def test_easy_ones_come_first_and_none_is_left_out(
    hard: list[float], share: float, batch: int
) -> None:
    steps = 40
    rows = rows_from_easy(hard, share, 0, steps, batch).reshape(steps, batch)
    np.testing.assert_array_equal(rows_from_easy(hard, share, 0, steps, batch), rows.ravel())
    easiest = np.argsort(hard, kind="stable")
    for step, drawn in enumerate(rows):
        count = max(int(np.ceil(competence(step, share * steps) * len(hard))), 1)
        assert set(drawn.tolist()) <= set(easiest[:count].tolist())
        assert len(set(drawn.tolist())) == min(count, batch)


def test_what_came_in_late_is_made_up_for() -> None:
    rows = rows_from_easy([0.1 * i for i in range(8)], 0.5, 0, 40, 4)
    assert set(rows[:4].tolist()) == {0, 1}  # a quarter of eight, drawn from twice
    assert np.bincount(rows).tolist() == [20] * 8


def test_training_takes_them_in_that_order(base: Path, tmp_path: Path) -> None:
    recipe = plan(tmp_path, 20, easy_first=0.5, w_causes=0.0)
    model = opened(base)
    talks = talks_of(model.reader, talk_data("train", 0, 32))
    done = train_m2se(model, talks, talks[:8], recipe, progress=False)
    assert [one.step for one in done.rounds] == [20]
    order = m2se._order(model.space, talks, (), recipe)
    assert order is not None and len(order) == 20 * 16
    hard = [difficulty(talk) for talk in talks]
    first = [hard[row] for row in order[:16]]
    assert max(first) <= sorted(hard)[len(talks) // 4 - 1]


def test_it_is_of_one_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="easy_first orders the conversations of one data set"):
        plan(tmp_path, 20, easy_first=0.5, also=[{"source": "meld", "root": "m"}])
    with pytest.raises(UsageError, match="spoken_examples are shown before tasks of `spoken`"):
        plan(tmp_path, 20, spoken_examples=2)
