"""Readings against raters' valence and arousal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import TinyPictures
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.data.sources.oasis import load_oasis
from emosym.data.sources.open import SOURCES
from emosym.errors import UsageError
from emosym.evaluation.ratings import evaluate_ratings, rated_only, to_rating_scale
from emosym.pipelines.trained import EmoSymPipeline


def rated(root: Path, pictures: TinyPictures, count: int = 6) -> Path:
    root.mkdir(exist_ok=True)
    lines = ["file,valence,arousal"]
    for index in range(count):
        Image.fromarray(pictures.pictures[index]).save(root / f"{index}.png")
        lines.append(f"{index}.png,{1 + index},{7 - index / 2}")
    (root / "ratings.csv").write_text("\n".join(lines))
    return root


def test_the_scales_meet_at_their_ends() -> None:
    assert to_rating_scale(np.array([1.0, 5.0, 9.0])).tolist() == [1.0, 4.0, 7.0]


def test_values_are_those_of_the_readings(
    tmp_path: Path, tiny_checkpoint: Path, tiny_pictures: TinyPictures
) -> None:
    dataset = load_oasis(rated(tmp_path, tiny_pictures))
    assert rated_only(dataset)
    pipeline = EmoSymPipeline.from_pretrained(str(tiny_checkpoint), "cpu")
    result = evaluate_ratings(pipeline, dataset, batch_size=4)
    norms = [pipeline.understand(dataset.picture(i)).valence_norm for i in range(6)]
    guess = 1 + (np.array(norms, dtype=float) - 1) * 0.75
    truth = np.arange(1.0, 7.0)
    values = result["values"]
    assert result["n"] == 6 and result["name"] == "ratings"
    assert values["valence_pearson"] == pytest.approx(np.corrcoef(guess, truth)[0, 1], abs=1e-4)
    assert values["valence_rmse"] == pytest.approx(np.sqrt(np.mean((guess - truth) ** 2)), abs=1e-4)
    with pytest.raises(UsageError, match="no two rated pictures"):
        evaluate_ratings(pipeline, dataset[:1])


def test_the_verb_measures_ratings(
    tmp_path: Path, tiny_checkpoint: Path, tiny_pictures: TinyPictures
) -> None:
    root, out = rated(tmp_path / "set", tiny_pictures), tmp_path / "r.json"
    arguments = ["evaluate", "-m", str(tiny_checkpoint), "--data", str(root), "--source", "oasis"]
    arguments += ["--split", "all", "--out", str(out), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "arousal_ccc" in done.output and "valence_pearson" in done.output
    assert json.loads(out.read_text())["n"] == 6
    refused = CliRunner().invoke(app, [*arguments, "--paint", "1"])
    assert isinstance(refused.exception, UsageError) and "no emotions" in str(refused.exception)
    wrong = CliRunner().invoke(app, [*arguments[:5], "--source", "osis", "--out", str(out)])
    assert isinstance(wrong.exception, UsageError)
    assert "Did you mean 'oasis'" in str(wrong.exception) and set(SOURCES) >= {"oasis", "hub"}
