"""Probes, directions and shares by hand; the whole is in tests/apps/test_inspect.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emosym.errors import UsageError
from emosym.evaluation.inside.effects import _share
from emosym.evaluation.inside.inspection import halves
from emosym.evaluation.inside.linear import probe_accuracy, probe_table
from emosym.evaluation.inside.steering import directions, draw_targets


def test_a_probe_reads_what_lies_on_a_line_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    states, labels = rng.normal(size=(200, 6)), rng.integers(0, 3, 200)
    held = states.copy()
    held[np.arange(200), labels] += 6.0
    first, second = slice(0, 100), slice(100, 200)
    assert probe_accuracy(held[first], labels[first], held[second], labels[second]) > 0.95
    assert probe_accuracy(states[first], labels[first], states[second], labels[second]) < 0.55
    # two places, two depths; one of them is not known
    table = np.stack([held, states, states, held], axis=1).reshape(200, 2, 2, 6)
    table[:, 1, 0] = np.nan
    found = probe_table(table, labels, np.arange(100), np.arange(100, 200))
    assert found[0][0] is not None and found[0][0] > 0.95 and found[1][0] is None
    assert found[1][1] is not None and found[1][1] > 0.95


def test_directions_are_differences_of_means_and_random_ones_are_as_long() -> None:
    states = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 6.0], [4.0, 8.0]])[:, None, None]
    found = directions(states, np.array([0, 0, 1, 1]), 2, seed=0)
    # means (1, 0) and (4, 7), of all (2.5, 3.5)
    assert found.own[:, 0, 0].tolist() == [[-1.5, -3.5], [1.5, 3.5]]
    torch.testing.assert_close(found.random.norm(dim=-1), found.own.norm(dim=-1))
    pushes = found.of("own", np.array([1, 0, 1]), 0)
    assert pushes[:, 0].tolist() == [[1.5, 3.5], [-1.5, -3.5], [1.5, 3.5]]
    again = directions(states, np.array([0, 0, 1, 1]), 2, seed=0)
    assert torch.equal(again.random, found.random)
    labels = np.arange(80) % 8
    targets = draw_targets(labels, 8, 0)
    assert (targets != labels).all() and set(targets) == set(range(8))


def test_the_share_of_named_cues_that_go_with_an_emotion() -> None:
    belongs = {"scene": {"sea beach": np.array([True, False])}, "object": {}}
    belongs["object"] = {"bat": np.array([False, True]), "spider": np.array([False, True])}
    text = "At the sea beach there is a bat beside a spider."
    assert _share(text, 0, belongs) == pytest.approx(1 / 3)
    assert _share(text, 1, belongs) == pytest.approx(2 / 3)
    assert _share("Nothing.", 0, belongs) is None


def test_halves_hold_every_emotion_and_what_is_too_few_is_said() -> None:
    labels = np.repeat(np.arange(3), 5)
    first, second = halves(labels, ("a", "b", "c"), False, 0)
    assert np.bincount(labels[first]).tolist() == [2, 2, 2]
    assert sorted([*first, *second]) == list(range(15))
    for few, names, told in (
        (labels[:13], ("a", "b", "c"), "too few of c"),
        (np.append(labels, -1), ("a", "b", "c"), "some that have no label"),
    ):
        with pytest.raises(UsageError, match=told):
            halves(few, names, False, 0)
    with pytest.raises(UsageError, match="no probe tells one"):
        halves(labels, ("a", "b", "c"), True, 0)
