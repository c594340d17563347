"""EmoBench (Sabour and others 2024): questions about emotions in stories, with choices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of, split_files
from emosym.data.stored_splits import ALL
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_text
from emosym.types import CHOICE, Turn

# Questions by the kind of row: where its choices and its answer stand, and the words.
QUESTIONS: dict[str, tuple[str, str, str]] = {
    "emotion": ("emotion_choices", "emotion_label", "What does {subject} feel in the end?"),
    "cause": ("cause_choices", "cause_label", "Why does {subject} feel that way?"),
    "action": ("choices", "label", "What should {subject} do?"),
    "response": ("choices", "label", "How should {subject} respond?"),
}


def load_emobench(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "ekman7",
    notes: Notes | None = None,
) -> Dataset:
    """Open EmoBench, a file or all: `EA.jsonl` (what to do), `EU.jsonl` (what is felt, and why).

    A sample is a text, the story and one question; a row of EU is two of them. The attribute
    `choices` is a tuple of texts, and the target `choice` the one of them that is right; it has
    no emotion as its label. `question` (emotion, cause, action, response), `subject`, `language`
    and categories are attributes, too.

    Raises:
        UsageError: for no such file or split.
    """
    files = split_files(root, "emobench")
    if split == ALL and ALL not in files:
        paths = list(files.values())
    else:
        paths = [file_of_split(root, "emobench", split)[1]]
    found: dict[str, list[Line]] = {}
    bad: Notes = []
    for path in paths:
        for number, text in enumerate(read_text(path, "list of questions").split("\n")):
            where = f"{path.name}, row {number}"
            if not text.strip():
                continue
            try:
                for line in _questions(_object(text, where), path.stem, where):
                    found.setdefault(line.name, []).append(line)
            except UsageError as error:
                bad.append(Note("bad_row", where, str(error)))
    return dataset_of(found, folder_of(root), split, label_space(space), notes, bad, CHOICE)


def _object(text: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON: {error}.") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where} must be a JSON object.")
    return row


def _questions(row: Mapping[str, Any], stem: str, where: str) -> Iterator[Line]:
    """Yield the questions of a row, each with its choices and the right one."""
    single = str(row.get("question type", "action")).strip().lower()
    kind = single if single in QUESTIONS else "action"
    kinds: tuple[str, ...] = ("emotion", "cause") if "emotion_choices" in row else (kind,)
    story, subject = plain(row.get("scenario")), plain(row.get("subject"))
    if not story:
        raise UsageError(f"{where} has no scenario.")
    lines = []
    for kind in kinds:
        choices_key, answer_key, asked = QUESTIONS[kind]
        given = row.get(choices_key)
        choices = tuple(plain(choice) for choice in given) if isinstance(given, list) else ()
        answer = plain(row.get(answer_key))
        if len(choices) < 2 or answer not in choices:
            raise UsageError(
                f"{where}: {answer_key} {answer!r:.60} is none of its {len(choices)} choices."
            )
        about = {
            "choices": choices,
            "question": kind,
            "subject": subject,
            "language": str(row.get("language", "en")),
            "category": str(row.get("category", row.get("coarse_category", ""))),
        }
        name = f"{stem}-{row.get('qid', where)}" + (f"-{kind}" if len(kinds) > 1 else "")
        text = f"{story}\n{asked.format(subject=subject or 'this person')}"
        lines.append(Line(name, where, Turn(text=text), targets={CHOICE: answer}, about=about))
    yield from lines
