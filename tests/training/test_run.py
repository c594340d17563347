"""`emosym train`: finished runs are not run again, and another recipe is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from emosym.config.load import dump_recipe, resolve_recipe
from emosym.config.recipes import AlignRecipe
from emosym.data.storybook import write_storybook
from emosym.errors import EmoSymError, UsageError
from emosym.locks import one_writer
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
    first = resolve_recipe(raw, "test")
    artefact, values = run_recipe(first, progress=False)
    assert isinstance(first, AlignRecipe)
    card = (artefact / "README.md").read_text()
    assert f"```yaml\n# align\n{dump_recipe(first).strip()}\n```" in card
    assert f"reasons in {first.latents.num_context_tokens} context token(s)" in card
    commit = json.loads((artefact / "emosym.json").read_text())["git"]
    assert commit is None or f"commit `{commit}`" in card
    written = (artefact / "emosym.json").stat().st_mtime_ns
    assert set(values) == {"accuracy", "brier", "nll"}
    again, same = run_recipe(resolve_recipe(raw, "test"), progress=False)
    assert again == artefact and same == values
    assert (artefact / "emosym.json").stat().st_mtime_ns == written
    (tmp_path / "run" / "finished.json").write_text('{"accuracy": ')  # torn: it ends once more
    assert run_recipe(first, progress=False) == (artefact, values)
    assert json.loads((tmp_path / "run" / "finished.json").read_text()) == values
    other = resolve_recipe({**raw, "seed": 1}, "test")
    with pytest.raises(UsageError, match="another recipe"):
        run_recipe(other, progress=False)


def test_a_run_that_failed_before_its_first_step_does_not_block_the_folder(tmp_path: Path) -> None:
    raw = {"stage": "align", "out": str(tmp_path / "run"), "data": {"root": str(tmp_path / "dta")}}
    wrong, other = (resolve_recipe({**raw, "seed": seed}, "test") for seed in (0, 1))
    for recipe in (wrong, other):
        with pytest.raises(UsageError, match="dta"):
            run_recipe(recipe, progress=False)
    assert (tmp_path / "run" / "recipe.yaml").read_text() == dump_recipe(other)
    (tmp_path / "run" / "state" / "step-00000001").mkdir(parents=True)
    with pytest.raises(UsageError, match="another recipe"):
        run_recipe(wrong, progress=False)


@pytest.fixture
def begun(tmp_path: Path) -> dict[str, Any]:
    """A recipe whose folder holds work; it stops before training, since its data are not there."""
    out = tmp_path / "run"
    raw = {"stage": "rl", "out": str(out), "data": {"root": str(tmp_path / "no")}, "init": "none"}
    (out / "state" / "step-00000001").mkdir(parents=True)
    (out / "recipe.yaml").write_text(dump_recipe(resolve_recipe(dict(raw), "test")))
    return raw


def refusal(raw: dict[str, Any], kind: type[EmoSymError] = UsageError) -> str:
    with pytest.raises(kind) as refused:
        run_recipe(resolve_recipe(raw, "test"), progress=False)
    return str(refused.value)


def test_a_recipe_of_an_older_version_goes_on(begun: dict[str, Any]) -> None:
    written = Path(begun["out"]) / "recipe.yaml"
    older = yaml.safe_load(written.read_text())
    del older["shuffled_labels"], older["optim"]["gradient_checkpointing"], older["data"]["workers"]
    del older["rewards"]
    older["reward"] = "accuracy"
    written.write_text(yaml.safe_dump(older))
    assert "another recipe" not in refusal(begun)  # it came as far as its checkpoint
    assert written.read_text() == dump_recipe(resolve_recipe(begun, "test"))


def test_a_folder_that_was_moved_goes_on(begun: dict[str, Any], tmp_path: Path) -> None:
    Path(begun["out"]).rename(tmp_path / "moved")
    assert "another recipe" not in refusal({**begun, "out": str(tmp_path / "moved")})


def test_what_differs_is_named_key_by_key(begun: dict[str, Any]) -> None:
    other = {**begun, "optim": {"lr": 0.5}, "rewards": {"vad": 1.0}, "seed": 3}
    before = (Path(begun["out"]) / "recipe.yaml").read_text()
    said = refusal(other)
    for change in (
        "optim.lr was 0.001 and is 0.5",
        "rewards.accuracy was 1.0 and is None",
        "rewards.vad was None and is 1.0",
        "seed was 0 and is 3",
    ):
        assert change in said
    assert "beta" not in said and "out was" not in said
    assert (Path(begun["out"]) / "recipe.yaml").read_text() == before


@pytest.mark.parametrize("content", [b"", b"stage: [", b"stage: rl\nout: x\nnews: 1", b"\xff"])
def test_a_recipe_that_cannot_be_read_is_not_gone_on_from(
    begun: dict[str, Any], content: bytes
) -> None:
    (Path(begun["out"]) / "recipe.yaml").write_bytes(content)
    assert "another recipe" in refusal(begun)


def test_one_run_folder_has_one_trainer(begun: dict[str, Any]) -> None:
    with one_writer(Path(begun["out"]), "running the demo"):
        said = refusal(begun, EmoSymError)
    assert f"process {os.getpid()} on " in said and "running the demo there since" in said
    assert "is in use" not in refusal(begun)
