"""Which video file is the clip of a turn: found by its name, in the folders of its split."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from emosym.data.file_kinds import VIDEO_SUFFIXES, is_junk
from emosym.data.notes import Notes, remark
from emosym.data.sources.known_files import split_of_name

FINAL = "final_videos_test"  # how some of MELD's test clips are called


class ClipFiles:
    """The video files below a folder by name; nothing is opened."""

    def __init__(self, root: Path, split: str) -> None:
        """List them once. Where folders are named after splits, only those of `split` count."""
        self.root, self.missing = root, 0
        found = [name for name in _videos(root) if _split_of(name) in (None, split)]
        # files in a folder of the split go before others of the same name
        found.sort(key=lambda name: (_split_of(name) is None, name))
        self.files: Mapping[str, str] = {
            key: name for name in reversed(found) for key in _keys(PurePosixPath(name))
        }

    def find(self, name: str, where: str, notes: Notes | None) -> Path | None:
        """Return a clip's path relative to the root.

        None where there is no such file, which is noted where the folder holds clips at all.
        """
        if not self.files:
            return None
        found = self.files.get(name.lower())
        if found is None:
            self.missing += 1
            remark(notes, "missing_clips", where, f"{where}: there is no clip {name}.")
            return None
        return Path(found)


def _videos(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        below = Path(folder).relative_to(root).as_posix()
        found += [
            name if below == "." else f"{below}/{name}"
            for name in files
            if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not is_junk(name)
        ]
    return sorted(found)


def _keys(path: PurePosixPath) -> tuple[str, ...]:
    """Return the names by which a clip is asked for: its own, and with its folder's."""
    stem = path.stem.removeprefix(FINAL).lower()
    plain = stem.lstrip("0") or "0" if stem.isdigit() else stem
    folder = path.parent.name.lower()
    return (stem, f"{folder}/{stem}", f"{folder}/{plain}")


def _split_of(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.stem.startswith(FINAL):
        return "test"
    return next((split for part in path.parts[:-1] if (split := split_of_name(part))), None)
