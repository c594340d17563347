"""Files are whole or absent, and stay inside their root."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file

from emosym import files
from emosym.errors import EmoSymError, UsageError
from emosym.files import (
    disk_errors,
    inside,
    look,
    printable,
    read_json,
    read_text,
    sha256_of,
    write_atomic,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"ä": [1, None, 0.5]})
    assert read_json(path) == {"ä": [1, None, 0.5]}
    assert path.read_bytes().endswith(b"}\n")
    assert names(path.parent) == ["a.json"]


def test_permissions_are_those_of_new_files_or_of_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            write_text(path, "new")
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == mode
        path.unlink()
    write_text(path, "old")
    path.chmod(0o640)
    write_text(path, "new")
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o640, "new")


def test_links_stay_and_pipes_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link, pipe = tmp_path / "link.txt", tmp_path / "pipe"
    for target in (tmp_path / "far" / "there.txt", tmp_path / "far" / "not-yet.txt"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        write_text(link, "through")
        assert link.is_symlink() and target.read_text() == "through"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "flows")
    reader.join(30)
    assert got == ["flows"] and pipe.is_fifo()
    write_text(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    assert sorted(names(tmp_path)) == ["far", "link.txt", "pipe"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        write_atomic(path, fail)
    assert names(tmp_path) == ["a.txt"] and path.read_text() == "old"
    with pytest.raises(RuntimeError):
        write_atomic(tmp_path / "other.txt", fail)
    assert names(tmp_path) == ["a.txt"]


def test_the_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        assert temporary.suffix == ".txt" and temporary != path
        assert path.read_text() == "old"

    write_atomic(path, write)
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: could not write"),
        (errno.EDQUOT, "The disk is full: could not write"),
        (errno.EACCES, "No permission to write"),
        (errno.EROFS, "No permission to write"),
    ],
)
def test_a_full_or_closed_disk_is_one_sentence(tmp_path: Path, number: int, sentence: str) -> None:
    path = tmp_path / "a.txt"

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(EmoSymError, match=sentence) as caught:
        write_atomic(path, fail)
    assert str(path) in str(caught.value)
    assert names(tmp_path) == []


def test_other_system_errors_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), disk_errors(tmp_path):
        tmp_path.write_text("x")


def test_the_weight_writers_own_error_is_understood(tmp_path: Path) -> None:
    """safetensors reports the system's error as text of its own error class."""
    full = SafetensorError("Error while serializing: I/O error: No space left (os error 28)")
    with pytest.raises(EmoSymError, match="The disk is full"), disk_errors(tmp_path):
        raise full
    with pytest.raises(SafetensorError), disk_errors(tmp_path):
        raise SafetensorError("invalid header")
    with pytest.raises(SafetensorError, match="os error"):  # it still says so by that number
        save_file({"a": torch.zeros(1)}, tmp_path)


def test_a_refused_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(EmoSymError, match="No permission to write"):
        write_text(tmp_path / "a", "x")


def test_json_that_is_missing_broken_too_deep_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"Missing recipe: .*absent\.json does not exist"):
        read_json(tmp_path / "absent.json", "recipe")
    path = tmp_path / "a.json"
    for content in (b"{", b"\xff\xfe{}", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is not valid JSON"):
            read_json(path)
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 10)
    with pytest.raises(UsageError, match="larger than 10 bytes"):
        read_json(path)


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


def test_sha256(tmp_path: Path) -> None:
    content = b"x" * (3 * 2**20 + 5)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "relative", ["../a", "a/../../b", "/etc/passwd", "a/../..", "link/../../a", "..", "a\0b"]
)
def test_paths_that_leave_are_refused(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="leaves its folder"):
        inside(root, relative, "picture")


def test_paths_that_stay(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/../b.png") == tmp_path / "b.png"
    assert inside(tmp_path, "..a/b") == tmp_path / "..a" / "b"
    assert inside(tmp_path, ".") == tmp_path
    with pytest.raises(UsageError, match="characters that no file's name has"):
        inside(tmp_path, "a\ud800.png")


def test_a_link_inside_leads_where_it_was_made_to_lead(tmp_path: Path) -> None:
    """As the hub's cache has it: names in a snapshot, linked to blobs beside it."""
    (tmp_path / "blobs").mkdir()
    write_text(tmp_path / "blobs" / "c0ffee", "{}")
    root = tmp_path / "snapshots" / "main"
    root.mkdir(parents=True)
    (root / "a.json").symlink_to("../../blobs/c0ffee")
    assert read_json(inside(root, "a.json")) == {}


def test_a_name_in_another_unicode_form_is_found(tmp_path: Path) -> None:
    for held, asked in (("caf\u00e9.png", "cafe\u0301.png"), ("nai\u0308f.png", "na\u00eff.png")):
        write_text(tmp_path / held, "x")
        assert inside(tmp_path, asked) == tmp_path / held
        assert inside(tmp_path, held) == tmp_path / held
    assert inside(tmp_path, "\u00fc.png") == tmp_path / "\u00fc.png"


def test_what_is_at_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("nowhere")
    found = [look(tmp_path / name) for name in ("a", ".", "pipe", "b", "a/b")]
    assert found == ["file", "folder", "other", "nothing", "nothing"]
    for name, says in (
        ("x" * 300, "name is too long"),
        ("loop", "lead in a circle"),
        ("lost", "a link to 'nowhere', which is not there"),
    ):
        with pytest.raises(UsageError, match=says):
            look(tmp_path / name)
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UsageError, match="no permission to open it"):
        look(tmp_path / "a")


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_one_reader_for_all_text(tmp_path: Path, encoding: str, ends: str) -> None:
    path = tmp_path / "a.json"
    text = f'{ends}  {{"caf\u00e9":{ends} "awe"}}{ends}'
    path.write_bytes(text.encode(encoding))
    assert read_text(path) == text.replace(ends, "\n")
    assert read_json(path) == {"caf\u00e9": "awe"}


def test_text_that_is_none_and_files_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9 au lait")
    with pytest.raises(UsageError, match=r"prompt .*a\.txt is not text in UTF-8 or UTF-16"):
        read_text(path, "prompt")
    with pytest.raises(UsageError, match="larger than 3 bytes"):
        read_text(path, max_bytes=3)
    with pytest.raises(UsageError, match="is no regular file"):
        read_text(tmp_path)
    for content in (b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe \0"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is not valid JSON: it is empty"):
            read_json(path)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_whatever_comes_out_is_inside(text: str) -> None:
    root = Path("/no/such/root")
    try:
        found = inside(root, text)
    except UsageError:
        return
    assert found.is_relative_to(root) and json.dumps(str(found))


def test_printable_text_is_what_utf8_can_hold() -> None:
    names = [os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"caf\xe8.png"), "\ud83d"]
    assert [printable(name) for name in names] == [r"caf\udce9.png", r"caf\udce8.png", r"\ud83d"]
    assert printable("café 😀\n\0") == "café 😀\n\0"
