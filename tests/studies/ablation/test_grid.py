"""A study's grid: which jobs it comes to, what they start from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.studies.ablation.makers import small

from emosym.config.load import RECIPES
from emosym.config.recipes import AlignRecipe, RlRecipe
from emosym.errors import UsageError
from emosym.studies.ablation.grid import (
    jobs_of,
    laid_over,
    load_study,
    nested,
    recipe_of,
    seeds_of,
)


def written(folder: Path, raw: dict[str, Any]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_a_study_comes_to_one_job_for_each_arm_fraction_and_seed(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, small()))
    jobs = {job.name: job for job in jobs_of(study, tmp_path / "jobs", tmp_path / "data")}
    # ours 3 + 2, none 2 + 2, rl: two arms with two seeds
    assert len(jobs) == 5 + 4 + 4
    job = jobs["align/none/labels-50/seed-1"]
    recipe = recipe_of(job)
    assert isinstance(recipe, AlignRecipe)
    assert (recipe.rationale, recipe.optim.steps, recipe.lora.r) == ("none", 5, 2)
    assert (recipe.seed, recipe.data.label_fraction) == (1, 0.5)
    assert recipe.data.root == tmp_path / "data" and recipe.init == "storybook-base"
    assert recipe.out == tmp_path / "jobs" / job.name and job.after is None
    later = jobs["rl/grpo/labels-100/seed-1"]
    rl = recipe_of(later)
    assert isinstance(rl, RlRecipe) and rl.objective == "grpo"
    assert later.after == "align/ours/labels-100/seed-1"
    assert rl.init == str(tmp_path / "jobs" / later.after / "checkpoint")
    assert jobs["rl/start/labels-100/seed-0"].raw is None


def test_an_arm_has_its_own_stage_start_and_measure(tmp_path: Path) -> None:
    raw = small()
    raw["stages"]["answer"] = {"stage": "rl", "objective": "supervised"}
    raw["parts"].append(
        {
            "name": "later", "title": "", "stage": "answer", "question": "?", "base": "ours",
            "init": "align/ours", "fractions": [0.5],
            "arms": {
                "ours": {"label": "", "init": "align/ours/labels-100", "measure": "nothing"},
                "fresh": {"label": "", "init": "", "stage": "align"},
                "usual": {"label": ""},
            },
        }
    )  # fmt: skip
    study = load_study(written(tmp_path, raw))
    jobs = {job.name: job for job in jobs_of(study, tmp_path, tmp_path)}
    ours, fresh, usual = (jobs[f"later/{a}/labels-50/seed-1"] for a in ("ours", "fresh", "usual"))
    assert (ours.after, ours.measure) == ("align/ours/labels-100/seed-1", "nothing")
    recipe = recipe_of(ours)
    assert isinstance(recipe, RlRecipe) and recipe.objective == "supervised"
    assert recipe.data.label_fraction == 0.5
    assert fresh.after is None and isinstance(recipe_of(fresh), AlignRecipe)
    assert (usual.after, usual.measure) == ("align/ours/labels-50/seed-1", "reading")


def test_full_and_overrides_lie_on_top(tmp_path: Path) -> None:
    path = written(tmp_path, small())
    assert load_study(path).stages["align"]["optim"]["steps"] == 3
    full = load_study(path, full=True, overrides=["stages.align.lora.r=4"])
    assert full.all_seeds == 4
    ours = full.parts[0].arms["ours"]
    assert [len(seeds_of(s, ours, 0.5)) for s in (load_study(path), full)] == [3, 4]
    assert full.stages["align"] == {"lora": {"r": 4}, "optim": {"steps": 30}}


def test_sections_are_merged_and_nothing_is_shared() -> None:
    below = {"a": {"b": 1, "c": 2}, "d": 3}
    found = laid_over(below, nested({"a.b": 5, "e.f.g": 6}))
    assert found == {"a": {"b": 5, "c": 2}, "d": 3, "e": {"f": {"g": 6}}}
    assert below == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"parts.0.base": "nine"}, "'none'"),
        ({"parts.1.init": "align/our"}, "'ours'"),
        ({"parts.1.init": "alig/ours"}, "'align'"),
        ({"parts.0.stage": "aligm"}, "'align'"),
        ({"parts.0.arms.ours.stage": "aligm"}, "'align'"),
        ({"parts.0.arms.ours.init": "align/our"}, "'ours'"),
        ({"parts.0.arms.ours.init": "align/none/labels-7"}, "labels-7/seed-0, which is not"),
        ({"expect.0.second": "non"}, "'none'"),
        ({"expect.0.part": "ail"}, "Unknown part"),
        ({"parts.0.arms.none.set": {"rationale": "nome"}}, "'none'"),
        ({"parts.0.arms.none.set": {"optim.stepz": 1}}, "'steps'"),
        ({"parts.1.arms.grpo.seeds": 5}, "align/ours/labels-100/seed-2"),
        ({"stude": 1}, "stude"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    raw: Any = small()
    for dotted, value in change.items():
        *where, last = dotted.split(".")
        target = raw
        for key in where:
            target = target[int(key)] if key.isdigit() else target[key]
        target[last] = value
    with pytest.raises(UsageError, match=told):
        load_study(written(tmp_path, raw))


def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study"):
        load_study(tmp_path / "nothing.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_study(tmp_path / "bad.yaml")
    with pytest.raises(UsageError, match="key=value"):
        load_study(written(tmp_path, small()), overrides=["seeds"])


@pytest.mark.parametrize("full", [False, True])
def test_the_packaged_study_makes_valid_recipes(tmp_path: Path, full: bool) -> None:
    study = load_study(RECIPES / "ablation.yaml", full)
    jobs = jobs_of(study, tmp_path, tmp_path)
    assert len({job.name for job in jobs}) == len(jobs) > 0
    assert study.data.test >= 4000 and study.expect
