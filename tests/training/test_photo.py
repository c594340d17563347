"""Photographs from rated pictures to readings in the shell, with an encoder of random weights."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from tests.apps.conftest import command
from tests.models.photo.makers import published_weights, rated_pictures

from emosym.config.load import load_recipe
from emosym.errors import EmoSymError, UsageError
from emosym.models.photo.convert import convert_lite
from emosym.models.photo.head import Kernel, LeftOut
from emosym.models.photo.names import reads_photographs
from emosym.pipelines.photo import PhotoReader
from emosym.service.affect_rows import KEYS, NUMBERS
from emosym.training.photo import colours_of, covered, dealt, left_out, of_colours, open_rated
from emosym.training.run import run_recipe

__all__ = ("command",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder in its cache, rated pictures, and a run on them."""
    root = tmp_path_factory.mktemp("photo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOSYM_CACHE", str(root / "cache"))
        source = published_weights(root / "published.pth")
        convert_lite(source, root / "cache" / "models" / "efficientnet-lite1")
        rated_pictures(root / "oasis")
        recipe = load_recipe("photo", [f"root={root / 'oasis'}", f"out={root / 'run'}"])
        _, values = run_recipe(recipe, progress=False)
        assert run_recipe(recipe, progress=False)[1] == values  # a finished run is not run again
        assert values["pictures"] == 24 and values["valence_r"] > 0.8
    return root


@pytest.fixture(autouse=True)
def cache(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSYM_CACHE", str(trained / "cache"))


def test_themes_are_left_out_whole(trained: Path) -> None:
    rated = open_rated(trained / "oasis")
    assert len(set(rated.themes)) == 8 and rated.themes[0] == "ThingA"
    assert rated.names[:2] == ("ThingA 1", "ThingA 2")
    folds = dealt(rated.themes, 3, 0)
    assert set(folds) == {0, 1, 2}
    for theme in set(rated.themes):
        assert len(set(folds[rated.themes == theme])) == 1
    assert len(set(dealt(rated.themes, 0, 0))) == 8
    assert not np.array_equal(folds, dealt(rated.themes, 3, 1))
    predictions = list(csv.DictReader((trained / "run" / "predictions.csv").open()))
    assert len(predictions) == 24 and predictions[0]["theme"] == "ThingA"
    values = json.loads((trained / "run" / "finished.json").read_text())
    for name in ("valence", "arousal"):
        held = [
            float(p[f"{name}_low"]) <= float(p[name]) <= float(p[f"{name}_high"])
            for p in predictions
        ]
        assert np.mean(held) == pytest.approx(values[f"{name}_interval_holds"])


def test_the_kernel_is_chosen_without_the_group_that_it_predicts() -> None:
    rng = np.random.default_rng(0)
    blocks, groups = {"a": rng.normal(size=(12, 4))}, np.repeat(np.arange(4), 3)
    kernels = [Kernel(0.5, 0.1), Kernel(1.5, 1.0)]
    ratings = rng.normal(size=12)
    before = left_out(blocks, ratings, groups, kernels)
    changed = ratings.copy()
    changed[groups == 2] += 50  # what is left out never reaches its own prediction
    after = left_out(blocks, changed, groups, kernels)
    np.testing.assert_allclose(after.predicted[groups == 2], before.predicted[groups == 2])
    assert not np.allclose(after.predicted[groups == 1], before.predicted[groups == 1])


def test_an_interval_is_as_wide_as_other_groups_say() -> None:
    left = LeftOut(np.zeros(40), np.ones(40))
    groups = np.repeat(np.arange(4), 10)
    ratings = np.tile(np.arange(1.0, 11.0), 4)
    # of the 30 sizes of the others, thrice 1..10, the ceil(31 * .9) = 28th is 10
    assert covered(left, ratings, groups).all()
    ratings[groups == 3] = 11.0
    # its own sizes do not count for it, and what others have does not reach 11
    assert not covered(left, ratings, groups)[groups == 3].any()


def test_colours_alone() -> None:
    shares = colours_of(np.array([[[0, 0, 0], [255, 255, 255]], [[0, 0, 0], [64, 0, 0]]]))
    assert shares[0] == 0.5 and shares[63] == 0.25 and shares[16] == 0.25 and len(shares) == 64
    groups = np.repeat(np.arange(6), 2)
    colours = np.stack([np.linspace(0, 1, 12), np.zeros(12)], axis=1)
    found = of_colours(colours, 3 * colours[:, 0], groups)
    assert np.corrcoef(found, colours[:, 0])[0, 1] > 0.95


def test_a_reading_has_ratings_intervals_and_neighbours(trained: Path) -> None:
    reader = PhotoReader.from_pretrained(trained / "run" / "checkpoint")
    path = trained / "oasis" / "images" / "ThingG 2.png"
    found = reader.understand(path)
    assert found.nearest[0].name == "ThingG 2" and found.nearest[0].distance < 1e-3
    assert found.valence_low <= found.valence <= found.valence_high <= 7.0
    assert found.valence > 5 and found.arousal < 3.5 and not found.outside
    dull = reader.understand(trained / "oasis" / "images" / "ThingA 1.png")
    assert dull.valence < 2.5 and dull.arousal > 5 and dull.valence_low >= 1.0
    many = dict(reader.understand_many({"a": path, "b": b"nothing"}))
    assert many["a"].valence == pytest.approx(found.valence, abs=1e-3)
    assert "b" in many["b"].error


def test_the_shell_reads_photographs(command, trained: Path, tmp_path: Path) -> None:
    model = trained / "run" / "checkpoint"
    folder = tmp_path / "mine"
    shutil.copytree(trained / "oasis" / "images", folder)
    (folder / "torn.png").write_bytes(b"\x89PNG torn")
    outs = {kind: tmp_path / f"r.{kind}" for kind in ("csv", "json", "parquet")}
    named = [word for kind, path in outs.items() for word in (f"--{kind}", path)]
    code, shown, err = command("understand", folder, "-m", model, *named)
    assert code == 0, err
    assert "24 read; 1 could not be read" in " ".join(shown.split())
    rows = json.loads(outs["json"].read_text())
    good = next(row for row in rows if row["source"].endswith("ThingG 2.png"))
    assert good["valence_9"] == pytest.approx(1 + (good["valence"] - 1) * 8 / 6)
    assert good["nearest"][0] == "ThingG 2" and good["error"] is None and "emotion" not in good
    bad = next(row for row in rows if row["error"])
    assert bad["valence"] is None and bad["source"].endswith("torn.png")
    table = list(csv.DictReader(outs["csv"].open(newline="")))
    assert list(table[0]) == list(good) and len(table) == 25
    assert parquet.read_table(outs["parquet"]).column_names == list(good)

    one = folder / "ThingB 1.png"
    code, shown, _ = command("understand", one, "-m", model)
    told = " ".join(shown.split())
    assert code == 0 and "valence (pleasantness)" in told and "ThingB 1" in told
    code, _, err = command("understand", folder / "torn.png", "-m", model)
    assert code == 2 and "torn.png" in err
    code, _, err = command("understand", one, "-m", model, "--explain")
    assert code == 2 and "without words for why" in err


def test_a_stopped_reading_goes_on(command, trained: Path, tmp_path: Path) -> None:
    model, out = trained / "run" / "checkpoint", tmp_path / "r.csv"
    pictures = sorted((trained / "oasis" / "images").glob("ThingA*.png"))
    ask = ("understand", *pictures, "-m", model, "--csv", out)
    about = {"model": str(model), "reads": "photographs"}
    row = {"source": str(pictures[0]), "nearest": ["kept"], "outside": False}
    whole = dict.fromkeys(KEYS) | dict.fromkeys(NUMBERS, 6.5) | row
    (tmp_path / "r.csv.rows").write_text(json.dumps(about) + "\n" + json.dumps(whole) + "\n")
    assert command(*ask)[0] == 2
    code, _, err = command(*ask, "--resume")
    assert code == 0, err
    rows = list(csv.DictReader(out.open(newline="")))
    assert [row["source"] for row in rows] == [str(path) for path in pictures]
    assert rows[0]["nearest"] == "kept" and rows[0]["valence"] == "6.5"
    assert float(rows[1]["valence"]) < 4


def test_what_cannot_be_is_said(trained: Path, tmp_path: Path, monkeypatch) -> None:
    assert reads_photographs("photo") and not reads_photographs("storybook")
    assert reads_photographs(trained / "run" / "checkpoint") and not reads_photographs(None)
    with pytest.raises(UsageError, match="holds no reader of photographs; train one by"):
        PhotoReader.from_pretrained(tmp_path)
    few = rated_pictures(tmp_path / "few", themes=3)
    with pytest.raises(UsageError, match="have 3 themes"):
        open_rated(few)
    other = tmp_path / "cache" / "models" / "efficientnet-lite1"
    convert_lite(published_weights(tmp_path / "other.pth", 1), other)
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EmoSymError, match="made with other weights than the efficientnet-lite1"):
        PhotoReader.from_pretrained(trained / "run" / "checkpoint")
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="emosym models get photo"):
        PhotoReader.from_pretrained(trained / "run" / "checkpoint")
