from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.memory.makers import entry, reading

from emosym.emotions import LABEL_SPACES
from emosym.errors import EmoSymError, UsageError
from emosym.files import write_json
from emosym.memory.bank import Bank, BankRules


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank.open(tmp_path / "bank", create=True)


def test_an_empty_bank_answers_every_question(bank: Bank, tmp_path: Path) -> None:
    assert (len(bank), bank.version(), bank.versions(), bank.read()) == (0, 0, [], [])
    assert bank.nearest(np.ones(16), 3) == []
    assert bank.stats()["entries"] == 0
    assert bank.stats()["emotions"]["awe"]["confidence"] is None
    assert bank.prune(0) == ()
    bank.reclaim()
    assert bank.add([]).admitted == ()
    with pytest.raises(UsageError, match="nothing to export"):
        bank.export(tmp_path / "out")


def test_read_filters_and_keeps_the_order_of_adding(bank: Bank) -> None:
    bank.add([entry(5, 1, 0.9), entry(2, 0, 0.5)])
    bank.add([entry(9, 1, 0.4, round=1)])
    assert [e.id for e in bank.read()] == ["e5", "e2", "e9"]
    assert [e.id for e in bank.read(emotion="awe")] == ["e5", "e9"]
    assert [e.id for e in bank.read(rounds=[1, 3])] == ["e9"]
    assert [e.id for e in bank.read(min_confidence=0.5)] == ["e5", "e2"]
    assert [e.id for e in bank.read(limit=1, offset=1)] == ["e2"]
    assert [e.id for e in bank.read(ids=["e9", "x' OR '1'='1"])] == ["e9"]
    assert bank.read(ids=[]) == bank.read(rounds=[]) == []
    found = bank.columns(["id", "probabilities", "round"], emotion="awe")
    assert found["round"].tolist() == [0, 1]
    np.testing.assert_allclose(found["probabilities"][1], reading(1, 0.4), atol=1e-6)
    with pytest.raises(UsageError, match="Did you mean 'sadness'"):
        bank.read(emotion="sadnes")


def test_nearest_is_by_cosine(bank: Bank) -> None:
    features = ([1.0, 0.0], [3.0, 4.0], [0.0, 1.0])
    bank.add([entry(i, i % 2, feature=np.array(f)) for i, f in enumerate(features)])
    found = bank.nearest(np.array([0.0, 7.0]), 2)
    assert [e.id for e, _ in found] == ["e2", "e1"]
    assert [s for _, s in found] == pytest.approx([1.0, 0.8], abs=1e-6)
    assert [e.id for e, _ in bank.nearest(np.array([0.0, 7.0]), 2, emotion="awe")] == ["e1"]
    for wrong in (np.ones(3), np.zeros(2), np.array([np.nan, 1.0])):
        with pytest.raises(UsageError, match="2 finite numbers"):
            bank.nearest(wrong, 1)


def test_rules_in_order_with_a_reason_for_each_refusal(bank: Bank) -> None:
    twin = np.eye(16)[0]
    bank.add([entry(0, 0, feature=twin)])
    batch = [
        entry(1, 0, 0.6, feature=twin * 2),  # resembles e0
        entry(2, 0, 0.7),  # agrees, tells less than e3
        entry(3, 0, 0.6),  # agrees, tells most
        entry(4, 0, 0.9),  # agrees, tells least: over the quota
        entry(5, 0, probabilities=reading(1, 0.9)),  # read as awe
        entry(6, 1, 0.6, feature=twin),  # resembles e0, but is awe
        entry(0, 0),
    ]
    rules = BankRules(quota="per_bank", quota_size=3, near_duplicate=0.95)
    report = bank.add(batch, rules)
    assert report.admitted == ("e3", "e6", "e2")
    assert report.refused == {
        "e0": "already in the bank or batch",
        "e1": "near-duplicate of e0",
        "e4": "over the quota (per_bank)",
        "e5": "not agree_informative",
    }
    stored = bank.get("e3").policies
    assert stored == ("admission=agree_informative", "quota=per_bank:3", "near_duplicate=0.95")
    again = bank.add(batch, rules)
    assert again.admitted == ()
    assert again.version == report.version


def test_capacity_evicts_after_adding(bank: Bank) -> None:
    bank.add([entry(i, 0, created=f"2026-01-0{i + 1}T00:00:00Z") for i in (2, 0, 1)])
    report = bank.add([entry(7, 1)], BankRules("train_on", capacity=2))
    assert report.evicted == ("e0", "e1")
    assert [e.id for e in bank.read()] == ["e2", "e7"]
    # Equal times: the order of adding decides.
    bank.add([entry(i, 2) for i in (20, 21, 22)])
    assert bank.prune(4, "oldest") == ("e20",)
    assert bank.prune(1, "lowest_confidence")[-1] != "e22" or len(bank) == 1


def test_versions_stay_readable_until_reclaimed(bank: Bank) -> None:
    bank.add([entry(0), entry(1)])
    bank.add([entry(2)])
    bank.prune(1)
    assert [v.entries for v in bank.versions()] == [2, 3, 1]
    old = bank.at(1)
    assert [e.id for e in old.read()] == ["e0", "e1"]
    assert (len(old), old.version()) == (2, 1)
    with pytest.raises(EmoSymError, match="stays at version 1"):
        old.add([entry(5)])
    with pytest.raises(UsageError, match="no version 9"):
        bank.at(9)
    bank.reclaim(timedelta(hours=1))
    assert [e.id for e in bank.at(1).read()] == ["e0", "e1"]
    with pytest.warns(UserWarning, match="older version"):
        bank.reclaim(timedelta(0))
    assert len(bank.versions()) == 1
    assert [e.id for e in bank.read()] == ["e2"]


def test_nothing_is_written_when_one_entry_does_not_fit(bank: Bank) -> None:
    bank.add([entry(0)])
    wrong_size = entry(2, feature=np.ones(3))
    wrong_latents = entry(3, context_latents=np.ones((3, 6)))
    regrouped = entry(4, emotion_latent=np.ones(12), context_latents=np.ones((1, 12)))
    for batch in ([entry(1), wrong_size], [entry(1), wrong_latents], [regrouped], [wrong_size]):
        for rules in (BankRules("train_on"), BankRules("train_on", near_duplicate=0.9)):
            with pytest.raises(UsageError, match="other sizes"):
                bank.add(batch, rules)
    for rules in (BankRules("best"), BankRules(quota="x"), BankRules(eviction="x", capacity=1)):
        with pytest.raises(UsageError, match=r"Unknown .* policy"):
            bank.add([entry(1)], rules)
    assert (len(bank), bank.version()) == (1, 1)


def test_open_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bank\.json is missing"):
        Bank.open(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        Bank.open(tmp_path, create=True)
    with pytest.raises(UsageError, match="not a memory bank"):
        Bank.open(tmp_path / "notes.txt", create=True)
    started = tmp_path / "started"
    started.mkdir()
    (started / ".tmp-x.json").write_text("{")  # what a kill while creating leaves
    meld = LABEL_SPACES["meld7"]
    assert Bank.open(started, create=True, space=meld).space == meld
    assert Bank.open(started, create=True).space == meld
    with pytest.raises(UsageError, match="meld7, not in mikels8"):
        Bank.open(started, space=LABEL_SPACES["mikels8"])
    write_json(started / "bank.json", {"format": "emosym.bank/9"})
    with pytest.raises(UsageError, match="not of format"):
        Bank.open(started)


def test_export_is_an_image_folder_whole_or_absent(bank: Bank, tmp_path: Path) -> None:
    made = [entry(0, 1), entry(1, 6, 0.7), entry(2, 1)]
    bank.add(made)
    out = tmp_path / "a" / "out"
    assert bank.export(out) == 3
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["awe/e0.png", "fear/e1.png", "awe/e2.png"]
    assert rows[1]["probabilities"]["fear"] == pytest.approx(0.7)
    assert rows[1]["seed"] == 1
    with Image.open(out / rows[1]["file_name"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), made[1].pixels())
    with pytest.raises(UsageError, match="not an empty folder"):
        bank.export(out)
    (tmp_path / "empty").mkdir()
    assert bank.export(tmp_path / "empty", emotion="fear") == 1
    assert sorted(p.name for p in (out.parent).iterdir()) == ["out"]


def test_stats_by_hand(bank: Bank) -> None:
    wrong = entry(2, 1, probabilities=reading(0, 0.8))
    bank.add([entry(0, 1, 0.6), entry(1, 1, 0.4), wrong])
    bank.add([entry(3, 4, 0.5, round=2, run="other")])
    found = bank.stats()
    awe = found["emotions"]["awe"]
    assert awe["count"] == 3
    assert awe["confidence"] == pytest.approx((0.6 + 0.4 + 0.8) / 3)
    assert awe["agreement"] == pytest.approx((0.6 + 0.4 + 0.2 / 7) / 3)
    assert awe["agreeing"] == pytest.approx(2 / 3)
    assert found["rounds"] == {"0": 3, "2": 1}
    assert found["runs"] == {"demo": 3, "other": 1}
    assert (found["entries"], found["version"], found["versions"]) == (4, 2, 2)
    json.dumps(found, allow_nan=False)


def test_get_by_the_start_of_an_id(bank: Bank) -> None:
    bank.add([entry(0, id="abc1"), entry(1, id="abd"), entry(2, id="ab")])
    assert bank.get("abc").id == "abc1"
    assert bank.get("ab").id == "ab"
    with pytest.raises(UsageError, match="3 ids start with 'a'"):
        bank.get("a")
    with pytest.raises(UsageError, match="Did you mean 'abc1'"):
        bank.get("abcc1")
    with pytest.raises(UsageError, match="Unknown bank entry ''"):
        bank.get("")
