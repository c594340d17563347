"""Run a study: draw its data, run its jobs side by side, write its table and report."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from emosym.data.storybook import write_storybook
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.device import cpu_plan, processor_name, usable_cores, wanted_threads
from emosym.errors import EmoSymError, UsageError
from emosym.files import read_json, write_json, write_text
from emosym.locks import one_writer
from emosym.provenance import git_hash, package_versions
from emosym.studies.ablation.grid import (
    TALES,
    Job,
    Study,
    dialogues_beside,
    jobs_of,
    tales_beside,
)
from emosym.studies.ablation.jobs import MEASURED, run_job
from emosym.studies.ablation.kept import (
    commit,
    finished,
    keep_numbers,
    kept_numbers,
    packed_right,
    unpacked_right,
)
from emosym.studies.ablation.page import ablation_page
from emosym.studies.ablation.pool import run_jobs
from emosym.studies.ablation.primary import primary_rows
from emosym.studies.ablation.registered import REGISTERED, register, sha256_of_study
from emosym.studies.ablation.table import make_table
from emosym.studies.ablation.words import ablation_latex, ablation_markdown

Say = Callable[[str], None]
STUDY = "study.yaml"
TABLE = "table.json"
SHOWN_TASKS = ("mer_accuracy", "ecpe_pair_f1", "reasons_names_cause", "image_accuracy")
OOD_SPLIT_OF = 10  # an out-of-domain storybook needs a picture in each split; only test is read


def run_study(
    study: Study,
    out: Path,
    workers: int,
    say: Say,
    only: Sequence[str] = (),
    path: Path | None = None,
    keep: Path | None = None,
    into_git: bool = False,
) -> dict[str, Any]:
    """Run all jobs of a study (of the parts `only`, with what they start from); return its table.

    A stopped study goes on where it was. Each worker is one process with one share of the cores.
    `path` is the file of a pre-registered study. In `keep` the numbers of every finished job are
    written as it ends, and with `into_git` committed; what is kept there is not run again.

    Raises:
        UsageError: when `out` holds another study, or a pre-registered one is not committed or has
            changed (see `register`).
        EmoSymError: when jobs failed; the others are done and in the table. And when another
            process runs a study there.
    """
    if study.preregistered and path is None:
        raise UsageError("A pre-registered study is run from its file, which is committed.")
    with one_writer(out, "running a study"):
        if path is not None:
            register(study, path, out)
        return _run(study, out, workers, say, only, keep, into_git)


def _run(
    study: Study,
    out: Path,
    workers: int,
    say: Say,
    only: Sequence[str],
    keep: Path | None,
    into_git: bool,
) -> dict[str, Any]:
    """Run a study in its folder, of which this is the only run."""
    claim(study, out)
    data, ood = out / "data", out / "ood"
    say("Drawing the pictures")
    draw_data(study, data, ood, max(workers, usable_cores()))
    every = jobs_of(study, out / "jobs", data)
    wanted = with_ancestors(every, only)
    trained = [job for job in wanted if job.raw is not None]
    own, kept = sha256_of_study(study), dict[str, dict[str, Any]]()
    for job in every:
        found = kept_numbers(keep, job.name, own)
        if found is not None:
            kept[job.name] = found
    done = finished(trained, out / "jobs", kept)

    def remember(job: Job) -> None:
        if keep is not None and job.name not in kept:
            path = keep_numbers(job, out / "jobs", keep, own)
            kept[job.name] = read_json(path, "kept job")
            if into_git:
                commit(path)

    for job in trained:
        if job.name in done:
            remember(job)
    starts = frozenset(job.name for job in wanted if job.raw is None)
    say(f"{len(trained):,} jobs, {len(done):,} of them done; {workers} side by side")
    began, count = time.monotonic(), [len(done)]

    def tell(job: Job, found: dict[str, Any] | None, error: str | None) -> None:
        count[0] += 1
        minutes = (time.monotonic() - began) / 60
        if found is not None:
            remember(job)
        result = f"failed: {error}" if found is None else told(found)
        say(f"{count[0]}/{len(trained)} ({minutes:.1f} min) {job.name}: {result}")

    work = functools.partial(
        run_job,
        out=out / "jobs",
        data=data,
        ood=ood,
        paintings=study.paintings,
        reasons=study.reasons,
    )
    threads = max(1, wanted_threads() // workers)
    # All workers compute alike: what this process finds best for the CPU is told to all of them.
    os.environ.setdefault("EMOSYM_CPU_PLAN", f"{cpu_plan().dtype} {cpu_plan().attention}")
    promised = of_primary_tests(study, every)
    failed = run_jobs(trained, done | starts, work, workers, threads, tell, promised)
    table = write_table(study, out, every, kept)
    if failed:
        first = next(iter(failed))
        raise EmoSymError(
            f"{len(failed)} of {len(trained)} jobs failed, the first was {first}: {failed[first]}. "
            f"The others are in {out / TABLE}; run the same command to try again."
        )
    return table


def told(found: dict[str, Any]) -> str:
    """Return what a finished job is worth saying in one line."""
    values = found["values"]
    names = ("accuracy", "ood_accuracy", "brier", "emo_a_judge_a", "coverage", *SHOWN_TASKS)
    numbers = ", ".join(f"{name} {values[name]:.3f}" for name in names if name in values)
    return f"{numbers} ({found['train_seconds']:.0f} + {found['measure_seconds']:.0f} s)"


def claim(study: Study, out: Path) -> None:
    """Make `out` the folder of this study; arms may be added to one that is there.

    Raises:
        UsageError: when it holds a study of other data.
    """
    path = out / STUDY
    if path.is_file():
        held = Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        if held.data != study.data or held.base != study.base:
            raise UsageError(
                f"{out} holds a study of other pictures or another base (see {path}). Choose "
                "another --out, or remove that folder."
            )
    write_text(path, yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))


def draw_data(study: Study, data: Path, ood: Path, workers: int) -> None:
    """Draw the storybook of a study, and the same world in the style that is never trained on."""
    asked = study.data
    counts = {"train": asked.train, "val": asked.val, "test": asked.test}
    write_storybook(data, counts, asked.size, asked.seed, workers, level=asked.level)
    if asked.ood:
        few = {"train": OOD_SPLIT_OF, "val": OOD_SPLIT_OF, "test": asked.ood}
        style, level = asked.ood_style, asked.level
        write_storybook(ood, few, asked.size, asked.seed, workers, style=style, level=level)
    if asked.tales is not None:
        told = asked.tales.model_dump()
        write_storybook(tales_beside(data), told, asked.size, asked.seed, workers, level=TALES)
    if asked.dialogues is not None:
        counted = asked.dialogues.model_dump()
        write_dialogues(dialogues_beside(data), counted, seed=asked.seed, workers=workers)


def with_ancestors(jobs: Sequence[Job], only: Sequence[str]) -> list[Job]:
    """Return the jobs of the parts `only` (all without any) and those they start from, in order.

    Raises:
        UsageError: for a part that is not in the study.
    """
    known = {job.part for job in jobs}
    for name in only:
        if name not in known:
            from emosym.errors import unknown_name

            raise unknown_name("part", name, sorted(known))
    by_name = {job.name: job for job in jobs}
    wanted = {job.name for job in jobs if not only or job.part in only}
    for name in list(wanted):
        job: Job | None = by_name[name]
        while job is not None and job.after is not None:
            wanted.add(job.after)
            job = by_name[job.after]
    return [job for job in jobs if job.name in wanted]


def of_primary_tests(study: Study, jobs: Sequence[Job]) -> frozenset[str]:
    """Return the names of the jobs that primary tests compare, and of those they start from."""
    by_name = {job.name: job for job in jobs}
    compared = {(test.part, arm) for test in study.primary for arm in (test.first, test.second)}
    found = set()
    for job in jobs:
        wanted: Job | None = job if (job.part, job.arm) in compared else None
        while wanted is not None:
            found.add(wanted.name)
            wanted = by_name.get(wanted.after or "")
    return frozenset(found)


def results_of(
    jobs: Sequence[Job], out: Path, kept: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return what every job that trains has measured, in its folder or in what is `kept`."""
    found: dict[str, dict[str, Any]] = dict(kept or {})
    for job in jobs:
        path = out / "jobs" / job.name / MEASURED
        if job.raw is not None and path.is_file():
            found[job.name] = read_json(path, "measured job")
    return found


def measured_of(
    jobs: Sequence[Job], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Return the values of every measured job; those of an arm that is another one's are its."""
    found: dict[str, dict[str, float]] = {}
    for job in jobs:
        place = job.name if job.raw is not None else str(job.after)
        if place in results:
            found[job.name] = results[place]["values"]
    return found


def right_of(
    jobs: Sequence[Job], out: Path, results: Mapping[str, Mapping[str, Any]], count: int
) -> dict[str, np.ndarray]:
    """Return which of `count` test pictures (bool) each job of single pictures read right."""
    found: dict[str, np.ndarray] = {}
    for job in jobs:
        if job.raw is None or job.name not in results or job.raw["data"].get("level") == TALES:
            continue
        stored = results[job.name].get("right") or packed_right(out / "jobs" / job.name)
        if "test" in stored:
            found[job.name] = unpacked_right(stored["test"], count)
    return found


def odd_jobs(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return which measured jobs diverged, and which ran on another version than most."""
    diverged: dict[str, str] = {}
    made: dict[str, str] = {}
    for name, found in results.items():
        if "diverged" in found:
            diverged[name] = found["diverged"]
        if "made_with" in found:
            made[name] = found["made_with"]
    versions = Counter(made.values())
    usual = versions.most_common(1)[0][0] if versions else None
    return {
        "diverged": diverged,
        "made_with": usual,
        "made_otherwise": {name: one for name, one in made.items() if one != usual},
    }


def write_table(
    study: Study,
    out: Path,
    jobs: Sequence[Job],
    kept: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write table.json and the pages of a study from what is measured; return the table.

    `kept` are numbers of jobs that need not lie in `out`.
    """
    results = results_of(jobs, out, kept)
    seconds = [found["train_seconds"] + found["measure_seconds"] for found in results.values()]
    text = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False)
    about: dict[str, Any] = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git": git_hash(),
        "versions": package_versions(),
        "hardware": f"{processor_name()}, {usable_cores()} cores, {cpu_plan().dtype}",
        "minutes": round(sum(seconds) / 60, 1),  # of one worker
        "study_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    measured = measured_of(jobs, results)
    right = right_of(jobs, out, results, study.data.test)
    if (out / REGISTERED).is_file():
        about["registered"] = read_json(out / REGISTERED, "registration")
    about |= {"primary": primary_rows(study, measured, right), **odd_jobs(results)}
    table: dict[str, Any] = make_table(study, measured, about)
    write_json(out / TABLE, table)
    ablation_page(table, out / "report.html")
    write_text(out / "table.tex", ablation_latex(table))
    write_text(out / "table.md", ablation_markdown(table))
    return table
