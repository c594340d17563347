"""Texts with several labels: all above their thresholds are shown, written and measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet
from tests.apps.conftest import command
from tests.training.stages.test_m2se import base

from emosym.apps.cli.understand_text import texts_of
from emosym.data.sources.open import open_dataset
from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.models.calibration import Calibration, fit_several, uncalibrated
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import new_model, with_calibration
from emosym.models.presets import resolve_base
from emosym.models.reader.talks import talks_of
from emosym.training.stages.sets import TalkSet
from emosym.training.stages.talk_values import held_out_sets

__all__ = ("base", "command")
SPACE = LABEL_SPACES["goemotions7"]
ROWS = ("Look, the sun.\t17\tx1", "Oh!\t18,26\tx2", "I see.\t27\tx3", "Hm. Hm.\t2\tx4")


def thresholds(*said: str) -> Calibration:
    """The calibration by which these labels are always said, and no other ever."""
    limits = tuple(0.0 if label in said else 1.0 for label in SPACE.labels)
    return replace(uncalibrated(SPACE), thresholds=limits)


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("several")
    fresh = new_model(resolve_base(str(base), painter="none"), 1, False, "turns", 3, SPACE)
    for name, said in (("two", ("joy", "surprise")), ("none", ())):
        save_checkpoint(with_calibration(fresh, thresholds(*said)), folder / name)
    return {name: folder / name for name in ("two", "none")}


def test_all_labels_above_their_thresholds(command, models, tmp_path: Path) -> None:
    outs = {kind: tmp_path / f"r.{kind}" for kind in ("csv", "json", "parquet")}
    named = [word for kind, path in outs.items() for word in (f"--{kind}", path)]
    code, shown, _ = command("understand", "--text", "Oh!", "-m", models["two"], *named)
    (told,) = json.loads(outs["json"].read_text())
    assert code == 0 and sorted(told["labels"]) == ["joy", "surprise"]
    shares = told["probabilities"]
    assert told["labels"] == sorted(told["labels"], key=lambda label: -shares[label])
    assert told["emotion"] == told["labels"][0] and told["reason"] is None
    assert told["confidence"] == shares[told["emotion"]]
    assert ", ".join(told["labels"]) in shown
    (row,) = csv.DictReader(outs["csv"].open(newline=""))
    assert row["labels"] == ";".join(told["labels"])
    assert float(row["p_joy"]) == pytest.approx(shares["joy"])
    table = parquet.read_table(outs["parquet"]).to_pylist()
    assert table[0]["labels"] == row["labels"] and table[0]["emotion"] == told["emotion"]


def test_it_is_calibrated_to_other_texts(command, models, tmp_path: Path) -> None:
    # comments whose labels follow their words, so that each label's threshold can tell them
    rows = [ROWS[number % 4].replace("\tx", f"\ty{number}_") for number in range(40)]
    (tmp_path / "dev.tsv").write_text("".join(f"{row}\n" for row in rows))
    ask = ("calibrate", models["two"], "--data", tmp_path, "--source", "goemotions")
    code, shown, err = command(*ask, "--out", tmp_path / "new", "--target", 0.01)
    assert code == 0, err
    assert "40 readings; each of the 7 labels has a scale and a shift" in " ".join(shown.split())
    old, new = (load_checkpoint(path).calibration for path in (models["two"], tmp_path / "new"))
    model = load_checkpoint(models["two"])
    dataset = open_dataset("goemotions", tmp_path, "val", SPACE)
    (held,) = held_out_sets(
        model.reader, [TalkSet(SPACE, (), (), talks_of(model.reader, dataset))]
    ).values()
    by_hand = fit_several(held.logits, held.truth, 0.01)
    assert old.n == 0 and new.n == 40 and new.method == "platt"
    # other batches round logits otherwise, and the fit passes that on enlarged
    assert new.scale == pytest.approx(by_hand.scale, rel=1e-4)
    assert new.bias == pytest.approx(by_hand.bias, rel=1e-4)
    assert new.thresholds == pytest.approx(by_hand.thresholds)
    assert new.abstain_below == pytest.approx(by_hand.abstain_below)
    code, shown, err = command(*ask, "--out", tmp_path / "kept", "--keep-probabilities")
    assert code == 0 and "the probabilities are as they were" in " ".join(shown.split())
    assert load_checkpoint(tmp_path / "kept").calibration.thresholds == old.thresholds
    (tmp_path / "dev.tsv").write_text("Oh!\t18\tz\n")
    code, _, err = command(*ask, "--out", tmp_path / "few")
    assert code == 2 and "needs 10 labelled samples or more, got 1" in err


def test_where_none_reaches_its_threshold(command, models, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    code, shown, _ = command("understand", "--text", "Oh!", "-m", models["none"], "--json", out)
    (told,) = json.loads(out.read_text())
    assert code == 0 and told["labels"] == [] and told["reason"] == "below its threshold"
    assert told["confidence"] == max(told["probabilities"].values())
    assert "(below its threshold)" in " ".join(shown.split())
    turns = tmp_path / "d.json"
    turns.write_text('["Oh!", "I see."]')
    code, shown, _ = command("understand", turns, "-m", models["none"])
    assert code == 0 and "threshold" in shown


def test_a_column_of_a_table(command, models, tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "r.json"
    table.write_text('id,Comment\n1,"Oh, the sun!"\n2,\n3,Hm.\n')
    code, _, _ = command(
        *("understand", "--text-file", table, "--text-column", "comment"),
        *("-m", models["two"], "--json", out),
    )
    rows = json.loads(out.read_text())
    assert code == 0 and [row["source"] for row in rows] == ["Oh, the sun!", "", "Hm."]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    with pytest.raises(UsageError, match="Did you mean 'Comment'"):
        texts_of((), table, "coment")
    with pytest.raises(UsageError, match=r"give --text-file FILE\.csv"):
        texts_of(("Oh!",), None, "comment")


def test_it_is_measured_in_one_pass(command, models, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("".join(f"{row}\n" for row in ROWS))
    out, answers = tmp_path / "r.json", tmp_path / "a.parquet"
    code, shown, err = command(
        *("evaluate", models["two"], "--data", tmp_path, "--source", "goemotions"),
        *("--tasks", "text", "--out", out, "--predictions", answers),
    )
    assert code == 0, err
    values = json.loads(out.read_text())["values"]
    # joy and surprise, said of all four: 3 hits, 8 said, 5 true
    assert values["micro_f1"] == pytest.approx(6 / 13)
    # joy 2 * 2 / (4 + 2), surprise 2 * 1 / (4 + 1), neutral and anger never said
    assert values["macro_f1"] == pytest.approx((2 / 3 + 2 / 5) / 4)
    assert values["chance_average_precision"] == pytest.approx((2 + 1 + 1 + 1) / 4 / 4)
    assert 0 < values["mean_average_precision"] <= 1 and "constant_macro_f1" in shown
    rows = parquet.read_table(answers).to_pylist()
    assert [row["truth"] for row in rows] == ["joy", "joy, surprise", "neutral", "anger"]
    assert {row["prediction"] for row in rows} == {"joy, surprise"}
    # 2 * 1 / (2 + 1), all, none, none
    assert [row["score"] for row in rows] == pytest.approx([2 / 3, 1, 0, 0])
