"""Errors that a user can act on: what was got, what is valid, the nearest name, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_SHOWN = 120  # characters of what was got, for it may be a whole file


class EmoSymError(Exception):
    """A run that could not go on (exit code 1). The message is one clear sentence."""

    exit_code = 1


class UsageError(EmoSymError):
    """A request that cannot be carried out as asked (exit code 2): a wrong name, file or value."""

    exit_code = 2


class StoppedEarly(EmoSymError):  # noqa: N818 - nothing went wrong
    """A run that reached its deadline and stopped in order; the same call goes on (exit code 75).

    The message says where it is. 75 is EX_TEMPFAIL of sysexits: try again.
    """

    exit_code = 75


class Diverged(EmoSymError):  # noqa: N818 - what happened, not a mistake
    """A training run whose loss or gradient was not finite any more (exit code 1)."""


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name most like `name`, or None when nothing is close."""
    choices = list(valid)
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return lowered[found[0]] if found else None


def unknown_name(kind: str, got: str, valid: Iterable[str], hint: str = "") -> UsageError:
    """Build the error for a name that is not one of `valid`, with the nearest one named."""
    choices = list(valid)
    got = got if len(got) <= LONGEST_SHOWN else f"{got[: LONGEST_SHOWN - 3]}..."
    close = nearest(got, choices)
    did_you_mean = f" Did you mean {close!r}?" if close else ""
    tail = f" {hint}" if hint else ""
    return UsageError(f"Unknown {kind} {got!r}.{did_you_mean} Valid: {', '.join(choices)}.{tail}")
