"""Pictures in files, folders and globs: links followed, junk passed over, the rest counted."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from emosym.data.file_kinds import BESIDE, JUNK, OTHER_KINDS, is_junk, kind_of, picture_suffixes
from emosym.errors import UsageError
from emosym.files import FOLDER, NOTHING, look, told
from emosym.types import BadInput

URL = re.compile(r"^([a-z][a-z0-9+.-]+://|data:)", re.IGNORECASE)
GLOB = re.compile(r"[*?\[]")
BACK = ("link back to a folder that it lies in", "links back to a folder that they lie in")
TWICE = ("link that was followed already", "links that were followed already")

Found = Path | BadInput
PathLike = TypeVar("PathLike", str, Path, str | Path)
Passed = Counter[tuple[str, str]]  # (one, several) of a kind, to how many were passed over


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder in name order, without junk.

    Raises:
        UsageError: when there is no such folder or it cannot be looked into.
    """
    try:
        return [path for path in sorted(folder.iterdir()) if not is_junk(path.name)]
    except OSError as error:
        raise UsageError(f"The folder {str(folder)!r} cannot be read: {told(error)}.") from error


def data_folder(root: str | Path) -> Path:
    """Return a data set's folder.

    Raises:
        UsageError: when there is none, or it cannot be looked at.
    """
    kind = look(Path(root))
    if kind != FOLDER:
        why = "no such folder" if kind == NOTHING else "that is no folder"
        raise UsageError(f"There is no data set at {str(root)!r}: {why}.")
    return Path(root)


def find_images(paths: Sequence[str | Path], passed: Passed | None = None) -> Iterator[Found]:
    """Iterate over the pictures named by files, folders and globs, in a fixed order.

    A file is given back as it is, whatever its suffix. Folders (also those that
    a glob matches) are walked recursively in name order: links are followed, each once and never
    back to a folder that they lie in; junk is passed over; only files with a picture's suffix
    count. What cannot be looked at is a `BadInput`. `passed` counts what else was passed over, by
    kind. Every path is checked before the first is yielded.

    Raises:
        UsageError: at the call, for a URL and for a path or glob that matches no picture.
    """
    chosen = without_junk(paths)
    for path in chosen:
        other: Passed = Counter()
        if next(_matches(path, other), None) is None:
            there = f" It holds {', '.join(passed_over(other))}." if other else ""
            ends = f"; picture files end in {', '.join(sorted(picture_suffixes()))}."
            raise UsageError(f"{str(path)!r} matches no picture{'.' + there if there else ends}")
    counted: Passed = Counter() if passed is None else passed
    return (found for path in chosen for found in _matches(path, counted))


def without_junk(paths: Sequence[PathLike]) -> list[PathLike]:
    """Return paths without a system's leavings, which a shell's `*` names as well, if others stay.

    A hidden file that is named is meant.
    """
    kept = [p for p in paths if not (Path(p).name.lower() in JUNK or Path(p).name[:2] == "._")]
    return kept or list(paths)


def passed_over(passed: Passed) -> list[str]:
    """Return one phrase a kind, most first: "12 HEIC files: pip install 'emosym[heic]'"."""
    advice = {names: what for names, what, _ in OTHER_KINDS}
    return [
        f"{count:,} {names[count != 1]}" + (f": {advice[names]}" if names in advice else "")
        for names, count in passed.most_common()
    ]


def _matches(path: str | Path, passed: Passed) -> Iterator[Found]:
    text = str(path)
    if isinstance(path, str) and URL.match(path):
        raise UsageError(f"{path!r} is a URL, and nothing is fetched: save the picture to a file.")
    try:
        kind = look(Path(path))
    except UsageError as error:
        if not GLOB.search(text):
            yield BadInput(text, str(error))
            return
        kind = NOTHING
    if kind == FOLDER:
        yield from _walk(Path(path), passed)
    elif kind != NOTHING:
        yield Path(path)
    elif "**" in Path(text).parts:
        yield from _recursive(text, passed)
    elif GLOB.search(text):
        # Path.glob takes no absolute pattern.
        for name in sorted(glob.glob(text)):  # noqa: PTH207
            if Path(name).is_dir():
                yield from _walk(Path(name), passed)
            else:
                yield from _counted(Path(name), passed)


def _recursive(pattern: str, passed: Passed) -> Iterator[Found]:
    """Match a glob with ** over a walk, which ends where links lead in a circle."""
    parts = Path(pattern).parts
    place = parts.index("**")
    head = str(Path(*parts[:place])) if place else ""
    tail = re.compile("".join(_as_regex(part) for part in parts[place:]).removesuffix("/"))
    bases = [Path(name) for name in sorted(glob.glob(head))] if head else [Path()]  # noqa: PTH207
    found: list[Found] = []
    for base in bases:
        for item in _walk(base, passed) if base.is_dir() else ():
            name = Path(item.source) if isinstance(item, BadInput) else item
            if isinstance(item, BadInput) or tail.fullmatch(name.relative_to(base).as_posix()):
                found.append(item)
    yield from sorted(
        found, key=lambda item: item.source if isinstance(item, BadInput) else str(item)
    )


def _as_regex(part: str) -> str:
    """Return the regular expression of one part of a glob, its slash included."""
    if part == "**":
        return r"(?:[^/]+/)*"
    inner = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
    return inner.replace(".*", "[^/]*") + "/"


def _walk(folder: Path, passed: Passed) -> Iterator[Found]:
    """Yield a folder's pictures; a stack, not recursion, since folders may lie a thousand deep."""
    followed: set[tuple[int, int]] = set()
    above = _ancestors(folder)
    stack: list[Iterator[os.DirEntry[str]]] = []

    def enter(path: str) -> BadInput | None:
        try:
            place = _identity(os.stat(path))  # noqa: PTH116
            with os.scandir(path) as listing:
                inside = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            return BadInput(path, f"The folder {path!r} cannot be read: {told(error)}.")
        above.append(place)
        stack.append(iter(inside))
        return None

    refused = enter(str(folder))
    if refused is not None:
        yield refused
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            above.pop()
        elif not is_junk(entry.name):
            try:
                deeper = entry.is_dir()
                if deeper and entry.is_symlink() and _again(entry, above, followed, passed):
                    continue
            except OSError as error:
                yield BadInput(entry.path, f"{entry.path!r} cannot be read: {told(error)}.")
                continue
            refused = enter(entry.path) if deeper else None
            if refused is not None:
                yield refused
            elif not deeper:
                yield from _counted(Path(entry.path), passed)


def _again(
    entry: os.DirEntry[str],
    above: Sequence[tuple[int, int]],
    followed: set[tuple[int, int]],
    passed: Passed,
) -> bool:
    """Tell whether a linked folder is not to be entered: it leads back, or was entered before."""
    target, link = _identity(entry.stat()), _identity(entry.stat(follow_symlinks=False))
    if target in above or link in followed:
        passed[BACK if target in above else TWICE] += 1
        return True
    followed.add(link)
    return False


def _ancestors(folder: Path) -> list[tuple[int, int]]:
    """Return the folders that a folder lies in; those that cannot be looked at are left out."""
    found = []
    for parent in folder.absolute().resolve().parents:
        try:
            found.append(_identity(parent.stat()))
        except OSError:
            continue
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _counted(path: Path, passed: Passed) -> Iterator[Found]:
    """Yield a file in a folder where it is a picture by its suffix, and count it where it is not.

    What has a picture's name and cannot be opened is yielded: whoever reads it says why.
    """
    suffix = path.suffix.lower()
    if suffix in picture_suffixes():
        yield path
    elif path.is_symlink() and not path.exists():
        yield BadInput(str(path), _link_to_nothing(path))
    elif suffix not in BESIDE and not is_junk(path.name):
        passed[kind_of(suffix)] += 1


def _link_to_nothing(path: Path) -> str:
    try:
        look(path)
    except UsageError as error:
        return str(error)
    return f"{str(path)!r} is a link to nothing."


def only_paths(found: Iterable[Found]) -> Iterator[Path]:
    """Return what can be looked at; for callers whose check tells the rest."""
    return (item for item in found if isinstance(item, Path))
