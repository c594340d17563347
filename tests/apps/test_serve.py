"""`emosym serve`: what is refused before anything is opened, and one real process."""

from __future__ import annotations

import importlib
import io
import re
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image
from tests.forks import command_in, forked

from emosym.errors import EmoSymError
from emosym.service.rows import reading_row
from emosym.service.session import open_session

KEY = "one-key-of-more-than-enough-signs"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("EMOSYM_API_KEY", raising=False)


def test_beyond_loopback_it_wants_a_key(command, tmp_path) -> None:
    code, _, err = command("serve", "--host", "0.0.0.0", "--model", "missing")
    assert code == 2 and "--api-key-file" in err and "--open" in err
    code, _, err = command("serve", "--host", "0.0.0.0", "--open", "--port", 0, "-m", "missing")
    assert code == 2 and "Unknown model 'missing'" in err
    code, _, err = command("serve", "--api-key-file", tmp_path / "none")
    assert code == 2 and "none" in err


def test_a_port_in_use_is_told_before_a_model_is_opened(command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = command("serve", "--port", port, "--model", "missing")
    assert code == 1 and f"Port {port} of 127.0.0.1 is in use" in err


def test_a_missing_checkpoint_and_two_of_one_name(command, tmp_path, tiny_checkpoint) -> None:
    code, _, err = command("serve", "--port", 0, "--model", tmp_path / "gone" / "checkpoint")
    assert code == 2 and "There is no checkpoint folder" in err
    twice = ("--model", tiny_checkpoint, "--model", tiny_checkpoint)
    code, _, err = command("serve", "--port", 0, *twice)
    assert code == 2 and "Two models are called 'checkpoint'" in err
    code, _, err = command("serve", "--port", 0, "--labels", "joy,calm")
    assert code == 2 and "--labels goes with --preset" in err


def test_without_the_extra_it_names_the_command(command, monkeypatch) -> None:
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name == "uvicorn":
            raise ImportError("No module named 'uvicorn'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    monkeypatch.delitem(sys.modules, "emosym.apps.server.running", raising=False)
    code, _, err = command("serve")
    assert code == 1 and "pip install 'emosym[serve]'" in err


@pytest.fixture
def started(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[tuple[str, BaseProcess, Path]]:
    """A server of its own process, in a folder where nothing may appear, and what it says."""
    folder, log = tmp_path / "here", tmp_path / "log"
    folder.mkdir()
    words = ["serve", "--port", "0", "--deadline", "300", "--device", "cpu"]
    words += ["--model", str(tiny_checkpoint)]
    with forked(command_in, folder, words, log=log, EMOSYM_API_KEY=KEY) as process:
        while not (found := re.search(r"http://[\d.]+:\d+", said(log))):
            assert process.exitcode is None, said(log)
            time.sleep(0.05)
        yield found[0], process, log


def said(log: Path) -> str:
    return log.read_text() if log.exists() else ""


# slow: a server of a process of its own, whose decoders are new interpreters
@pytest.mark.slow
def test_a_real_process_from_start_to_end(started, tiny_checkpoint, tiny_pictures, tmp_path):
    url, process, log = started
    pictures = [Image.fromarray(picture) for picture in tiny_pictures.pictures[:2]]
    files = []
    for number, picture in enumerate(pictures):
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        files.append(("pictures", (f"{number}.png", stream.getvalue())))
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=300) as ask:
        while ask.get("/readyz").status_code != 200:
            time.sleep(0.05)
        rows = ask.post("/v1/understand", files=files).json()["rows"]
        session = open_session(model=str(tiny_checkpoint), device="cpu")
        wanted = session.of_pictures().understand_all(pictures)
        for number, (row, reading) in enumerate(zip(rows, wanted, strict=True)):
            told = reading_row(f"{number}.png", reading)
            assert row["probabilities"] == pytest.approx(told["probabilities"], abs=1e-5)
            assert {k: v for k, v in row.items() if isinstance(v, str)} == {
                k: v for k, v in told.items() if isinstance(v, str)
            }
        decoders = [
            child
            for child in psutil.Process(process.pid).children()
            if "emosym.apps.server.decoder" in child.cmdline()
        ]
        assert decoders
        for decoder in decoders:
            assert "EMOSYM_API_KEY" not in decoder.environ()
            decoder.kill()
        answers = [ask.post("/v1/understand", files=files) for _ in range(3)]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert answers[-1].status_code == 200
    process.terminate()
    process.join(300)
    assert process.exitcode == 143
    told = log.read_text()
    assert "Stopped by SIGTERM;" in told and KEY not in told
    assert not any((tmp_path / "here").iterdir())


def test_the_client_needs_httpx(monkeypatch) -> None:
    from emosym.client import Client

    def without(name: str, package: str | None = None) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(EmoSymError, match=r"emosym\[client\]"):
        Client()
