"""One writer a folder: who holds it is told, and the dead hold nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emosym.errors import EmoSymError
from emosym.locks import LOCK, one_writer

SOURCE = Path(__file__).resolve().parents[1] / "src"
HOLDER = """
import sys, time
from pathlib import Path
from emosym.locks import one_writer
with one_writer(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of tmp_path."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_named_and_the_dead_hold_nothing(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(EmoSymError) as refused, one_writer(tmp_path, "training"):
        pass
    said = str(refused.value)
    assert f"process {holder.pid} on {socket.gethostname()} has been training there since" in said
    assert re.search(r"since \d{4}-\d\d-\d\dT[\d:]{8}\+00:00\. Wait for it", said)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).is_file()  # it had no time to clear up
    with one_writer(tmp_path, "training"):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()
    assert not (tmp_path / LOCK).exists()


def test_a_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), one_writer(tmp_path / "new", "training"):
            raise KeyError
    assert list((tmp_path / "new").iterdir()) == []


def test_patience_waits_for_the_one_before(tmp_path: Path) -> None:
    from threading import Event, Thread

    held, order = Event(), []

    def first() -> None:
        with one_writer(tmp_path, "writing"):
            held.set()
            order.append("first")
            Event().wait(0.2)
            order.append("first ends")

    thread = Thread(target=first)
    thread.start()
    held.wait()
    with pytest.raises(EmoSymError, match="is in use"), one_writer(tmp_path, "writing"):
        pass
    with one_writer(tmp_path, "writing", patience=60):
        order.append("second")
    thread.join()
    assert order == ["first", "first ends", "second"]


def test_a_lock_that_does_not_say_whose_it_is(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    for content in (b"", b"{", b"[]", b"{}", b"\xff"):
        (tmp_path / LOCK).write_bytes(content)
        with (
            pytest.raises(EmoSymError, match="another process is writing"),
            one_writer(tmp_path, "training"),
        ):
            pass


def test_without_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder, or a file system that has none: what is written there fails by itself."""

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with one_writer(tmp_path, "training"):
        assert list(tmp_path.iterdir()) == []
