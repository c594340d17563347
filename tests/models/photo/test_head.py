"""The head of photographs: closed forms against the long way, intervals that hold, disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emosym.errors import EmoSymError, UsageError
from emosym.models.photo.head import (
    BIAS,
    AffectHead,
    Kernel,
    conformal_width,
    correlation,
    distances,
    fit_head,
    fit_scaling,
    gram,
    leave_groups_out,
    powered,
    predict,
    scaled,
)
from emosym.models.photo.store import load_head, save_head

KERNELS = [Kernel(gamma, noise) for gamma in (0.5, 1.0) for noise in (0.05, 0.3)]


def made(count: int = 60, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Features whose first directions tell the ratings, in groups of three alike."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 3, 5)).repeat(3, axis=0)
    hidden = centres + 0.3 * rng.normal(size=(count, 5))
    blocks = {
        "wide": (hidden @ rng.normal(size=(5, 40))) ** 3,
        "narrow": hidden @ rng.normal(size=(5, 8)),
    }
    truth = np.stack([4 + hidden[:, 0], 4 + 0.7 * hidden[:, 1]], axis=1)
    ratings = truth + 0.2 * rng.normal(size=(count, 2))
    return blocks, ratings, np.repeat(np.arange(count // 3), 3)


def test_features_are_scaled_as_said() -> None:
    block = np.array([[4.0, -9.0], [0.0, 1.0], [16.0, 4.0]])
    np.testing.assert_allclose(powered(block), [[2, -3], [0, 1], [4, 2]])
    scaling = fit_scaling(block)
    np.testing.assert_allclose(scaling.mean, [2, 0])
    ready = scaled(block, scaling)
    np.testing.assert_allclose((ready**2).sum(axis=0), [1.5, 1.5], rtol=1e-4)  # 3 rows / 2 columns
    apart = [((ready[i] - ready[j]) ** 2).sum() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert scaling.spread == pytest.approx(np.median(apart))
    own = distances({"a": ready}, {"a": ready}, {"a": scaling})
    assert own[0, 1] == pytest.approx(apart[0] / scaling.spread)


def test_a_group_left_out_in_closed_form_is_a_fit_without_it() -> None:
    blocks, ratings, groups = made(30)
    scalings = {name: fit_scaling(block) for name, block in blocks.items()}
    ready = {name: scaled(block, scalings[name]) for name, block in blocks.items()}
    squared = distances(ready, ready, scalings)
    kernel = Kernel(1.0, 0.1)
    left = leave_groups_out(squared, ratings[:, 0], groups, kernel)
    for group in (0, 4, 9):
        mine, rest = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        whole = gram(squared[np.ix_(rest, rest)], kernel) + kernel.noise * np.eye(len(rest))
        cross = gram(squared[np.ix_(mine, rest)], kernel)
        np.testing.assert_allclose(
            left.predicted[mine], cross @ np.linalg.solve(whole, ratings[rest, 0]), rtol=1e-8
        )
        variance = 1 + BIAS + kernel.noise - (cross * np.linalg.solve(whole, cross.T).T).sum(1)
        np.testing.assert_allclose(left.deviation[mine], np.sqrt(variance), rtol=1e-6)


def test_a_conformal_width_counts_one_more() -> None:
    assert conformal_width(np.arange(1.0, 20.0)) == 18.0  # ceil(20 * .9) = 18th of 19
    assert conformal_width(-np.arange(1.0, 20.0)) == 18.0
    assert conformal_width(np.array([3.0, 1.0])) == 3.0  # too few: the widest there is


def test_correlation_of_what_does_not_vary_is_zero() -> None:
    assert correlation(np.ones(4), np.arange(4.0)) == 0.0
    assert correlation(np.arange(4.0), 3 - 2 * np.arange(4.0)) == pytest.approx(-1.0)


def test_it_predicts_new_groups_and_its_intervals_hold() -> None:
    blocks, ratings, groups = made(240)
    known, new = groups < 50, groups >= 50
    names = [f"picture {n}" for n in range(known.sum())]
    head = fit_head(
        {k: v[known] for k, v in blocks.items()}, ratings[known], groups[known], names, KERNELS
    )
    found = predict(head, {k: v[new] for k, v in blocks.items()})
    assert correlation(found.ratings[:, 0], ratings[new, 0]) > 0.8
    holds = np.abs(found.ratings - ratings[new]) <= found.margins
    assert 0.8 <= holds.mean() <= 0.98
    one = predict(head, {k: v[new][:1] for k, v in blocks.items()})
    np.testing.assert_allclose(one.ratings[0], found.ratings[0], rtol=1e-9)
    # what is like nothing that was rated: the mean of all, wide intervals, outside
    far = predict(head, {k: v[new] * 1e6 for k, v in blocks.items()})
    assert (far.margins > found.margins.max()).all() and (far.in_domain == 0).all()
    same = predict(head, {k: v[known] for k, v in blocks.items()})
    assert (same.in_domain == 1).all() and (same.distance.argmin(1) == np.arange(150)).all()


def fitted() -> AffectHead:
    blocks, ratings, groups = made()
    return fit_head(blocks, ratings, groups, [f"p {n}" for n in range(60)], KERNELS)


def test_what_is_saved_predicts_the_same(tmp_path: Path) -> None:
    head = fitted()
    save_head(tmp_path, head, "efficientnet-lite1", "a" * 64, "ratings of ours", {"r": 0.5})
    stored, back = load_head(tmp_path)
    assert stored.encoder == "efficientnet-lite1" and stored.values == {"r": 0.5}
    assert back.names == head.names and back.kernels == head.kernels
    blocks = made(seed=3)[0]
    one, other = predict(head, blocks), predict(back, blocks)
    np.testing.assert_allclose(one.ratings, other.ratings, atol=0.02)  # support is kept in fp16
    np.testing.assert_allclose(one.margins, other.margins, rtol=0.02)


def test_a_description_that_was_changed_is_refused_in_a_sentence(tmp_path: Path) -> None:
    save_head(tmp_path, fitted(), "efficientnet-lite1", "a" * 64, "ours", {})
    path = tmp_path / "photo.json"
    good = json.loads(path.read_text())
    for change in (
        {"format": "emosym.photo/2"},
        {"encoder_fingerprint": "../../etc"},
        {"spreads": {}},
        {"names": ["one"]},
        {"valence": {"gamma": -1.0, "noise": 0.1, "width": 1.0}},
        {"valence": {"gamma": 1.0, "noise": 0.1}},
        {"more": 1},
        {"values": {"r": "high"}},
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(UsageError, match="does not describe a reader of photographs"):
            load_head(tmp_path)
    path.write_text(json.dumps(good).replace("0.", "NaN, 0.", 1))
    with pytest.raises(UsageError):
        load_head(tmp_path)
    for change in ({"spreads": {**good["spreads"], "more": 1.0}}, {"names": good["names"][:-1]}):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(EmoSymError, match=r"lacks a block|does not fit its description"):
            load_head(tmp_path)
    path.write_text(json.dumps(good))
    numbers = tmp_path / "photo.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:-1] + b"\x01")
    with pytest.raises(EmoSymError, match=r"is not the file that photo\.json was written"):
        load_head(tmp_path)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    head = fitted()
    bad = replace(head, ratings=np.where(head.ratings > 5, np.nan, head.ratings))
    save_head(tmp_path, bad, "efficientnet-lite1", "a" * 64, "ours", {})
    with pytest.raises(EmoSymError, match="NaN"):
        load_head(tmp_path)
