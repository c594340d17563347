"""`emosym calibrate`: the same weights, another calibration, from labelled pictures alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from emosym.apps.cli.calibrate import told
from emosym.apps.cli.main import main
from emosym.data.storybook.writer import write_storybook
from emosym.evaluation.results.predictions import read_predictions
from emosym.models.calibration import Calibration, calibrated, fit_calibration
from emosym.models.checkpoint import load_checkpoint


@pytest.fixture
def book(tmp_path: Path) -> Path:
    write_storybook(tmp_path / "book", {"train": 1, "val": 40, "test": 12}, 64, 5)
    return tmp_path / "book"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emosym", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return (int(caught.value.code or 0), *capfd.readouterr())

    return command


def test_a_calibrated_checkpoint_reads_by_its_own_fit(
    run, book: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "calibrated"
    ask = ("calibrate", tiny_checkpoint, "--data", book, "--out", out)
    code, said, _ = run(*ask, "--target", 0.01)
    assert code == 0 and "40 readings; temperature" in said
    assert f"Wrote {out}" in said.replace("\n", "")
    old, new = load_checkpoint(tiny_checkpoint), load_checkpoint(out)
    assert old.calibration == Calibration(1.7)
    assert new.calibration.n == 40 and new.calibration.target == 0.01
    for name in ("reader", "mappers", "domain", "emotion_space"):
        one, other = (load_file(f / f"{name}.safetensors") for f in (tiny_checkpoint, out))
        assert all(np.array_equal(one[k].numpy(), other[k].numpy()) for k in one)

    # the readings before calibration hold all it takes to fit and to apply it
    results = []
    for folder, split in ((tiny_checkpoint, "val"), (out, "test")):
        path = tmp_path / f"{split}.parquet"
        code, _, _ = run(
            *("evaluate", folder, "--data", book, "--split", split),
            *("--out", tmp_path / f"{split}.json", "--predictions", path),
        )
        assert code == 0
        results.append(read_predictions(path))
    val, test = results
    by_hand = fit_calibration(np.log(val.raw), val.labels, 0.01)
    assert new.calibration.temperature == pytest.approx(by_hand.temperature, rel=1e-3)
    expected = calibrated(np.log(test.raw), new.calibration)
    np.testing.assert_allclose(test.calibrated, expected, rtol=1e-5)
    values = json.loads((tmp_path / "test.json").read_text())["values"]
    answered = expected.max(axis=1) >= new.calibration.abstain_below
    assert values["abstain_coverage"] == pytest.approx(answered.mean())
    assert {"ece_raw", "nll_raw", "brier_multiclass_raw"} <= set(values)


def test_only_the_threshold_is_new_where_the_probabilities_are_kept(
    run, book: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept"
    ask = ("calibrate", tiny_checkpoint, "--data", book, "--out", out, "--target", 0.01)
    code, said, _ = run(*ask, "--keep-probabilities")
    assert code == 0 and "40 readings; the probabilities are as they were." in said
    found = load_checkpoint(out).calibration
    assert found.abstain_below is not None and found.target == 0.01
    assert found == Calibration(
        1.7,
        n=40,
        target=0.01,
        abstain_below=found.abstain_below,
        coverage=found.coverage,
        accuracy=found.accuracy,
    )


def test_what_cannot_be_calibrated_is_said_first(
    run, book: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    ask = ("calibrate", tiny_checkpoint, "--data", book, "--out")
    code, _, err = run(*ask, tmp_path / "x", "--target", 1.5)
    assert code == 2 and "at most 1, got 1.5" in err
    code, _, err = run(*ask, tmp_path / "x", "--split", "train")
    assert code == 2 and "needs 10 labelled samples or more, got 1" in err
    code, _, err = run(*ask, book)
    assert code == 2 and "is not a checkpoint" in err
    assert not (tmp_path / "x").exists()


def test_the_sentences() -> None:
    fitted = Calibration(2.0, "vector", temperature_nll=0.5, vector_nll=0.4, n=100, target=0.95)
    assert "0.5000 with it, 0.4000 with vector scaling: vector scaling is used" in told(fitted)[0]
    assert "No confidence had 95.0%" in told(fitted)[1]
