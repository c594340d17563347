"""A study from data to table at the smallest size: side by side, resumed, and with a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forks import forking
from tests.studies.ablation.makers import small

from emosym.errors import EmoSymError, UsageError
from emosym.studies.ablation.grid import Job, Study, jobs_of
from emosym.studies.ablation.jobs import load_logits, run_job
from emosym.studies.ablation.pool import chain_lengths, in_order
from emosym.studies.ablation.study import of_primary_tests, run_study, with_ancestors


def tiny_study(base: Path, **changes: Any) -> Study:
    raw = {k: v for k, v in small().items() if k != "full"}
    raw["base"] = str(base)
    raw["data"] = {"train": 64, "val": 16, "test": 24, "ood": 16}
    optim = {"steps": 2, "batch_size": 4, "checkpoint_every": 10, "log_every": 1, "bf16": False}
    raw["stages"] = {
        "align": {"lora": {"r": 2}, "w_say": 0.1, "optim": optim},
        "rl": {"optim": optim},
    }
    raw["parts"][0]["fractions"] = [1.0]
    raw["parts"][0]["arms"]["ours"].pop("seeds")
    raw["parts"][0]["arms"]["none"]["set"] = {"rationale": "none"}
    return Study.model_validate({**raw, **changes})


def with_arms_that_fail(study: Study) -> Study:
    """The study with an arm that cannot run, and one that starts from it."""
    raw = study.model_dump()
    # without a context token there is nothing to align
    fails = {"label": "fails", "seeds": 1, "set": {"latents.num_context_tokens": 0}}
    raw["parts"][0]["arms"]["fails"] = fails
    raw["parts"][1]["arms"]["after"] = {"label": "after", "seeds": 1, "init": "align/fails"}
    return Study.model_validate(raw)


@pytest.mark.slow  # every arm of a study trains
def test_a_study_runs_side_by_side_and_goes_on(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs, whose workers are forks; in the second, a failure stops no other job."""
    monkeypatch.setattr("emosym.studies.ablation.pool.get_context", lambda method: forking())
    study, said = tiny_study(tiny_base), list[str]()
    first = run_study(study, tmp_path, 2, said.append, only=["align"])
    assert {row["arm"] for row in first["parts"][0]["rows"]} == {"ours", "none"}
    assert json.loads((tmp_path / "table.json").read_text())["parts"] == first["parts"]
    folder = tmp_path / "jobs" / "align" / "ours" / "labels-100" / "seed-0"
    before = (folder / "measured.json").stat().st_mtime_ns
    with pytest.raises(EmoSymError, match=r"2 of 8 jobs failed.*K = 0"):
        run_study(with_arms_that_fail(study), tmp_path, 1, said.append)
    assert (folder / "measured.json").stat().st_mtime_ns == before  # not run again
    assert any("8 jobs, 4 of them done" in line for line in said)
    assert sum("failed" in line for line in said) == 2
    table = json.loads((tmp_path / "table.json").read_text())
    rows = {row["arm"]: row for row in table["parts"][1]["rows"]}
    assert set(rows) == {"start", "grpo"} and rows["grpo"]["n"] == 2
    # the start of stage 2 is what stage 1 left behind
    ours = {row["arm"]: row for row in table["parts"][0]["rows"]}
    assert set(ours) == {"ours", "none"}
    for metric in ("accuracy", "brier_raw", "ood_nll"):
        assert rows["start"]["values"][metric]["mean"] == ours["ours"]["values"][metric]["mean"]
    assert not (folder / "state").exists() and (folder / "checkpoint").is_dir()

    # the same job alone, in this process: the same numbers
    job = next(j for j in jobs_of(study, tmp_path / "again", tmp_path / "data"))
    found = run_job(job, tmp_path / "again", tmp_path / "data", tmp_path / "ood", 1)
    theirs = json.loads((tmp_path / "jobs" / job.name / "measured.json").read_text())
    assert found["values"] == theirs["values"]
    one, other = (load_logits(tmp_path / f / job.name) for f in ("jobs", "again"))
    assert one["test"].shape == (24, 8) and one["ood"].shape == (16, 8)
    assert all(torch.equal(one[key], other[key]) for key in one)

    with pytest.raises(UsageError, match="other pictures"):
        run_study(tiny_study(tiny_base, data={"train": 65}), tmp_path, 1, said.append)
    with pytest.raises(UsageError, match="'align'"):
        run_study(study, tmp_path, 1, said.append, only=["aligm"])


def test_jobs_with_long_chains_go_first() -> None:
    def job(arm: str, after: str | None = None) -> Job:
        return Job("p", arm, 1.0, 0, "reading", {}, after)

    end = "/labels-100/seed-0"
    jobs = [job("a"), job("b"), job("c", f"p/b{end}"), job("d", f"p/c{end}")]
    assert chain_lengths(jobs) == {f"p/a{end}": 1, f"p/b{end}": 3, f"p/c{end}": 2, f"p/d{end}": 1}


def test_jobs_of_primary_tests_come_before_all_others(tiny_base: Path, tmp_path: Path) -> None:
    test = {"text": "grpo over before", "part": "rl", "first": "grpo", "second": "start"}
    study = tiny_study(tiny_base, primary=[test])
    jobs = jobs_of(study, tmp_path, tmp_path)
    first = of_primary_tests(study, jobs)
    wanted = {("rl", "grpo"), ("rl", "start"), ("align", "ours")}
    assert {(job.part, job.arm) for job in jobs if job.name in first} == wanted
    order = in_order(jobs, chain_lengths(jobs), first)
    ranks = [(job.name not in first, job.seed) for job in order]
    assert ranks == sorted(ranks) and ranks[0] == (False, 0) and ranks[-1] == (True, 1)


def test_a_part_comes_with_what_it_starts_from(tiny_base: Path, tmp_path: Path) -> None:
    jobs = jobs_of(tiny_study(tiny_base), tmp_path, tmp_path)
    wanted = {job.part + "/" + job.arm for job in with_ancestors(jobs, ["rl"])}
    assert wanted == {"rl/start", "rl/grpo", "align/ours"}
