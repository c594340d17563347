"""What a handle keeps in memory is what a fresh handle reads, after any of its own commits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.memory.makers import entry

from emosym.errors import EmoSymError, UsageError
from emosym.memory.bank import Bank, BankRules
from emosym.memory.ledger import SCALARS, Column, Ledger

TWINS = BankRules("train_on", near_duplicate=0.99)


def same(kept: Ledger, fresh: Ledger) -> None:
    assert kept.version == fresh.version
    assert kept.ids.tolist() == fresh.ids.tolist()
    assert kept.known == fresh.known == set(kept.ids)
    np.testing.assert_array_equal(kept.intents, fresh.intents)
    for name in SCALARS:
        np.testing.assert_array_equal(kept.scalars(name), fresh.scalars(name))
    one, other = kept.kin(), fresh.kin()
    for emotion in other:
        for name in ("rows", "norms", "places"):
            np.testing.assert_array_equal(
                getattr(one[emotion], name), getattr(other[emotion], name)
            )
    assert all(len(one[emotion].rows) == 0 for emotion in one.keys() - other.keys())


def test_it_follows_adding_and_evicting(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    bank.add([entry(i, i % 3) for i in range(7)], TWINS)
    bank.prune(6)  # asks for times and scores, which are carried along from here on
    kept = bank.ledger()
    bank.add([entry(i, i % 4) for i in range(5, 120)], TWINS)
    bank.prune(40, "lowest_confidence")
    bank.add([entry(200, 5, created="2027-01-02T03:04:05.000006Z")], TWINS)
    assert bank.ledger() is kept, "it was read again although all commits were its own"
    same(kept, Bank.open(tmp_path / "bank").ledger())


def test_a_commit_by_another_handle_is_seen(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    bank.add([entry(0), entry(1)])
    other = Bank.open(tmp_path / "bank")
    assert other.ledger().ids.tolist() == ["e0", "e1"]
    bank.add([entry(2)])
    bank.prune(2)
    assert other.ledger().ids.tolist() == ["e1", "e2"]
    assert other.add([entry(1), entry(3)]).admitted == ("e3",)
    assert bank.add([entry(3)]).refused == {"e3": "already in the bank or batch"}


def test_features_of_a_newer_version_are_not_taken_for_its_own(tmp_path: Path) -> None:
    writer = Bank.open(tmp_path / "bank", create=True)
    writer.add([entry(0), entry(1)])
    reader = Bank.open(tmp_path / "bank")
    old = reader.ledger()
    writer.add([entry(2)])
    with pytest.raises(EmoSymError, match="changed meanwhile"):
        old.kin()
    assert len(reader.nearest(entry(0).feature, 9)) == 3


def test_twins_are_found_among_entries_added_before_and_since(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    first, second = np.eye(16)[0], np.eye(16)[1]
    bank.add([entry(0, feature=first)], TWINS)
    bank.add([entry(1, feature=second)], TWINS)
    report = bank.add([entry(2, feature=3 * first), entry(3, feature=second + 0.01)], TWINS)
    assert report.refused == {"e2": "near-duplicate of e0", "e3": "near-duplicate of e1"}
    bank.prune(1)  # e0 goes
    assert bank.add([entry(4, feature=first)], TWINS).admitted == ("e4",)
    exact = BankRules("train_on", near_duplicate=1.0)
    assert bank.add([entry(5, feature=7 * first)], exact).refused == {"e5": "near-duplicate of e4"}


def test_a_column_grows_and_shrinks() -> None:
    column = Column(np.arange(3))
    for value in range(3, 200):
        column.append(np.array([value]))
    assert column.rows.tolist() == list(range(200))
    column.keep(column.rows % 2 == 0)
    column.append(np.array([7, 9]))
    assert column.rows.tolist() == [*range(0, 200, 2), 7, 9]


def test_a_sample_is_seeded_and_of_the_emotion_asked_for(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    assert bank.sample(3, seed=0) == []
    bank.add([entry(i, i % 2) for i in range(20)])
    bank.add([entry(i, i % 2) for i in range(20, 40)])
    bank.prune(36)
    drawn = [e.id for e in bank.sample(12, seed=0)]
    assert len(set(drawn)) == 12
    assert drawn == [e.id for e in Bank.open(tmp_path / "bank").sample(12, seed=0)]
    assert drawn != [e.id for e in bank.sample(12, seed=0, turn=1)]
    held = {e.id: e for e in bank.read()}
    awe = bank.sample(100, seed=1, emotion="awe")
    assert {e.id for e in awe} == {name for name, e in held.items() if e.intent == "awe"}
    assert all(e.image == held[e.id].image for e in awe)
    columns = bank.sample_columns(["image", "intent_weights"], 12, seed=0)
    assert columns["image"].tolist() == [held[name].image for name in drawn]
    np.testing.assert_array_equal(
        columns["intent_weights"], np.stack([held[name].intent_weights for name in drawn])
    )
    assert bank.sample_columns(["feature"], 0, seed=0)["feature"].shape == (0, 0)
    assert bank.sample(0, seed=0) == bank.sample(-1, seed=0) == []
    with pytest.raises(UsageError, match="Did you mean 'awe'"):
        bank.sample(1, seed=0, emotion="awee")


def test_every_entry_is_drawn_in_time(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    bank.add([entry(i) for i in range(8)])
    seen = {e.id for turn in range(40) for e in bank.sample(2, seed=0, turn=turn)}
    assert seen == {f"e{i}" for i in range(8)}


def test_nearest_is_what_comparing_with_all_gives(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path / "bank", create=True)
    bank.add([entry(i, i % 3) for i in range(60)])
    bank.add([entry(60, 1, feature=np.zeros(16))])
    held = bank.read()
    query = entry(99).feature
    features = np.stack([e.feature for e in held]).astype(np.float64)
    lengths = np.maximum(np.linalg.norm(features, axis=1), 1e-9)
    cosine = features @ query / lengths / np.linalg.norm(query)
    order = np.argsort(-cosine)
    found = bank.nearest(query, 7)
    assert [e.id for e, _ in found] == [held[i].id for i in order[:7]]
    np.testing.assert_allclose([s for _, s in found], cosine[order[:7]], atol=1e-6)
    awe = [i for i in order if held[i].intent == "awe"]
    assert [e.id for e, _ in bank.nearest(query, 50, "awe")] == [held[i].id for i in awe]
    assert len(bank.nearest(query, 1000)) == len(bank) == 61
