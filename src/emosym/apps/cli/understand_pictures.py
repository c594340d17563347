"""`emosym understand PICTURES`: their emotions, by one process or by several of a launcher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.apps.cli.found_pictures import (
    find_pictures,
    tell_passed,
    tell_unknowns,
    tell_written,
)
from emosym.apps.cli.reading_run import Reading, open_journal, read_to
from emosym.errors import UsageError
from emosym.types import BadInput

if TYPE_CHECKING:
    from emosym.service.session import Session
    from emosym.service.wanted import Wanted


def understand_pictures(
    paths: Sequence[str],
    wanted: Wanted,
    named: Mapping[str, Path],
    about: Mapping[str, Any],
    resume: bool,
    batch_size: int | None,
    workers: int,
) -> None:
    """Read pictures; `about` says what was asked, for a run that is gone on with.

    Raises:
        UsageError: when no path names a picture, or as `open_session`.
        EmoSymError: as `open_session`.
    """
    from rich.console import Console

    from emosym.apps.cli.readings import show
    from emosym.apps.cli.shared_reading import launched, read_together
    from emosym.apps.cli.terminal import open_shown
    from emosym.service.sinks import STDOUT, check_outputs, left_to_read

    explain, abstain = bool(about["explain"]), bool(about.get("abstain"))
    processes = launched()
    main = processes is None or processes.main
    found, passed = find_pictures(paths)
    found = found if processes is None else processes.agree(found)
    outputs = check_outputs(named, found, resume)
    if processes is not None and wanted.device == "auto":
        wanted = replace(wanted, device=str(processes.device))
    journal = open_journal(outputs, dict(about), resume) if main else None
    left = left_to_read(found, journal.kept if journal is not None else ())
    left = left if processes is None else processes.agree(left)
    at_once = batch_size or (8 if wanted.zero_shot else 32)
    opened: list[Session] = []

    def read(some: Sequence[Path | BadInput]) -> Iterator[Reading]:
        return opened[0].understand_many(some, at_once, workers, explain)

    def readings() -> Iterator[Reading]:
        opened.append(open_shown(wanted, read=True, quiet=not main).of_pictures())
        require_threshold(abstain, opened[0])
        shared = processes and read_together(processes, left, at_once, read)
        yield from shared or read(left)

    if not main:
        for _ in readings():
            pass
        return
    tally = read_to(outputs, journal, readings(), len(found), lambda: opened[0].space, abstain)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    tell_passed(console, passed)
    show(console, tally, explain, opened[0].about(), opened[0].pipeline.abstain_below)
    tell_unknowns(console, opened[0].pipeline.unknowns)
    tell_written(console, outputs, tally.read)


def require_threshold(abstain: bool, session: Session) -> None:
    """Raise UsageError for --abstain with a model that does not know when it is unsure."""
    if abstain and session.pipeline.abstain_below is None:
        raise UsageError(
            "--abstain needs a model with a threshold, and this one has none: "
            "`emosym calibrate` fits it to labelled pictures."
        )
