"""Which annotation files of published conversation and text sets lie in a folder, and their splits.

A file is known by its first lines, so its name is free; the split is a word of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

from emosym.data.stored_splits import ALL
from emosym.data.tables import head_text, simple
from emosym.data.walk import entries
from emosym.errors import UsageError, unknown_name
from emosym.files import FILE, FOLDER, look

SUFFIXES = frozenset((".csv", ".tsv", ".txt", ".json", ".jsonl"))
MOST_FILES = 64  # a folder with more such files holds a file a sample, not a file a split
SPLIT_WORDS = {
    **dict.fromkeys(("train", "trn", "training"), "train"),
    **dict.fromkeys(("val", "dev", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "tst", "testing"), "test"),
}
# Columns of a table's header, in their simplified form.
HEADERS: dict[str, tuple[str, ...]] = {
    "meld": ("dialogueid", "utteranceid", "utterance", "emotion"),
    "emorynlp": ("sceneid", "utteranceid", "utterance", "emotion"),
    "mosei": ("videoid", "clipid", "text", "label"),
    "open-words": ("name", "openset"),
}
# What the beginning of a file without a header matches, tried in this order.
BEGINNINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "storybook-dialogues": (
        (".json",),
        r'"format"\s*:\s*"emosym\.storybook-dialogues/\d+"\s*,\s*"split"',
    ),
    "ecf": ((".json",), r'"conversation_ID"\s*:'),
    "emorynlp": ((".json",), r'"(scene_id|season_id)"\s*:'),
    "reccon": ((".json",), r'^\s*\{\s*"[^"]*"\s*:\s*\[\s*\[.*"utterance"\s*:'),
    "emobench": ((".jsonl",), r'"(emotion_choices|choices)"\s*:'),
    "expressions": ((".jsonl",), r'"action_units"\s*:'),
    "statements": ((".json", ".jsonl"), r'"statement_list"\s*:'),
    "open-words": ((".json", ".jsonl"), r'"(openset|ov_labels?|ov_emotions?)"\s*:'),
    "goemotions": ((".tsv",), r"^[^\t\n]*\t\d+(,\d+)*(\t[^\t\n]*)?(\n|$)"),
}


def source_of_file(path: Path) -> str | None:
    """Return the name of the source that a file is of by its first lines, if any."""
    suffix = path.suffix.lower()
    head = head_text(path)
    if suffix in (".csv", ".tsv", ".txt"):
        first = next((line for line in head.split("\n") if line.strip(" \t,;")), "")
        columns = {simple(cell) for cell in re.split(r"[,;\t]", first)}
        for source, names in HEADERS.items():
            if columns.issuperset(names):
                return source
    for source, (wanted, beginning) in BEGINNINGS.items():
        if suffix in wanted and re.search(beginning, head, re.DOTALL):
            return source
    return None


def source_of_folder(root: Path) -> str | None:
    """Return the one source of which a folder (or file) holds annotation files, if any."""
    found = {source for path in _candidates(root) if (source := source_of_file(path)) is not None}
    return sorted(found)[0] if found else None


def split_files(root: str | Path, source: str) -> dict[str, Path]:
    """Return the annotation files of a source by the name of their split.

    `root` is a folder that holds them, or has them in its own folders, or one such file. Of
    several files of one split the first by name has it, the others are called after their stem;
    a file without a split in its name is one of its own, or `all` where it is alone.

    Raises:
        UsageError: when there is nothing at `root`, or no file of that source.
    """
    base = Path(root)
    if look(base) not in (FILE, FOLDER):
        raise UsageError(f"There is no data set at {str(root)!r}: no such folder or file.")
    found = [path for path in _candidates(base) if source_of_file(path) == source]
    if not found:
        raise UsageError(f"{str(root)!r} holds no file of {source}; docs/data.md says their form.")
    named: dict[str, Path] = {}
    for path in found:
        split = split_of_name(path.stem)
        if split is None and len(found) == 1:
            split = ALL
        named[path.stem.lower() if split is None or split in named else split] = path
    return named


def split_of_name(stem: str) -> str | None:
    """Return the split (train, val, test) that stands as a word in a file's name, if one does."""
    words = re.split(r"[^a-z]+", stem.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)


def file_of_split(root: str | Path, source: str, split: str) -> tuple[str, Path]:
    """Return a split's name and file; dev and valid are other names of val.

    Raises:
        UsageError: for a split that is not there; names those that are, or as `split_files`.
    """
    files = split_files(root, source)
    name = split if split in files else SPLIT_WORDS.get(split.lower(), split.lower())
    if name not in files:
        raise unknown_name(f"split of {str(root)!r},", split, files)
    return name, files[name]


def folder_of(root: str | Path) -> Path:
    """Return the folder of a data set that may be named by its only file."""
    base = Path(root)
    return base.parent if look(base) == FILE else base


def _candidates(root: Path) -> list[Path]:
    """Return files that could be annotations: in a folder and, where it has none, one below."""
    if look(root) == FILE:
        return [root]
    here = entries(root)
    for folders in ([here], [entries(path) for path in here if _is_folder(path)]):
        found = [
            path
            for listed in folders
            if len(suited := [path for path in listed if path.suffix.lower() in SUFFIXES])
            <= MOST_FILES
            for path in suited
            if _is_file(path)
        ]
        if any(source_of_file(path) for path in found):
            return found
    return []


def _is_file(path: Path) -> bool:
    try:
        return look(path) == FILE and path.stat().st_size > 0
    except (UsageError, OSError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return look(path) == FOLDER and bool(entries(path))
    except UsageError:
        return False
