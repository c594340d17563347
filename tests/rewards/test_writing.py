from __future__ import annotations

import pytest
from trl.rewards import get_repetition_penalty_reward, get_soft_overlong_punishment

from emosym.errors import UsageError
from emosym.rewards.writing import length, repetition

IDS = [[1, 2, 3, 4], [5, 5, 5, 5, 5], [1], [], [1, 2, 1, 2, 1, 2, 9], list(range(90))]


def test_repetition_by_hand() -> None:
    # "a b a b a b": runs of 2 are ab ba ab ba ab: 2 of 5 are new.
    assert repetition(["a b a b a b", "a", ""], repeated_size=2) == pytest.approx([-0.6, 0.0, 0.0])
    assert repetition(["sad " * 10_000])[0] == pytest.approx(-1.0, abs=1e-3)


def test_length_by_hand() -> None:
    said = ["x " * 8, "x " * 9, "x " * 10, "x " * 11, ""]
    assert length(said, longest=10, margin=2) == [0.0, -0.5, -1.0, -1.0, 0.0]
    assert length(said[:4], longest=9, margin=0) == [0.0, 0.0, -1.0, -1.0]


def test_of_token_ids_they_are_trls() -> None:
    said = [""] * len(IDS)
    theirs = get_repetition_penalty_reward(ngram_size=3)(completion_ids=IDS)
    assert repetition(said, completion_ids=IDS) == pytest.approx(theirs)
    theirs = get_soft_overlong_punishment(6, 3)(completion_ids=IDS)
    assert length(said, completion_ids=IDS, longest=6, margin=3) == pytest.approx(theirs)


def test_form_alone_earns_nothing() -> None:
    """Silence is no better than a short answer, and both are at most 0."""
    assert max(repetition(["", "yes"]) + length(["", "yes"])) == 0.0  # type: ignore[type-var]
    with pytest.raises(UsageError, match="1 or more"):
        repetition(["a"], repeated_size=0)
    with pytest.raises(UsageError, match=r"within 0\.\.4"):
        length(["a"], longest=4, margin=5)
    with pytest.raises(UsageError, match="1 completions but 2"):
        length(["a"], completion_ids=[[1], [2]])
