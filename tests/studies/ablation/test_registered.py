"""Pre-registration: committed before, unchanged after, and few tests corrected for their number."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.studies.ablation.makers import small

from emosym.config.load import RECIPES
from emosym.config.recipes import RlRecipe
from emosym.data.sources.open import open_dataset
from emosym.data.storybook import write_storybook
from emosym.errors import Diverged, UsageError
from emosym.files import read_json
from emosym.studies.ablation import jobs as jobs_module
from emosym.studies.ablation.grid import Job, Study, jobs_of, load_study, recipe_of
from emosym.studies.ablation.jobs import by_length, knows_nothing, run_job
from emosym.studies.ablation.primary import primary_rows
from emosym.studies.ablation.registered import REGISTERED, register
from emosym.studies.ablation.study import odd_jobs, results_of, run_study
from emosym.studies.ablation.words import primary_markdown
from emosym.training.stages.bandit import queries_of


def with_test(raw: dict[str, Any], **test: Any) -> dict[str, Any]:
    """A study of one primary test between the first two arms of its first part."""
    part = raw["parts"][0]
    first, second = list(part["arms"])[:2]
    raw = {key: value for key, value in raw.items() if key != "full"}
    own = {"text": "one over two", "part": part["name"], "first": first, "second": second}
    return {**raw, "primary": [{**own, **test}], "preregistered": True, "seeds_apart": True}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(("git", *who, *arguments), cwd=folder, check=True, capture_output=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A study in a repository, not committed yet."""
    git(tmp_path, "init", "-q")
    found = tmp_path / "study.yaml"
    found.write_text(yaml.safe_dump(with_test(small())))
    return found


def test_a_study_is_committed_before_its_first_run_and_does_not_change(path: Path) -> None:
    out = path.parent / "out"
    with pytest.raises(UsageError, match="not committed: commit it before"):
        register(load_study(path), path, out)
    git(path.parent, "add", path.name)
    git(path.parent, "commit", "-qm", "promised")
    first = register(load_study(path), path, out)
    assert first is not None and len(first["commit"]) == 40 and first["committed"][:2] == "20"
    assert register(load_study(path), path, out) == read_json(out / REGISTERED, "registration")
    with pytest.raises(UsageError, match="changed after its first run"):
        register(load_study(path, overrides=["paintings=21"]), path, out)
    path.write_text(yaml.safe_dump(with_test(small(), smallest=0.01)))
    with pytest.raises(UsageError, match="changed after its first run"):
        register(load_study(path), path, out)
    with pytest.raises(UsageError, match="differs from its commit"):
        register(load_study(path), path, path.parent / "other")
    with pytest.raises(UsageError, match="is run from its file"):
        run_study(load_study(path), out, 1, print)
    plain = path.parent / "plain.yaml"
    plain.write_text(yaml.safe_dump(small()))
    assert register(load_study(plain), plain, out) is None


def test_seeds_of_draw_order_and_weights_are_apart(path: Path) -> None:
    study = load_study(path)
    trained = [job for job in jobs_of(study, Path("out"), Path("data")) if job.raw is not None]
    for job in trained:
        assert job.raw is not None
        assert (job.raw["seed"], job.raw["data"]["draw"]) == (job.seed, 100_000 + job.seed)
        assert job.raw["optim"]["order"] == 200_000 + job.seed


def measured(study: Study, gaps: list[float]) -> dict[str, dict[str, float]]:
    test = study.primary[0]
    found = {}
    for seed, gap in enumerate(gaps):
        for arm, value in ((test.first, 0.5 + gap), (test.second, 0.5)):
            found[f"{test.part}/{arm}/labels-100/seed-{seed}"] = {"accuracy": value}
    return found


def test_primary_tests_are_judged_and_corrected(path: Path) -> None:
    raw = with_test(small())
    raw["primary"] = [
        raw["primary"][0],
        {**raw["primary"][0], "kind": "not_lower", "margin": 0.02},
        {**raw["primary"][0], "metric": "ood_accuracy"},
    ]
    study = Study.model_validate({**raw, "all_seeds": 4})
    rows = primary_rows(study, measured(study, [0.11, 0.13, 0.12, 0.12]))
    assert [row["verdict"] for row in rows] == ["shown", "shown", "not measured"]
    assert rows[0]["mean"] == pytest.approx(0.12) and rows[0]["n"] == 4
    # three were promised: the smaller p counts three times, the missing one as 1
    assert rows[1]["p_holm"] == pytest.approx(3 * rows[1]["p"])
    assert rows[0]["p_holm"] == pytest.approx(2 * rows[0]["p"]) and rows[2]["p_holm"] == 1.0
    small_gap = primary_rows(study, measured(study, [0.01, -0.01, 0.0, 0.005]))
    assert small_gap[0]["verdict"] == "not shown; an effect that matters is excluded"
    assert small_gap[0]["power"] > 0.99
    wide = primary_rows(study, measured(study, [0.3, -0.2, 0.1, 0.0]))
    assert wide[0]["verdict"] == "not shown"
    told = "\n".join(primary_markdown({"primary": rows, "diverged": {"a": "loss"}}))
    assert "one over two" in told and "+12.0" in told and "a diverged" in told


def test_an_arm_that_diverges_is_a_row(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise Diverged("align: the loss is nan at step 3.")

    monkeypatch.setattr(jobs_module, "run_recipe", diverge)
    data = tmp_path / "data"
    write_storybook(tmp_path / "tales", {"train": 4, "val": 2, "test": 40}, 32, 0, level="tales")
    study = load_study(path, overrides=["stages.align.data.level=tales"])
    job = next(j for j in jobs_of(study, tmp_path / "jobs", data) if j.measure == "reading")
    found = run_job(job, tmp_path / "jobs", data, tmp_path / "none", 0)
    assert found["values"]["accuracy"] == found["values"]["accuracy_long"] == 1 / 8
    assert found["values"]["diverged"] == 1.0 and found["values"]["nll"] == pytest.approx(np.log(8))
    assert run_job(job, tmp_path / "jobs", data, tmp_path / "none", 0) == found
    odd = odd_jobs(results_of([job], tmp_path))
    assert odd["diverged"] == {job.name: "align: the loss is nan at step 3."}
    assert odd["made_otherwise"] == {} and odd["made_with"] == found["made_with"]


def test_seeds_of_another_version_are_said(tmp_path: Path) -> None:
    jobs = [Job("p", "a", 1.0, seed, "reading", {}, None) for seed in range(3)]
    for job, version in zip(jobs, ("1 x", "1 x", "1 y"), strict=True):
        folder = tmp_path / "jobs" / job.name
        folder.mkdir(parents=True)
        (folder / "measured.json").write_text(f'{{"values": {{}}, "made_with": "{version}"}}')
    odd = odd_jobs(results_of(jobs, tmp_path))
    assert odd["made_with"] == "1 x" and odd["made_otherwise"] == {jobs[2].name: "1 y"}
    told = "\n".join(primary_markdown(odd))
    assert "was made with 1 y, the others with 1 x" in told


def test_accuracy_by_the_number_of_sentences(tmp_path: Path) -> None:
    write_storybook(tmp_path / "t", {"train": 4, "val": 2, "test": 60}, 32, 1, level="tales")
    test = open_dataset("storybook", tmp_path / "t", "test")
    lengths = np.array([len(sample.attributes["tale"]) for sample in test])
    found = by_length(lengths == 3, test)
    assert found["accuracy_3"] == 1.0 and found["accuracy_2"] == found["accuracy_short"] == 0.0
    assert found["accuracy_long"] == pytest.approx((lengths == 3).sum() / (lengths > 2).sum())
    write_storybook(tmp_path / "a", {"train": 4, "val": 2, "test": 4}, 32, 1, level="appraisal")
    pictures = open_dataset("storybook", tmp_path / "a", "test")
    assert by_length(np.ones(4, bool), pictures) == {}
    assert "accuracy_long" not in knows_nothing({"test": tmp_path / "a"})


def test_the_packaged_study_of_appraisals_makes_valid_recipes() -> None:
    study = load_study(RECIPES / "appraisal-study.yaml")
    jobs = jobs_of(study, Path("out"), Path("runs/data"))
    trained = [job for job in jobs if job.raw is not None]
    # arms of primary tests and what they start from; exploratory ones, by how many seeds they have
    assert len(trained) == 8 * (5 + 3 + 3 + 2) + 3 * (3 + 7 + 2 + 6) + 2 * 2
    roots = {job.part: str(job.raw["data"]["root"]) for job in trained if job.raw is not None}
    assert roots == dict.fromkeys(("tell", "rationale", "rl"), "runs/data") | {
        "chain": "runs/tales"
    }
    assert {test.kind for test in study.primary} == {"higher", "not_lower"}
    recipes = {job.arm: recipe_of(job) for job in trained if job.part == "rl"}
    assert len({recipe.optim.steps for recipe in recipes.values()}) == 1
    asked = {arm: queries_of(one) for arm, one in recipes.items() if isinstance(one, RlRecipe)}
    assert asked.pop("labels") == 0
    assert set(asked) == {"grpo", "whole", "answers", "exact", "star", "revealed", "random"}
    assert len(set(asked.values())) == 1 and asked["grpo"] > 0
