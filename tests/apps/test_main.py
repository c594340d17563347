"""The command: fast help, sentences instead of tracebacks, exit codes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emosym import __version__
from emosym.apps.cli import main as main_module
from emosym.apps.cli.doctor import all_checks, check_shipped
from emosym.device import cpu_plan
from emosym.errors import EmoSymError, UsageError
from emosym.extras import EXTRAS, is_available, require
from emosym.files import write_json
from emosym.models import presets

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, code: str = "from emosym.apps.cli.main import main; main()", **extra: str):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **extra}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment
    )


def test_help_names_the_verbs() -> None:
    """How long it takes is `benchmarks/start.py`'s; that it loads nothing heavy, test_imports'."""
    done = run("--help")
    assert done.returncode == 0
    for verb in ("doctor", "data", "bank", "report", "emoverse"):
        assert verb in done.stdout


def test_version() -> None:
    assert run("--version").stdout.strip() == f"emosym {__version__}"


def test_unknown_verb_and_option_exit_2_with_the_nearest_name(command: Any) -> None:
    code, out, err = command("doctr")
    assert (code, out) == (2, "")
    assert "doctor" in err
    assert "Traceback" not in err
    assert command("doctor", "--jsn")[0] == 2


RAISE = "import emosym.apps.cli.main as m\n@m.app.command()\ndef fail(): {}\nm.main()"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("No such [emotion]."), 2, "[emotion]"),
        (EmoSymError("It broke."), 1, "It broke."),
        (OSError(28, "No space left", "/x/y"), 1, "disk is full (/x/y)"),
        (PermissionError(13, "denied", "/x/y"), 1, "No permission"),
        (MemoryError(), 1, "Out of memory"),
        (KeyboardInterrupt(), 130, "Stopped by Ctrl-C; nothing half-written was left behind."),
    ],
)
def test_errors_become_one_sentence(
    command: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    known = main_module.app.registered_commands
    monkeypatch.setattr(main_module.app, "registered_commands", [*known])

    @main_module.app.command()
    def fail() -> None:
        raise error

    found, out, err = command("fail")
    assert (found, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1


def test_a_process_of_its_own_ends_in_one_sentence_too() -> None:
    """A broken pipe changes how a process ends."""
    user = "from emosym.errors import UsageError as E; raise E('No such [emotion].')"
    pipe = "raise BrokenPipeError(32, 'Broken pipe')"
    for statement, code, sentence in ((user, 2, "[emotion]"), (pipe, 1, "")):
        done = run("fail", code=RAISE.format(statement))
        assert done.returncode == code
        assert sentence in done.stderr and "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) <= 1


def test_debug_shows_the_traceback_and_bugs_always_do() -> None:
    user = "from emosym.errors import UsageError as E; raise E('No.')"
    assert "Traceback" in run("fail", code=RAISE.format(user), EMOSYM_DEBUG="1").stderr
    bug = run("fail", code=RAISE.format("raise RuntimeError('bug')"))
    assert bug.returncode == 1
    assert "Traceback" in bug.stderr
    assert main_module.sentence_of(OSError(errno.EIO, "broken")) is None


def test_a_process_that_is_asked_to_end_clears_up_and_says_so(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
import emosym.apps.cli.main as m
from emosym.files import write_atomic

def half(path):
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGTERM)

@m.app.command()
def fail():
    write_atomic(Path({str(tmp_path / "a.txt")!r}), half)

m.main()
"""
    done = run("fail", code=code)
    assert done.returncode == 143
    assert len(done.stderr.strip().splitlines()) == 1 and "SIGTERM" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_closed_pipe_is_quiet() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    many = "import emosym.apps.cli.main as m, typer\n@m.app.command()\ndef many():\n"
    many += "    for i in range(100000): typer.echo(i)\nm.main()"
    with subprocess.Popen(
        [sys.executable, "-c", many, "many"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_require_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(EmoSymError, match=r"pip install 'emosym\[4bit\]'"):
        require("no_such_module_at_all", "4bit")
    with pytest.raises(UsageError, match="Did you mean 'hub'"):
        require("json", "hubb")
    assert require("json", "hub") is json
    assert is_available("json")
    assert not is_available("no_such_module_at_all")


def test_extras_are_those_of_pyproject() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["optional-dependencies"]
    assert set(declared) - {"dev"} == set(EXTRAS)
    for extra, modules in EXTRAS.items():
        names = {text.split(">=")[0].split("[")[0].replace("-", "_") for text in declared[extra]}
        assert names == set(modules)


def shipped(folder: Path) -> Path:
    """Write a base folder with checksums; return its one weights file."""
    (folder / "reader").mkdir(parents=True)
    weights = folder / "reader" / "model.safetensors"
    weights.write_bytes(b"weights")
    presets.write_base(folder, 64, {})
    return weights


def test_damaged_shipped_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path)
    preset = presets.PRESETS["storybook-base"]
    assert not check_shipped(preset).ok
    weights = shipped(tmp_path / "storybook-base")
    assert check_shipped(preset).ok
    weights.write_bytes(b"weightz")
    check = check_shipped(preset)
    assert not check.ok
    assert "reader/model.safetensors" in check.found
    assert "emosym train storybook-base" in check.fix


def test_doctor_tells_all_topics_and_fails_without_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", "float32 sdpa")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path)
    cpu_plan.cache_clear()
    done = CliRunner().invoke(main_module.app, ["doctor"])
    assert done.exit_code == 1
    for text in ("torch", "emosym[4bit]", "CPU plan", "storybook-base", "emosym-7b"):
        assert text in done.stdout
    shipped(tmp_path / "storybook-base")
    assert CliRunner().invoke(main_module.app, ["doctor"]).exit_code == 1  # no other base yet
    shipped(tmp_path / "storybook-dialogue-base")
    assert CliRunner().invoke(main_module.app, ["doctor"]).exit_code == 1  # no trained model yet
    write_json(tmp_path / "storybook" / "emosym.json", {"files": {}})
    done = CliRunner().invoke(main_module.app, ["doctor", "--json"])
    cpu_plan.cache_clear()
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert rows["storybook-base"]["ok"] and rows["storybook"]["ok"]
    assert rows["CPU plan"]["found"].startswith("float32, sdpa attention")
    assert all(row["fix"] for row in rows.values() if not row["ok"])


def test_doctor_prints_commands_whole_and_below_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_CPU_PLAN", "float32 sdpa")
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path))
    monkeypatch.delenv("EMOSYM_MODELS", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    reader = tmp_path / "models" / "Qwen2-VL-2B-Instruct"
    reader.mkdir(parents=True)
    (reader / "model.safetensors").touch()
    cpu_plan.cache_clear()
    done = CliRunner().invoke(main_module.app, ["doctor"])
    cpu_plan.cache_clear()
    lines = done.stdout.splitlines()
    assert "  smollm2-135m: `emosym models get smollm2-135m`" in "\n".join(lines)
    assert any("`emosym models get internvl3-1b --part reader`" in line for line in lines)
    for row in (line for line in lines if line.startswith("│")):
        assert "models get" not in row and "pip install" not in row and "hf download" not in row
    checks = {check.name: check for check in all_checks()}
    assert "painter" not in checks["smollm2-135m"].found
    assert "reader not here, 0.3 GB" in checks["smollm2-135m"].found
    assert checks["emosym-2b"].found.startswith("reader here; painter not here, 5.5 GB; needs 9 GB")
    assert "models get" not in checks["emosym-2b"].fix  # it reads: no painter is asked for


def test_doctor_refuses_a_missing_models_folder(tmp_path: Path) -> None:
    done = run("doctor", "--models", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "is not a folder" in done.stderr
