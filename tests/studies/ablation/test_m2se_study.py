"""The study of two stages, one, or one a task: equal examples, and a run of it at toy size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.forks import forking

from emosym.config.load import RECIPES
from emosym.config.recipes import M2seRecipe
from emosym.studies.ablation.grid import Study, jobs_of, load_study, recipe_of
from emosym.studies.ablation.study import run_study
from emosym.types import ECPE, ERI, FER, IMAGE_EMOTION, MER, MSA

STUDY = RECIPES / "m2se-study.yaml"
SMALL = (
    "optim.steps=2", "optim.batch_size=2", "optim.log_every=1", "optim.checkpoint_every=2",
    "optim.bf16=false", "evaluate_every=2", "lora.r=2",
)  # fmt: skip


def examples(recipe: M2seRecipe) -> dict[str, float]:
    """How many dialogues, pictures and reasons a run learns each task from, on average."""
    rows = recipe.optim.steps * recipe.optim.batch_size
    share = 0.5 if recipe.also else 1.0  # sets of equal size
    found = dict.fromkeys(recipe.tasks, rows * share)
    if ECPE in found:
        found[ECPE] *= recipe.causes_share
    return found | dict.fromkeys(recipe.spoken, recipe.optim.steps * recipe.spoken_batch)


@pytest.mark.parametrize("full", [False, True])
def test_every_arm_has_as_many_examples_of_a_task(tmp_path: Path, full: bool) -> None:
    study = load_study(STUDY, full)
    jobs = {job.name: job for job in jobs_of(study, tmp_path / "jobs", tmp_path / "data")}
    assert len(jobs) == 50
    told: dict[str, dict[str, float]] = {}
    for job in jobs.values():
        recipe = recipe_of(job)
        assert isinstance(recipe, M2seRecipe)
        assert recipe.evaluate_every == recipe.optim.steps  # no best weights are chosen
        told[job.arm] = examples(recipe)
    two = {**told["two_stages"]}
    for task in (MER, MSA, FER):
        two[task] += told["one"][task]
    half = study.data.dialogues.train / 2
    assert two == {MER: 2 * half, MSA: 2 * half, FER: 2 * half, ECPE: half, ERI: half}
    assert told["joint"] == two
    for task in (MER, MSA, FER, ECPE, ERI):
        assert told[task] == {task: two[task]}
    assert told["alone"] == {IMAGE_EMOTION: study.data.train}
    assert told["both"][IMAGE_EMOTION] == study.data.train == half
    folders = {str(recipe_of(job).data.root) for job in jobs.values()}
    assert folders == {str(tmp_path / "data"), str(tmp_path / "dialogues")}
    assert {expected.margin for expected in study.expect} == {0.01, 0.03, 0.05}


def tiny(base: Path) -> Study:
    """One arm of each kind: the others are runs of a part of these tasks."""
    stages = load_study(STUDY).stages
    changes = [f"stages.{stage}.{key}" for stage in stages for key in SMALL]
    changes += [f"stages.{stage}.spoken_batch=1" for stage in ("second", "joint", "reasons")]
    changes += [f"base={json.dumps(str(base))}", "seeds=1", "reasons=2"]
    changes += [f"data.{key}" for key in ("train=16", "val=16", "test=16")]
    changes += [f"data.dialogues.{key}" for key in ("train=8", "val=4", "test=4")]
    raw = load_study(STUDY, overrides=changes).model_dump()
    tasks = next(part for part in raw["parts"] if part["name"] == "tasks")
    for arm in ("mer", "msa", "fer", "ecpe"):
        del tasks["arms"][arm]
    left = {*tasks["arms"], "alone", "both"}
    raw["expect"] = [one for one in raw["expect"] if one["second"] in left]
    return Study.model_validate(raw)


@pytest.mark.slow  # six runs train, one after the other
def test_the_study_runs_whole(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one worker is a fork."""
    monkeypatch.setattr("emosym.studies.ablation.pool.get_context", lambda method: forking())
    said: list[str] = []
    table = run_study(tiny(tiny_base), tmp_path, 1, said.append)
    tasks, pictures = table["parts"]
    rows = {row["arm"]: set(row["values"]) for row in (*tasks["rows"], *pictures["rows"])}
    heads = {"mer_accuracy", "msa_acc7", "fer_micro_f1", "ecpe_pair_f1", "ecpe_predicted_pair_f1"}
    heads |= {"mer_weighted_f1", "ecpe_self_and_previous_pair_f1"}
    for arm in ("two_stages", "joint"):
        assert heads | {"reasons_names_cause", "reasons_other_names_cause"} <= rows[arm]
    assert rows["eri"] == {"reasons_names_cause", "reasons_other_names_cause"}
    assert rows["alone"] == {"image_accuracy"} and "image_accuracy" in rows["both"]
    assert tasks["metric"] == "mer_accuracy" and table["n_dialogues"] == 4
    assert len(tasks["expectations"]) == 6
    assert all(one["n"] == 1 and one["difference"] is not None for one in tasks["expectations"])
    page = (tmp_path / "report.html").read_text()
    assert "4 test conversations" in page and "cause pairs, emotions given: F1 (%)" in page
    before = (tmp_path / "table.json").read_text()
    again = run_study(tiny(tiny_base), tmp_path, 1, said.append)
    assert again["parts"] == table["parts"] and before
    assert "6 jobs, 6 of them done" in said[-1]
