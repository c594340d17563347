"""Penalties of form, -1..0: an answer that repeats itself, or runs too long.

The two of TRL (`trl.rewards`), which count token ids; these count words where there are no ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emosym.errors import UsageError
from emosym.rewards.text import Completion, completion_text


def repetition(
    completions: Sequence[Completion],
    completion_ids: Sequence[Sequence[int]] | None = None,
    repeated_size: int = 3,
    **columns: Any,
) -> list[float | None]:
    """Return minus the share of runs of `repeated_size` tokens (or words) that came before.

    Raises:
        UsageError: for a size below 1.
    """
    if repeated_size < 1:
        raise UsageError(f"repeated_size must be 1 or more, got {repeated_size}.")
    rows: list[float | None] = []
    for tokens in _tokens(completions, completion_ids):
        runs = [
            tuple(tokens[i : i + repeated_size]) for i in range(len(tokens) - repeated_size + 1)
        ]
        rows.append(len(set(runs)) / len(runs) - 1.0 if runs else 0.0)
    return rows


def length(
    completions: Sequence[Completion],
    completion_ids: Sequence[Sequence[int]] | None = None,
    longest: int = 256,
    margin: int = 64,
    **columns: Any,
) -> list[float | None]:
    """Return 0 up to `longest - margin` tokens (or words), then falling evenly to -1 at `longest`.

    It rewards no shortness: an empty answer gets the same 0 as any short one.

    Raises:
        UsageError: for a margin that is not within 0..longest.
    """
    if not 0 <= margin <= longest:
        raise UsageError(f"The margin must be within 0..{longest}, got {margin}.")
    rows: list[float | None] = []
    for tokens in _tokens(completions, completion_ids):
        over = len(tokens) - (longest - margin)
        rows.append(0.0 if over <= 0 else max(-1.0, -over / margin) if margin else -1.0)
    return rows


def _tokens(
    completions: Sequence[Completion], ids: Sequence[Sequence[int]] | None
) -> list[list[Any]]:
    if ids is None:
        return [re.findall(r"\S+", completion_text(completion)) for completion in completions]
    if len(ids) != len(completions):
        raise UsageError(f"{len(completions)} completions but {len(ids)} rows of token ids.")
    return [list(row) for row in ids]
