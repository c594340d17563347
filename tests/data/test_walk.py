"""Folders as people and programs leave them: links, junk, long names, closed doors."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emosym.data import file_kinds, walk
from emosym.data.walk import Passed, find_images, passed_over
from emosym.errors import UsageError
from emosym.types import BadInput


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def found(root: Path, *paths: str | Path, passed: Passed | None = None) -> list[str]:
    """Return relative names; what could not be looked at is in brackets."""
    return [
        f"({os.path.relpath(item.source, root)})"
        if isinstance(item, BadInput)
        else item.relative_to(root).as_posix()
        for item in find_images(paths or [root], passed)
    ]


def test_linked_roots_folders_and_files_are_read(tmp_path: Path) -> None:
    fill(tmp_path / "kept", "awe/1.jpg", "blobs/c0ffee", "deep/2.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "awe").symlink_to(tmp_path / "kept/awe")
    (root / "fear").symlink_to("awe")
    (root / "name.jpg").symlink_to(tmp_path / "kept/blobs/c0ffee")
    (tmp_path / "door").symlink_to("root")
    assert found(root) == ["awe/1.jpg", "fear/1.jpg", "name.jpg"]
    assert found(tmp_path / "door") == ["awe/1.jpg", "fear/1.jpg", "name.jpg"]
    assert found(root, str(root / "**/*.jpg")) == ["awe/1.jpg", "fear/1.jpg", "name.jpg"]


def test_links_in_a_circle_end_and_are_counted(tmp_path: Path) -> None:
    """Ten folders that all hold links to all: 10! ways through them."""
    names = [f"d{i}" for i in range(10)]
    fill(tmp_path, *(f"{name}/{name}.png" for name in names))
    for one in names:
        for other in names:
            (tmp_path / one / f"to-{other}").symlink_to(tmp_path / other)
    passed: Passed = Counter()
    seen = found(tmp_path, passed=passed)
    assert [f"{name}/{name}.png" for name in names] == [n for n in seen if n.count("/") == 1]
    assert len(seen) < 200 and passed[walk.BACK] and passed[walk.TWICE]
    assert found(tmp_path, str(tmp_path / "**/d3.png"))[0] == "d0/to-d1/to-d2/to-d3/d3.png"


def test_a_link_to_a_folder_above_the_root_is_not_followed(tmp_path: Path) -> None:
    root = fill(tmp_path / "a/root", "x/1.png")
    (root / "x" / "up").symlink_to("../../..")
    passed: Passed = Counter()
    assert found(root, passed=passed) == ["x/1.png"] and passed[walk.BACK] == 1


def test_links_to_nothing_are_rows(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "awe").symlink_to("lost")
    (tmp_path / "b.png").symlink_to("lost.png")
    assert found(tmp_path) == ["a.png", "(awe)", "b.png"]


def test_junk_is_no_content_and_other_files_are_counted_by_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_kinds, "is_available", lambda _: False)
    fill(tmp_path, "__MACOSX/awe/._1.jpg", "__MACOSX/2.jpg", "awe/._1.jpg", "awe/Thumbs.db")
    fill(tmp_path, "awe/.DS_Store", "awe/desktop.ini", "@eaDir/3.jpg", ".git/4.jpg", "awe/1.JPG")
    fill(tmp_path, "a.HEIC", "b.heic", "c.mp4", "d.xyz", "README", "ratings.csv", "info.json")
    passed: Passed = Counter()
    assert found(tmp_path, passed=passed) == ["awe/1.JPG"]
    assert passed_over(passed) == [
        "2 HEIC files: pip install 'emosym[heic]'",
        "1 file without a suffix",
        "1 video: take pictures out of them first",
        "1 .xyz file",
    ]
    monkeypatch.setattr(file_kinds, "is_available", lambda _: True)
    assert found(tmp_path) == ["a.HEIC", "awe/1.JPG", "b.heic"]
    with pytest.raises(UsageError, match=r"matches no picture\. It holds 1 video"):
        find_images([fill(tmp_path / "films", "a.mp4")])
    assert found(tmp_path, *sorted((tmp_path / "awe").iterdir())) == ["awe/1.JPG"]


def test_what_cannot_be_looked_into_is_a_row_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    whole = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found(tmp_path) == ["a/1.png", "(b)", "c/3.png"]
    refused = next(item for item in find_images([tmp_path]) if isinstance(item, BadInput))
    assert refused.error.endswith("cannot be read: there is no permission to open it.")
    stat = os.stat

    def closed(path: Any, **more: Any) -> Any:
        if "closed" in os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", closed)
    row, picture = find_images([tmp_path / "closed" / "x.png", tmp_path / "a"])
    assert isinstance(row, BadInput) and "no permission" in row.error
    assert picture == tmp_path / "a/1.png"


def test_names_longer_than_a_disk_takes_are_rows(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    long = "x" * 300 + ".png"
    row, picture = find_images([str(tmp_path / long), tmp_path])
    assert isinstance(row, BadInput) and "name is too long" in row.error
    assert picture == tmp_path / "a.png"
