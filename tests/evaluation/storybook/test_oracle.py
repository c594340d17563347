from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emosym.data.sources.open import open_dataset
from emosym.data.storybook import posterior_of, write_storybook
from emosym.data.storybook.writer import image_id
from emosym.errors import UsageError
from emosym.evaluation.storybook.oracle import Oracle, best_achievable, oracle_of


def test_a_storybook_has_an_oracle_and_other_data_has_none(tmp_path: Path) -> None:
    counts = {"train": 2, "val": 2, "test": 6}
    write_storybook(tmp_path / "book", counts, size=32, seed=5, workers=1)
    book = open_dataset("storybook", tmp_path / "book", "test")
    some = book.subset(np.asarray([4, 1]))
    found = oracle_of(some)
    assert found is not None
    assert [image_id(story) for story in found.stories] == list(some.ids())
    assert found.posterior == pytest.approx(np.stack([posterior_of(s) for s in found.stories]))
    assert oracle_of(book.subset(np.asarray([], dtype=np.int64))) is None
    assert oracle_of(replace(book, root=tmp_path)) is None  # the pictures of no known seed


def test_what_belongs_follows_the_storybook_groups() -> None:
    oracle = Oracle((), np.empty((0, 8)))
    tables = oracle.belongs({"face": ("mouth turned up, brows level",), "hat": ("cap",)})
    assert set(tables) == {"face"}
    # Amusement, contentment and excitement smile; no other emotion does.
    assert tables["face"][:, 0].tolist() == [True, False, True, True, False, False, False, False]


def test_the_best_achievable_by_hand() -> None:
    posterior = np.full((4, 8), 0.1 / 7)
    posterior[np.arange(4), np.arange(4)] = 0.9
    values = best_achievable(posterior, [0, 1, 2, 7])  # the world itself was unlucky once
    assert values["best_accuracy"] == 0.75
    assert values["best_nll"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.1 / 7)) / 4)
    right = 0.1**2 + 7 * (0.1 / 7) ** 2
    wrong = 0.9**2 + (1 - 0.1 / 7) ** 2 + 6 * (0.1 / 7) ** 2
    assert values["best_brier_multiclass"] == pytest.approx((3 * right + wrong) / 4)
    with pytest.raises(UsageError, match="same length"):
        best_achievable(posterior, [0, 1])
