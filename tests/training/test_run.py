"""`emosym train`: finished runs are not run again, and another recipe is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.config import resolve_recipe
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError
from emosym.training.run import run_recipe


def test_a_finished_run_returns_at_once_and_another_recipe_is_refused(
    tmp_path: Path, tiny_base: Path
) -> None:
    root = tmp_path / "data"
    write_storybook(root, {"train": 16, "val": 8, "test": 2}, size=64, seed=5, workers=1)
    raw = {
        "stage": "align",
        "out": str(tmp_path / "run"),
        "init": str(tiny_base),
        "data": {"root": str(root), "workers": 1},
        "optim": {"steps": 1, "batch_size": 4, "checkpoint_every": 1, "log_every": 1},
    }
    artefact, values = run_recipe(resolve_recipe(raw, "test"), progress=False)
    written = (artefact / "emosym.json").stat().st_mtime_ns
    assert set(values) == {"accuracy", "brier", "nll"}
    again, same = run_recipe(resolve_recipe(raw, "test"), progress=False)
    assert again == artefact and same == values
    assert (artefact / "emosym.json").stat().st_mtime_ns == written
    other = resolve_recipe({**raw, "seed": 1}, "test")
    with pytest.raises(UsageError, match="another recipe"):
        run_recipe(other, progress=False)
