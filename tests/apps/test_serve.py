"""`emosym serve`: what is refused before anything is opened, and one real process."""

from __future__ import annotations

import importlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

import emosym
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
def started(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of its own process, in a folder where nothing may appear."""
    command = (sys.executable, "-m", "emosym", "serve", "--port", "0", "--deadline", "300")
    source = str(Path(emosym.__file__).parents[1])
    environment = {**os.environ, "EMOSYM_API_KEY": KEY, "PYTHONPATH": source}
    with subprocess.Popen(
        (*command, "--model", str(tiny_checkpoint), "--device", "cpu"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        assert found and KEY not in line, line
        yield found[0], process
        process.kill()


# slow: it starts an interpreter that imports torch
@pytest.mark.slow
def test_a_real_process_from_start_to_end(started, tiny_checkpoint, tiny_pictures, tmp_path):
    url, process = started
    pictures = [Image.fromarray(picture) for picture in tiny_pictures.pictures[:2]]
    files = []
    for number, picture in enumerate(pictures):
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        files.append(("pictures", (f"{number}.png", stream.getvalue())))
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=300) as ask:
        while ask.get("/readyz").status_code != 200:
            pass
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
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 143
    assert process.stderr is not None
    told = process.stderr.read()
    assert "Stopped: it was asked to end" in told and KEY not in told
    assert not any(tmp_path.iterdir())


def test_the_client_needs_httpx(monkeypatch) -> None:
    from emosym.client import Client

    def without(name: str, package: str | None = None) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(EmoSymError, match=r"emosym\[client\]"):
        Client()
