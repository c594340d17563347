from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.memory.duplicates import near_duplicates
from emosym.memory.policies import (
    ADMISSION,
    QUOTA,
    Candidates,
    Held,
    chosen,
    evicted,
    mixing_plan,
)


def candidates(intents: list[int], rows: list[list[float]], inform: list[float]) -> Candidates:
    probabilities = np.asarray(rows)
    asked = np.asarray(intents)
    agreement = probabilities[np.arange(len(asked)), asked]
    return Candidates(asked, probabilities, agreement, np.asarray(inform))


# Entry:            0 sure right     1 unsure right   2 wrong         3 right         4 right, other
BATCH = candidates(
    [0, 0, 0, 0, 1],
    [[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.2, 0.8, 0.0], [0.6, 0.2, 0.2], [0.0, 1.0, 0.0]],
    [0.3, 0.9, 0.5, 0.9, 0.0],
)


def test_published_takes_the_most_confident_share_of_each_emotion_right_or_wrong() -> None:
    # Emotion 0 has four entries: half of them are 0 (.9) and 2 (.8, wrong); emotion 1 has one.
    assert ADMISSION["published"](BATCH, 0.5, 0.0).tolist() == [4, 0, 2]
    assert ADMISSION["published"](BATCH, None, 0.0).tolist() == [4, 0]  # ceil(.2 * 4) = 1


def test_agree_informative_ranks_those_that_agree_by_what_they_tell() -> None:
    # 1 and 3 tie at .9; the margin of 1 (.1) is smaller than that of 3 (.4). 2 disagrees.
    assert ADMISSION["agree_informative"](BATCH, None, 0.0).tolist() == [1, 3, 0, 4]
    assert ADMISSION["agree_informative"](BATCH, None, 0.55).tolist() == [3, 0, 4]
    # Half of the three that agree in emotion 0 is two, by ceil.
    assert ADMISSION["agree_informative"](BATCH, 0.5, 0.0).tolist() == [1, 3, 4]


def test_wrong_label_and_train_on() -> None:
    assert ADMISSION["wrong_label"](BATCH, None, 0.5).tolist() == [2]
    assert ADMISSION["train_on"](BATCH, None, 0.5).tolist() == [0, 1, 2, 3, 4]


def test_a_share_is_not_rounded_up_by_floating_point() -> None:
    batch = candidates([0] * 30, [[1.0, 0.0]] * 30, [0.0] * 30)
    assert len(ADMISSION["published"](batch, 0.1, 0.0)) == 3
    assert len(ADMISSION["published"](batch, 1.0, 0.0)) == 30


@pytest.mark.parametrize("share", [-0.1, 0.0, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"share must lie in \(0, 1\], got"):
        ADMISSION["published"](BATCH, share, 0.0)


def test_quota_counts_per_batch_or_with_the_bank() -> None:
    intents, held = np.array([0, 1, 0, 0, 1]), np.array([0, 0, 0, 1])
    assert QUOTA["none"](intents, held, 0).all()
    assert QUOTA["per_batch"](intents, held, 2).tolist() == [True, True, True, False, True]
    assert QUOTA["per_bank"](intents, held, 2).tolist() == [False, True, False, False, False]


def test_near_duplicates_look_in_the_bank_and_before_them_in_the_batch() -> None:
    features = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [3.0, 3.1]])
    intents = np.array([0, 0, 0, 0, 0, 1])
    bank, bank_intents = np.array([[5.0, 5.0], [1.0, 1.0]]), np.array([0, 1])
    # 0: new; 1: twin of 0 (cosine 1); 2: twin of bank entry 0; zero rows resemble nothing;
    # 5: the bank's entry of emotion 1.
    twins = near_duplicates(features, intents, bank, bank_intents, 0.99)
    assert twins.tolist() == [-1, 2 + 0, 0, -1, -1, 1]
    assert near_duplicates(
        features[:2], intents[:2], np.zeros((0, 0)), np.zeros(0), 1.0
    ).tolist() == [-1, 0]


def test_a_refused_candidate_refuses_nobody() -> None:
    # Angles 0, 20, 40 degrees: 1 is near 0, 2 is near 1 but not near 0, and 1 is gone.
    angles = np.deg2rad([0.0, 20.0, 40.0])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    twins = near_duplicates(features, np.zeros(3, int), np.zeros((0, 2)), np.zeros(0, int), 0.9)
    assert twins.tolist() == [-1, 0, -1]


HELD = Held(
    intents=np.array([0, 0, 0, 1, 0]),
    age=np.array([1.0, 5.0, 3.0, 9.0, 2.0]),
    confidence=np.array([0.5, 0.9, 0.1, 0.0, 0.7]),
    informativeness=np.array([0.4, 0.3, 0.9, 0.0, 0.2]),
)


@pytest.mark.parametrize(
    ("policy", "gone"),
    [("oldest", [1, 2]), ("lowest_confidence", [2, 0]), ("least_informative", [4, 1])],
)
def test_eviction_falls_on_the_fullest_emotion(policy: str, gone: list[int]) -> None:
    # Entry 3 would go first by every key, but emotion 1 has one entry and emotion 0 four.
    assert evicted(policy, HELD, 3).tolist() == gone


@pytest.mark.parametrize("policy", ["oldest", "lowest_confidence", "least_informative"])
def test_of_equal_entries_the_oldest_goes_first(policy: str) -> None:
    same = np.full(4, 0.5)
    held = Held(np.zeros(4, dtype=np.int64), np.array([1.0, 3.0, 2.0, 3.0]), same, same)
    assert evicted(policy, held, 1).tolist() == [1, 3, 2]


def test_eviction_bounds() -> None:
    assert evicted("oldest", HELD, 9).tolist() == []
    assert sorted(evicted("oldest", HELD, 0)) == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="capacity"):
        evicted("oldest", HELD, -1)
    with pytest.raises(UsageError, match="Did you mean 'oldest'"):
        evicted("oldset", HELD, 1)
    with pytest.raises(UsageError, match="agree_informative"):
        chosen("admission policy", "agree_inform", ADMISSION)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 50), st.integers(0, 12), st.floats(0, 3), st.integers(1, 9), st.integers(0, 99)
)
def test_mixing_never_loses_real_data(
    n_real: int, n_bank: int, ratio: float, batch: int, seed: int
) -> None:
    plan = mixing_plan(n_real, n_bank, ratio, batch, seed, epoch=1)
    real = [i for source, i in plan if source == "real"]
    bank = Counter(i for source, i in plan if source == "bank")
    assert sorted(real) == list(range(n_real))
    assert sum(bank.values()) == (round(ratio * n_real) if n_bank else 0)
    uses = [bank[i] for i in range(n_bank)]
    assert not uses or max(uses) - min(uses) <= 1
    per_batch = [
        sum(source == "bank" for source, _ in plan[k : k + batch])
        for k in range(0, len(plan) - batch + 1, batch)
    ]
    assert not per_batch or max(per_batch) - min(per_batch) <= 1


def test_mixing_is_a_function_of_seed_and_epoch() -> None:
    assert mixing_plan(20, 5, 0.5, 6, 3, 0) == mixing_plan(20, 5, 0.5, 6, 3, 0)
    assert mixing_plan(20, 5, 0.5, 6, 3, 0) != mixing_plan(20, 5, 0.5, 6, 3, 1)
    assert all(source == "real" for source, _ in mixing_plan(20, 5, 0.0, 6, 3, 0))
    with pytest.raises(UsageError, match="ratio"):
        mixing_plan(20, 5, -0.1, 6, 3, 0)
    with pytest.raises(UsageError, match="n_real"):
        mixing_plan(0, 5, 0.1, 6, 3, 0)
