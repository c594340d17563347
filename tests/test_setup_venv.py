"""The set-up script: when it has nothing to do, and how it answers trouble."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, working on a folder of its own that holds the project's two files."""
    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / "scripts" / "setup_venv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "STAMP": venv / ".emosym-installed",
        "VENV_PYTHON": venv / "bin" / "python",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def stamp(script: ModuleType) -> None:
    script.VENV_PYTHON.parent.mkdir(parents=True)
    script.VENV_PYTHON.symlink_to(sys.executable)
    script.STAMP.write_text(script.fingerprint() + "\n")


def test_a_stamped_folder_installs_nothing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not script.is_ready()
    stamp(script)
    monkeypatch.setattr(script.subprocess, "run", None)  # any program it starts would fail here
    assert script.main() == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again(script: ModuleType, name: str) -> None:
    stamp(script)
    assert script.is_ready()
    (script.ROOT / name).write_text("changed")
    assert not script.is_ready()


def test_old_python_and_missing_venv_module_are_one_sentence(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "OLDEST", (99, 0))
    assert script.main() == 1
    assert "EmoSym needs Python 3.10 or newer" in capsys.readouterr().err
    monkeypatch.setattr(script, "OLDEST", (3, 10))
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    assert script.main() == 1
    assert "-venv" in capsys.readouterr().err
    assert not script.VENV.exists()


def test_the_pin_is_read(script: ModuleType) -> None:
    assert script.torch_pin().startswith("torch==2.")
    (script.ROOT / "constraints.txt").write_text("torchmetrics==1.0\n")
    with pytest.raises(script.SetupError, match="does not pin torch"):
        script.torch_pin()


def test_build_of_torch_by_platform(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local wheel first, then the CPU index if it answers, then the plain package."""
    pin = "torch==2.13.0"
    plain = ("--no-deps", pin)
    local = ("--no-index", "--no-deps", pin)
    index = ("--no-deps", "--index-url", script.CPU_INDEX, pin)
    cases = [
        ("linux", False, True, {local}, [local]),
        ("linux", False, True, {index}, [local, index]),
        ("linux", False, False, {plain}, [local, plain]),
        ("linux", True, True, {plain}, [plain]),
        ("darwin", False, True, {plain}, [plain]),
    ]
    for platform, nvidia, answers, works, expected in cases:
        calls: list[tuple[str, ...]] = []

        def pip(*arguments: str, quiet: bool = False, calls=calls, works=works) -> bool:
            calls.append(arguments)
            return arguments in works

        monkeypatch.setattr(script, "has_torch", lambda pin: False)
        monkeypatch.setattr(script, "has_nvidia", lambda nvidia=nvidia: nvidia)
        monkeypatch.setattr(script, "cpu_index_answers", lambda answers=answers: answers)
        monkeypatch.setattr(script, "pip", pip)
        monkeypatch.setattr(script.sys, "platform", platform)
        script.install_torch(pin)
        assert calls == expected
    monkeypatch.setattr(script, "pip", lambda *arguments, quiet=False: False)
    with pytest.raises(script.SetupError, match="could not install torch"):
        script.install_torch(pin)


class Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.0 if self.path.startswith("/fast") else 1.0)
        self.send_response(404 if "absent" in self.path else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_index_must_answer_in_time(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert script.cpu_index_answers(f"{url}/fast", 5.0)
        assert not script.cpu_index_answers(f"{url}/fast/absent", 5.0)
        start = time.perf_counter()
        assert not script.cpu_index_answers(f"{url}/slow", 0.2)
        assert time.perf_counter() - start < 0.9
    finally:
        server.shutdown()
    assert not script.cpu_index_answers("http://127.0.0.1:1", 1.0)


def test_it_parses_on_pythons_too_old_for_emosym() -> None:
    """The sentence about the version must appear where the version is the trouble."""
    import ast

    ast.parse((ROOT / "scripts" / "setup_venv.py").read_text(), feature_version=(3, 7))


def test_makefile_targets_exist() -> None:
    done = subprocess.run(
        ["make", "-n", "demo", "test", "check", "IMAGES=my photos"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'emosym demo --images "my photos"' in done.stdout
