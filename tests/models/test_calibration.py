"""A checkpoint's calibration: chosen on held-out logits, kept whole, refused when damaged."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.checkpoints import as_format_1, described_in

from emosym.emotions import MIKELS8, LabelSpace
from emosym.errors import UsageError
from emosym.metrics.calibration import apply_temperature, nll_of_logits
from emosym.metrics.scaling import apply_vector
from emosym.models.calibration import (
    Calibration,
    calibrated,
    calibration_row,
    checked_calibration,
    fit_calibration,
    fit_several,
    named,
    said_labels,
    stored_calibration,
    uncalibrated,
    with_abstention,
)
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import with_calibration
from emosym.models.reader.reasoner import think
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_reading import open_pictures, read_pictures


def drawn(count: int, scale: float | np.ndarray, bias: float | np.ndarray, seed: int = 0):
    """Logits (N, 8) and labels drawn from softmax(scale * logits + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (count, 8))
    shares = apply_vector(logits, np.broadcast_to(scale, 8), np.broadcast_to(bias, 8))
    return logits, np.array([rng.choice(8, p=row) for row in shares])


def test_one_temperature_is_kept_where_it_is_enough() -> None:
    logits, labels = drawn(400, 0.5, 0.0)
    found = fit_calibration(logits, labels)
    assert found.method == "temperature" and found.n == 400
    assert found.temperature == pytest.approx(2.0, rel=0.15)
    assert np.array_equal(calibrated(logits, found), apply_temperature(logits, found.temperature))
    assert found.scale is not None and len(found.scale) == 8  # both are kept


def test_vector_scaling_is_used_where_classes_differ() -> None:
    bias = np.array([2.0, 0, 0, 0, -2.0, 0, 0, 0])
    logits, labels = drawn(1000, 0.6, bias)
    found = fit_calibration(logits, labels)
    assert found.method == "vector"
    assert found.vector_nll is not None and found.temperature_nll is not None
    assert found.vector_nll < found.temperature_nll
    fresh, answers = drawn(1000, 0.6, bias, seed=1)
    mapped = np.log(calibrated(fresh, found))
    assert nll_of_logits(mapped, answers) < nll_of_logits(fresh, answers, found.temperature)


def test_the_threshold_keeps_its_word_on_what_it_was_chosen_on() -> None:
    logits, labels = drawn(2000, 0.7, 0.0)
    found = fit_calibration(logits, labels, target=0.9)
    shares = calibrated(logits, found)
    answered = shares.max(axis=1) >= found.abstain_below
    right = (shares.argmax(axis=1) == labels)[answered].mean()
    assert found.target == 0.9 <= right == pytest.approx(found.accuracy)
    assert answered.mean() == pytest.approx(found.coverage) and 0 < found.coverage < 1
    # on pictures of the same kind it holds but for chance: 4 standard errors of some 1,000 answers
    fresh, answers = drawn(4000, 0.7, 0.0, seed=1)
    shares = calibrated(fresh, found)
    kept = shares.max(axis=1) >= found.abstain_below
    assert (shares.argmax(axis=1) == answers)[kept].mean() > 0.9 - 4 * (0.09 / kept.sum()) ** 0.5
    hopeless = with_abstention(found, np.zeros((50, 8)), np.arange(50) % 8)
    assert (hopeless.abstain_below, hopeless.coverage, hopeless.target) == (None, None, 0.95)


def test_few_pictures_are_not_cross_validated() -> None:
    logits, labels = drawn(9, 1.0, 0.0)
    found = fit_calibration(logits, labels)
    assert (found.method, found.vector_nll, found.abstain_below) == ("temperature", None, None)


def test_a_checkpoint_keeps_it_whole_and_reads_by_it(tiny_checkpoint, tiny_pictures, tmp_path):
    model = load_checkpoint(tiny_checkpoint)
    kept = Calibration(
        1.3,
        "vector",
        tuple(np.linspace(0.5, 2.0, 8).tolist()),
        tuple(np.linspace(-1.0, 1.0, 8).tolist()),
        *(0.7, 0.6, 500, 0.8123, 0.95, 0.61, 0.955),
    )
    save_checkpoint(with_calibration(model, kept), tmp_path / "kept")
    again = load_checkpoint(tmp_path / "kept")
    assert again.calibration == kept and again.temperature == 1.3
    assert described_in(tmp_path / "kept")["calibrations"]["mikels8"]["temperature"] == 1.3
    pictures = [Image.fromarray(p) for p in tiny_pictures.pictures[:3]]
    with torch.no_grad():
        thought = think(again.reader.reasoner, open_pictures(again.reader, pictures)[0])
        logits = again.reader.reasoner.logits(thought.emotion_latent).double().numpy()
    for reading, row in zip(read_pictures(again, pictures), logits, strict=True):
        by_hand = np.exp((row - row.mean()) * kept.scale + kept.bias)
        by_hand /= by_hand.sum()
        assert list(reading.probabilities.values()) == pytest.approx(by_hand.tolist(), rel=1e-5)
        assert reading.confidence == pytest.approx(by_hand.max(), rel=1e-5)
        assert reading.abstains is (reading.confidence < 0.8123)
        raw = np.exp(row) / np.exp(row).sum()
        assert list(reading.raw_probabilities.values()) == pytest.approx(raw.tolist(), rel=1e-5)
    assert EmoSymPipeline(again).abstain_below == 0.8123


def test_an_older_checkpoint_has_its_temperature_alone(tiny_checkpoint, tmp_path) -> None:
    old = as_format_1(Path(shutil.copytree(tiny_checkpoint, tmp_path / "old")))
    described = described_in(old)
    del described["calibration"]
    (old / "emosym.json").write_text(json.dumps(described))
    model = load_checkpoint(old)
    assert model.calibration == Calibration(1.7)
    reading = read_pictures(model, [Image.new("RGB", (64, 64))])[0]
    assert reading.abstains is None
    raw = np.array(list(reading.raw_probabilities.values())) ** (1 / 1.7)
    assert list(reading.probabilities.values()) == pytest.approx(raw / raw.sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "vektor"}, "Did you mean 'vector'"),
        ({"method": "vector"}, "lacks scale or bias"),
        ({"method": "platt", "scale": [1.0] * 8}, "lacks scale or bias or thresholds"),
        ({"thresholds": [0.5] * 7 + [1.5]}, "cannot hold 1.5"),
        ({"scale": [1.0] * 7}, "scale needs 8 numbers"),
        ({"scale": [float("nan")] * 8}, "cannot hold nan"),
        ({"bias": ["a"] * 8}, "cannot hold 'a'"),
        ({"temperature": 0}, "cannot hold 0"),
        ({"temperature": None}, "cannot hold None"),
        ({"abstain_below": "low"}, "cannot hold 'low'"),
        ({"more": 1}, "'more' is missing or odd"),
    ],
)
def test_a_damaged_one_is_refused(change: dict[str, object], message: str) -> None:
    row = {**calibration_row(Calibration(1.5)), **change}
    described = {"label_space": "mikels8", "temperature": 1.5, "calibration": row}
    with pytest.raises(UsageError, match=message):
        stored_calibration(described, "emosym.json")
    with pytest.raises(UsageError, match="'calibration' is missing or odd"):
        stored_calibration({**described, "calibration": 3}, "emosym.json")
    whole = json.loads(json.dumps(calibration_row(Calibration(1.5))))
    assert stored_calibration({**described, "calibration": whole}, "x") == Calibration(1.5)


def test_several_labels_have_a_threshold_each() -> None:
    moods = LabelSpace("moods", ("glee", "dread"), several=True)
    plain = uncalibrated(moods)
    np.testing.assert_allclose(calibrated([[0.0, np.log(3)]], plain), [[0.5, 0.75]])
    shares = np.array([[0.6, 0.7], [0.6, 0.4], [0.4, 0.3]])
    assert said_labels(shares, plain).tolist() == [[True, True], [True, False], [False, False]]
    assert named(shares, plain).tolist() == [1, 0, 0]
    # what reaches its own threshold is named before what is more probable and does not
    low = replace(plain, thresholds=(0.9, 0.2))
    assert named(shares, low).tolist() == [1, 1, 1]
    assert uncalibrated(MIKELS8) == Calibration()


def test_several_labels_are_calibrated_one_by_one() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 2.0, (600, 2))
    chances = 1 / (1 + np.exp(-logits * [0.5, 1.0] + [1.0, 0.0]))
    truth = (rng.random((600, 2)) < chances).astype(float)
    found = fit_several(logits, truth, target=0.8)
    assert found.method == "platt" and found.n == 600 and len(found.thresholds or ()) == 2
    np.testing.assert_allclose(
        calibrated(logits, found).mean(axis=0), truth.mean(axis=0), atol=0.01
    )
    # the abstention threshold holds for the label that is named
    shares = calibrated(logits, found)
    top, rows = named(shares, found), np.arange(600)
    answered = shares[rows, top] >= found.abstain_below
    assert answered.mean() == pytest.approx(found.coverage)
    assert (
        truth[rows, top][answered].mean() == pytest.approx(found.accuracy) and found.accuracy >= 0.8
    )
    whole = json.loads(json.dumps(calibration_row(found)))
    assert checked_calibration(whole, 2, "x") == found
