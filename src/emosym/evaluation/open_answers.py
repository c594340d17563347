"""Answers of emotion words in files, against true words in the same file or another one."""

from __future__ import annotations

from pathlib import Path

from emosym.data.notes import Notes, complain, remark
from emosym.data.wheel_tables import Wheels
from emosym.data.word_rows import WordRow, read_word_rows
from emosym.errors import UsageError
from emosym.evaluation.task_answers import Answered
from emosym.tasks.open_words import open_words, words_of
from emosym.types import OPEN


def read_open_answered(
    answers: Path,
    truths: Path | None = None,
    wheels: Wheels | None = None,
    notes: Notes | None = None,
) -> Answered:
    """Return the answers of a file, each against the true words beside it or in `truths`.

    With a file of truths every one of them is scored: a name that has no answer counts as an
    answer that is empty. Rows without true words are noted, or stop where nobody takes notes; an
    answer to a name without a truth is noted.

    Raises:
        UsageError: as `data.word_rows.read_word_rows`, or where nothing can be scored.
    """
    told = {row.name: row for row in read_word_rows(answers, notes)}
    rows = list(told.values()) if truths is None else read_word_rows(truths, notes)
    kept: list[tuple[str, str, tuple[str, ...]]] = []
    for row in rows:
        true = words_of(row.truth) if row.truth else ()
        if not true:
            error = UsageError(f"{row.where}: no true emotion words are told.")
            complain(notes, "bad_row", row.where, error)
        elif truths is None and row.answer is None:
            complain(notes, "bad_row", row.where, UsageError(f"{row.where}: there is no answer."))
        else:
            kept.append((row.name, _answer(told.get(row.name), truths is not None), true))
    if not kept:
        raise UsageError(f"{truths or answers} holds no true emotion words with an answer.")
    for name in sorted(told.keys() - {row.name for row in rows}):
        where = told[name].where
        remark(notes, "no_truth", where, f"{where}: {name!r} has no truth.")
    names, said, true_words = zip(*kept, strict=True)
    task = open_words(wheels)
    predictions = [task.parse(answer) for answer in said]
    return Answered(OPEN, task, names, names, predictions, true_words, said, wheels=wheels)


def _answer(row: WordRow | None, other_file: bool) -> str:
    """Return a row's answer; a file of answers alone may call it as truths are called."""
    if row is None:
        return ""
    return row.answer or (row.truth if other_file else None) or ""
