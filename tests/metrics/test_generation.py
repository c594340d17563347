from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics import generation as g


def test_emo_accuracy_by_hand() -> None:
    shares = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.4, 0.6, 0.0]]
    assert g.emo_accuracy(shares, [0, 1, 1, 1]) == 0.75
    assert g.emo_accuracy_per_emotion(shares, [0, 1, 1, 1]) == [1.0, pytest.approx(2 / 3), None]
    for wrong in ([0, 1, 1], [0, 1, 1, 3]):
        with pytest.raises(UsageError):
            g.emo_accuracy(shares, wrong)
        with pytest.raises(UsageError):
            g.emo_accuracy_per_emotion(shares, wrong)


def test_semantic_clarity_takes_the_clearer_of_the_two() -> None:
    scenes, objects = [[0.9, 0.1], [0.5, 0.5]], [[0.6, 0.4], [0.3, 0.7]]
    assert g.semantic_clarity(scenes, objects) == pytest.approx(0.8)


def test_coverage_on_a_line_by_hand() -> None:
    real = [[0.0], [1.0], [2.0], [3.0], [10.0]]
    # k = 1. Painted at 9.6: only the real image at 10 has it as its nearest.
    assert g.covered(real, [[9.6]], 1).tolist() == [False, False, False, False, True]
    # k = 4: the other four are nearer to 0, 1, 2 (and to 3: 3, 2, 1 and 6.6 < 7 -> painted is in).
    assert g.covered(real, [[9.6]], 4).tolist() == [True, True, True, True, True]
    assert g.covered(real, [[9.6]], 3).tolist() == [False, False, False, False, True]


def test_coverage_falls_with_mode_collapse() -> None:
    rng = np.random.default_rng(0)
    real, good = rng.normal(0, 1, (300, 8)), rng.normal(0, 1, (300, 8))
    assert g.coverage(real, good) == pytest.approx(1 - 2**-5, abs=0.03)
    assert g.coverage(real, good[:1].repeat(300, axis=0)) < 0.15
    assert g.coverage(real, good + 50.0) == 0.0
    assert g.coverage(real, real) == 1.0


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_coverage_agrees_with_sorting_the_pool(seed: int, made: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    real, painted = rng.normal(0, 1, (10, 2)), rng.normal(0, 1, (made, 2))
    for row, found in enumerate(g.covered(real, painted, k)):
        pool = np.concatenate([np.delete(real, row, axis=0), painted])
        order = np.argsort(np.linalg.norm(pool - real[row], axis=1))[:k]
        assert found == (order >= 9).any()


def test_coverage_blocks_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    real, painted = rng.normal(0, 1, (37, 4)), rng.normal(0.7, 1, (19, 4))
    whole = g.covered(real, painted)
    monkeypatch.setattr(g, "_BLOCK_CELLS", 200)
    assert (g.covered(real, painted) == whole).all()
    assert 0 < whole.sum() < 37


def test_a_painted_image_that_ties_with_a_real_one_counts() -> None:
    rng = np.random.default_rng(0)
    real = np.repeat(rng.normal(100.0, 1, (20, 16)), 6, axis=0)  # each real image six times
    assert g.coverage(real, real[::6]) == 1.0  # all five twins are as near as the painted one
    assert g.coverage(1e4 * real, 1e4 * real[::6]) == 1.0
    assert g.coverage(1e-4 * real, 1e-4 * real[::6]) == 1.0


def test_coverage_per_emotion() -> None:
    real = np.arange(12.0)[:, None]
    labels = np.repeat([0, 1], 6)
    values = g.coverage_per_emotion(real, labels, real[:6], labels[:6], 3)
    assert values == [1.0, 0.0, None]
    with pytest.raises(UsageError, match="same length"):
        g.coverage_per_emotion(real, labels[:5], real, labels, 3)


def test_coverage_refuses_bad_inputs() -> None:
    with pytest.raises(UsageError, match="neighbours"):
        g.coverage([[1.0], [2.0]], [[1.0]], 5)
    with pytest.raises(UsageError, match="columns"):
        g.coverage([[1.0]] * 6, [[1.0, 2.0]])
    with pytest.raises(UsageError, match="at least 1"):
        g.coverage([[1.0]] * 6, np.empty((0, 1)))
    with pytest.raises(UsageError, match="NaN"):
        g.coverage([[np.nan]] * 6, [[1.0]])


def test_cosine_distance_by_hand() -> None:
    rows = [[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [1.0, 1.0], [2.0, 2.0], [5.0, 1.0]]
    values = g.cosine_distance_per_emotion(rows, [0, 0, 0, 1, 1, 2], 4)
    # class 0: cosines 0, -1, 0 -> distances 1, 2, 1.
    assert values == [pytest.approx(4 / 3), pytest.approx(0.0, abs=1e-12), None, None]
    with pytest.raises(UsageError, match="zeros"):
        g.cosine_distance_per_emotion([[0.0, 0.0]], [0], 1)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_cosine_distance_agrees_with_all_pairs(seed: int, count: int) -> None:
    rows = np.random.default_rng(seed).normal(0.5, 1, (count, 3))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i in range(count) for j in range(i)]
    values = g.cosine_distance_per_emotion(rows, [0] * count, 1)
    assert values == [pytest.approx(np.mean(pairs))]


def test_random_pairs_stay_inside_an_emotion_and_are_seeded() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 300)
    pairs = g.random_pairs(labels, 4, seed=1)
    for kind in range(3):
        assert len(pairs[kind]) == g.LEAST_PAIRS
        assert (labels[pairs[kind]] == kind).all()
        assert (pairs[kind][:, 0] != pairs[kind][:, 1]).all()
    assert len(pairs[3]) == 0
    again, other = g.random_pairs(labels, 4, seed=1), g.random_pairs(labels, 4, seed=2)
    assert all((a == b).all() for a, b in zip(pairs, again, strict=True))
    assert (pairs[0] != other[0]).any()


def test_few_images_give_every_pair_once() -> None:
    pairs = g.random_pairs([0, 1, 0, 0, 1], 2, seed=0)
    assert [sorted(map(tuple, part.tolist())) for part in pairs] == [
        [(0, 2), (0, 3), (2, 3)],
        [(1, 4)],
    ]


def test_compat_pairs_cross_emotions() -> None:
    labels = np.repeat([0, 1, 3], 500)
    pairs = g.random_pairs(labels, 5, seed=0, pairs=4000, mode="compat")
    assert [len(part) for part in pairs] == [4000, 4000, 0, 4000, 0]
    assert all((part[:, 0] != part[:, 1]).all() for part in pairs)
    kinds = [labels[pairs[kind]] for kind in (0, 1, 3)]
    crossed = [float((part[:, 0] != part[:, 1]).mean()) for part in kinds]
    # of e emotions alike in number, two pictures are of the same one 1 time in e
    assert crossed[0] == 0.0
    assert crossed[1:] == pytest.approx([0.5, 0.667], abs=0.03)
    assert np.bincount(kinds[2].ravel(), minlength=4).tolist() == pytest.approx(
        [8000 / 3, 8000 / 3, 0, 8000 / 3], abs=200
    )


def test_compat_draws_ten_pairs_even_where_there_are_few_images() -> None:
    pairs = g.random_pairs([0, 0, 1], 2, seed=0, mode="compat")
    assert [len(part) for part in pairs] == [10, 10]
    assert {tuple(sorted(pair)) for pair in pairs[0].tolist()} == {(0, 1)}
    assert np.unique(pairs[1]).tolist() == [0, 1, 2]  # one picture of emotion 1, and the two before
    again = g.random_pairs([0, 0, 1], 2, seed=0, mode="compat")
    assert all((a == b).all() for a, b in zip(pairs, again, strict=True))


def test_pair_diversity_by_hand_and_with_an_own_distance() -> None:
    rows = np.asarray([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [1.0, 1.0]])
    pairs = g.random_pairs([0, 0, 0, 1], 2, seed=0)
    # squared distances 4, 16, 20 over 2 columns.
    assert g.pair_diversity(rows, pairs) == [pytest.approx(40 / 3 / 2), None]
    gaps = g.pair_diversity(rows, pairs, lambda a, b: np.abs(a - b).sum(axis=1))
    assert gaps == [pytest.approx((2 + 4 + 6) / 3), None]


def test_pair_functions_refuse_bad_inputs() -> None:
    with pytest.raises(UsageError, match="1000 pairs"):
        g.random_pairs([0, 0], 1, seed=0, pairs=10)
    with pytest.raises(UsageError, match="no pair"):
        g.random_pairs([0, 1], 2, seed=0)
    with pytest.raises(UsageError, match="no pair"):
        g.random_pairs([1], 2, seed=0, mode="compat")
    with pytest.raises(UsageError, match="at least 1 pairs"):
        g.random_pairs([0, 0], 1, seed=0, pairs=0, mode="compat")
    with pytest.raises(UsageError, match="only 1"):
        g.pair_diversity([[1.0]], g.random_pairs([0, 0], 1, seed=0))
    with pytest.raises(UsageError, match="NaN"):
        g.pair_diversity([[np.nan], [1.0]], g.random_pairs([0, 0], 1, seed=0))
