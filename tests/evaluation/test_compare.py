"""Paired comparisons: by hand, and through the shell on real parts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from emosym.apps.cli.compare import compare
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.compare import compare_models, mcnemar, sample_scores, verdict
from emosym.metrics.intervals import Interval


def test_scores_by_hand() -> None:
    calibrated = np.array([[0.8, 0.2], [0.4, 0.6]])
    raw, votes = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    found = sample_scores(calibrated, raw, np.array([0, 0]), votes)
    assert found["accuracy"].tolist() == [1.0, 0.0]
    np.testing.assert_allclose(found["brier"], [0.08, 0.72])
    np.testing.assert_allclose(found["brier_raw"], [0.02, 0.5])
    np.testing.assert_allclose(found["nll_raw"], -np.log([0.9, 0.5]))
    np.testing.assert_allclose(found["votes_brier"], [0.08, 0.02])
    np.testing.assert_allclose(found["votes_brier_raw"], [0.02, 0.0])
    assert "votes_brier" not in sample_scores(calibrated, raw, np.array([0, 0]), None)


def test_mcnemar_by_hand() -> None:
    first = np.array([1, 1, 1, 1, 1, 0, 1, 0])
    second = np.array([0, 0, 0, 0, 0, 1, 1, 0])  # five lost, one won
    assert mcnemar(first, second) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar(first, first) == 1.0


def test_verdicts_know_the_direction() -> None:
    up, down = Interval(0.02, 0.01, 0.03), Interval(-0.02, -0.03, -0.01)
    assert verdict("accuracy", up) == "better" and verdict("accuracy", down) == "worse"
    assert verdict("brier_raw", up) == "worse" and verdict("brier_raw", down) == "better"
    assert verdict("nll_raw", Interval(-0.02, -0.05, 0.01)) == "no difference shown"


def test_the_shell_compares_a_model_with_itself(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_storybook(tmp_path / "book", {"train": 2, "val": 2, "test": 12}, 64, 5, 1)
    name, out = str(tiny_checkpoint), tmp_path / "new" / "compare.json"
    compare(name, name, tmp_path / "book", "test", "storybook", 10, out, 0, 4, 1, "cpu")
    shown = capsys.readouterr().out
    assert shown.count("no difference shown") >= 5
    result = json.loads(out.read_text())
    assert result["n"] == 10 and result["values"]["accuracy_difference"] == 0.0
    assert result["values"]["brier_raw_first"] == result["values"]["brier_raw_second"]


def test_label_spaces_must_be_the_same() -> None:
    one, two = (SimpleNamespace(space=SimpleNamespace(labels=n)) for n in (("awe",), ("fear",)))
    with pytest.raises(UsageError, match="different label spaces"):
        compare_models(cast(Any, one), cast(Any, two), cast(Any, None))
