"""The numbers of finished jobs, one small file each, for a repository: a stop loses nothing.

A study's folder holds checkpoints and is large. What its tables are made of is not: of each job its
values, and of each test picture whether it was read right.
"""

from __future__ import annotations

import base64
import logging
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.studies.ablation.grid import Job
from emosym.studies.ablation.jobs import MEASURED, is_done, load_logits

log = logging.getLogger(__name__)
SCHEMA = "emosym.job/1"
TRUTH = "_truth"  # of a test split, beside its logits
GIT_SECONDS = 60


def kept_file(keep: Path, name: str) -> Path:
    """Return where the numbers of a job are kept: KEEP/part/arm/labels-5/seed-0.json."""
    return keep / f"{name}.json"


def keep_numbers(job: Job, out: Path, keep: Path, study_sha256: str) -> Path:
    """Write the numbers of a finished job of the jobs in `out`; returns the file."""
    found = read_json(out / job.name / MEASURED, "measured job")
    path = kept_file(keep, job.name)
    right = packed_right(out / job.name) if job.measure == "reading" else {}
    about = {"schema": SCHEMA, "job": job.name, "study_sha256": study_sha256}
    write_json(path, {**about, **found, "right": right})
    return path


def packed_right(folder: Path) -> dict[str, str]:
    """Return, by test split, which pictures a job read right: bits, eight a byte, as base64.

    A job that diverged has none.
    """
    try:
        stored = load_logits(folder)
    except OSError:
        return {}
    splits = [name.removesuffix(TRUTH) for name in stored if name.endswith(TRUTH)]
    return {
        name: base64.b64encode(
            np.packbits((stored[name].argmax(1) == stored[name + TRUTH]).numpy()).tobytes()
        ).decode("ascii")
        for name in splits
    }


def unpacked_right(text: str, count: int) -> np.ndarray:
    """Return which of `count` pictures were read right, bool (count,)."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
    return bits[:count].astype(bool)


def kept_numbers(keep: Path | None, name: str, study_sha256: str) -> dict[str, Any] | None:
    """Return the kept numbers of a job; None where there are none.

    Raises:
        UsageError: when they are another job's, or of another study.
    """
    if keep is None or not kept_file(keep, name).is_file():
        return None
    path = kept_file(keep, name)
    found: dict[str, Any] = read_json(path, "kept job")
    if found.get("schema") != SCHEMA or found.get("job") != name:
        raise UsageError(f"{path} does not hold the numbers of {name}: move it away.")
    if found.get("study_sha256") != study_sha256:
        raise UsageError(
            f"{path} holds numbers of another study, or of this one before it was changed: choose "
            "another folder to keep numbers in."
        )
    return found


def finished(
    jobs: Sequence[Job], out: Path, kept: Mapping[str, Mapping[str, Any]]
) -> frozenset[str]:
    """Return the jobs that need not run: measured in `out`, or with kept numbers.

    One whose numbers are kept, but not its checkpoint, runs again where another starts from it.
    """
    wanted: set[str] = set()
    for job in reversed(jobs):  # a job stands behind the one that it starts from
        here = is_done(job, out)
        if not here and (job.name not in kept or job.name in wanted) and job.after is not None:
            wanted.add(job.after)
    return frozenset(
        job.name
        for job in jobs
        if is_done(job, out) or (job.name in kept and job.name not in wanted)
    )


def commit(path: Path) -> None:
    """Commit one file to the repository that it lies in; a failure is told and stops nothing."""
    message = f"Numbers of {path.parent.parent.parent.name}/{path.parent.parent.name}/{path.stem}"
    for arguments in (
        ("add", "--", path.name),
        ("commit", "--quiet", "--message", message, "--", path.name),
    ):
        try:
            subprocess.run(
                ("git", *arguments),
                cwd=path.parent,
                check=True,
                capture_output=True,
                text=True,
                timeout=GIT_SECONDS,
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            log.warning("%s is written, but not committed: %s", path, str(said).strip())
            return
