"""Which pictures a command names, and what is said of them at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from emosym.errors import UsageError
from emosym.types import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from emosym.data.walk import Passed


def tell_unknowns(console: Console, sentences: Sequence[str]) -> None:
    """Say what nobody knows of the readings for want of validation pictures."""
    for sentence in sentences:
        console.print(sentence, style="dim", soft_wrap=True, markup=False)


def tell_passed(console: Console, passed: Passed) -> None:
    """Say which files in the folders were passed over, as they are no pictures."""
    from emosym.data.walk import passed_over

    if passed:
        told = "; ".join(passed_over(passed))
        console.print(f"Passed over: {told}.", style="dim", soft_wrap=True, markup=False)


def find_pictures(paths: Sequence[str]) -> tuple[list[Path | BadInput], Passed]:
    """Return the pictures that files, folders and globs name, and a `BadInput` where there is none.

    Beside them: how many files in folders are no pictures, by kind.

    Raises:
        UsageError: when none of the paths names a picture.
    """
    from emosym.data.walk import GLOB, URL, find_images, without_junk

    found: list[Path | BadInput] = []
    passed: Passed = Counter()
    for path in without_junk(paths):
        try:
            found += find_images([path], passed)
        except UsageError as error:
            missing = not GLOB.search(path) and not URL.match(path) and not Path(path).exists()
            sentence = f"{path!r} cannot be read as a picture: there is no such file."
            found.append(BadInput(path, sentence if missing else str(error)))
    if all(isinstance(item, BadInput) for item in found):
        raise UsageError(next(item.error for item in found if isinstance(item, BadInput)))
    return found, passed


def tell_written(console: Console, outputs: Mapping[str, Path], read: int) -> None:
    """Say which files were written; exits with 1 where nothing was `read`."""
    from emosym.service.sinks import STDOUT

    for path in outputs.values():
        if path != STDOUT:
            console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if not read:
        raise typer.Exit(1)
