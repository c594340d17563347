"""Pre-registration: a study whose file was committed before its first run, and has not changed."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.studies.ablation.grid import Study

REGISTERED = "registered.json"


def register(study: Study, path: Path, out: Path) -> dict[str, Any] | None:
    """Check a pre-registered study and return what is known of its registration; None for others.

    At the first run `out`/registered.json keeps the checksum of the study as it was resolved, the
    commit of its file and the time. Later runs compare.

    Raises:
        UsageError: when the file is not committed, differs from its commit, or the study changed
            after its first run.
    """
    if not study.preregistered:
        return None
    found = {"study_sha256": sha256_of_study(study), "file": path.name}
    kept = out / REGISTERED
    if kept.is_file():
        before: dict[str, Any] = read_json(kept, "registration")
        if before.get("study_sha256") != found["study_sha256"]:
            raise UsageError(
                f"The pre-registered study {path} changed after its first run "
                f"({before.get('first_run')}, commit {before.get('commit')}): what was promised "
                "cannot change. Put the file back, or register another study with another --out."
            )
        return before
    found |= commit_of(path)
    found["first_run"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(kept, found)
    return found


def sha256_of_study(study: Study) -> str:
    """Return the checksum of a study as it is resolved, what the command line changed included."""
    text = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def commit_of(path: Path) -> dict[str, str]:
    """Return the last commit of a file and its time.

    Raises:
        UsageError: when the file is not committed, or has changed since.
    """
    where = path.resolve()
    changed = _git(where, "status", "--porcelain", "--", where.name)
    told = _git(where, "log", "-1", "--format=%H %cI", "--", where.name)
    if not told or changed is None:
        raise UsageError(f"{path} is pre-registered and not committed: commit it before any run.")
    if changed:
        raise UsageError(
            f"{path} is pre-registered and differs from its commit: commit it before any run."
        )
    commit, _, time = told.partition(" ")
    return {"commit": commit, "committed": time}


def _git(path: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments),
            cwd=path.parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
