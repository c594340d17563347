"""Shipping a checkpoint: the copy is smaller, opens, and its card is of its own run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.description import sealed
from emosym.models.presets import WEIGHTS

SCRIPT = Path(__file__).parent.parent / "scripts" / "ship_weights.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("ship_weights", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_card_has_the_recipes_and_the_numbers_of_the_run(script, tmp_path: Path) -> None:
    source = tmp_path / "run" / "checkpoint"
    shutil.copytree(WEIGHTS / "storybook", source)
    (source.parent / "finished.json").write_text(json.dumps({"accuracy": 0.4321}))
    script.ship_checkpoint(source, tmp_path / "shipped")
    model = load_checkpoint(tmp_path / "shipped")
    card = (tmp_path / "shipped" / "README.md").read_text()
    assert "| accuracy | 0.4321 |" in card
    assert len(model.recipes) == len(model.stages) == 4
    for stage, recipe in zip(model.stages, model.recipes, strict=True):
        assert f"```yaml\n# {stage}\n{recipe.strip()}\n```" in card
    trained_at = json.loads((source / "emosym.json").read_text())["git"]
    assert f"commit `{trained_at}`" in card


def test_what_is_shipped_says_when_to_abstain(script, tmp_path: Path) -> None:
    shipped = load_checkpoint(WEIGHTS / "storybook").calibration
    assert shipped.abstain_below is not None and 0.125 < shipped.abstain_below < 1
    assert shipped.target is not None and shipped.accuracy is not None
    assert shipped.accuracy >= shipped.target and shipped.n >= 1000
    source = Path(shutil.copytree(WEIGHTS / "storybook", tmp_path / "run" / "checkpoint"))
    described = json.loads((source / "emosym.json").read_text())
    (calibration,) = described["calibrations"].values()
    calibration["abstain_below"] = None
    (source / "emosym.json").write_text(json.dumps(sealed(described)))
    with pytest.raises(UsageError, match="below which confidence to abstain"):
        script.ship_checkpoint(source, tmp_path / "shipped")


def test_a_checkpoint_on_another_base_is_refused(
    script, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not on storybook-base"):
        script.ship_checkpoint(tiny_checkpoint, tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()
