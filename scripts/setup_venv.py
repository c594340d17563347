"""Create `.venv` and install EmoSym into it; do nothing when that is already done.

Standard library only: it runs on whatever Python the machine has, before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / ".emosym-installed"
VENV_PYTHON = VENV / "bin" / "python"
OLDEST = (3, 10)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_INDEX_SECONDS = 3.0


class SetupError(Exception):
    """One clear sentence on what to do."""


def runs(python: str) -> bool:
    """Tell whether a command of this name starts (a version manager's shim may not)."""
    path = shutil.which(python)
    return path is not None and subprocess.run([path, "-V"], capture_output=True).returncode == 0


def check_python() -> None:
    """Raise SetupError when this Python cannot make the environment."""
    if sys.version_info < OLDEST:
        newer = [f"python3.{minor}" for minor in range(20, 9, -1)]
        found = next((name for name in newer if runs(name)), None)
        advice = (
            f"Run: make PYTHON={found}" if found else "Install a newer one, then run make again"
        )
        raise SetupError(
            f"EmoSym needs Python 3.10 or newer; {sys.executable} is "
            f"{sys.version_info[0]}.{sys.version_info[1]}. {advice}."
        )
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        raise SetupError(
            f"The venv module of {sys.executable} is missing. On Debian or Ubuntu run "
            f"`sudo apt install python3.{sys.version_info[1]}-venv`, then make again."
        )


def fingerprint() -> str:
    """Return a hash of all that decides what is installed, and where."""
    parts = [
        (ROOT / "pyproject.toml").read_bytes(),
        (ROOT / "constraints.txt").read_bytes(),
        sys.version.encode(),
        str(ROOT).encode(),  # an editable install points at this folder
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_ready() -> bool:
    """Tell whether `.venv` already holds exactly what is asked for."""
    return (
        VENV_PYTHON.exists()
        and STAMP.is_file()
        and STAMP.read_text(encoding="utf-8").strip() == fingerprint()
    )


def venv_works() -> bool:
    """Tell whether `.venv` has a pip and the version of this Python (an upgrade breaks both)."""
    if not VENV_PYTHON.exists():
        return False
    code = "import pip, sys; print(*sys.version_info[:2])"
    done = subprocess.run([str(VENV_PYTHON), "-c", code], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.split() == [str(n) for n in sys.version_info[:2]]


def pip(*arguments: str, quiet: bool = False) -> bool:
    """Run pip in `.venv`; return whether it succeeded. `quiet` hides a failure that is expected."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "-qq", *arguments]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, env=environment, stdout=sink, stderr=sink).returncode == 0


def has_nvidia() -> bool:
    """Tell whether this machine has an NVIDIA device with its driver."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def cpu_index_answers(url: str = CPU_INDEX, seconds: float = CPU_INDEX_SECONDS) -> bool:
    """Tell whether PyTorch's CPU index answers in time (a thread: name look-ups can hang)."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{url}/torch/", timeout=seconds) as reply:
                answers.append(reply.status == 200)
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [True]


def torch_pin() -> str:
    """Return the pinned requirement, `torch==X`, of constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(r"^torch==(\S+)", text, flags=re.MULTILINE)
    if found is None:
        raise SetupError("constraints.txt does not pin torch; restore it from the repository.")
    return f"torch=={found[1]}"


def has_torch(pin: str) -> bool:
    """Tell whether `.venv` already has the pinned torch, of any build."""
    code = "from importlib.metadata import version; print(version('torch').split('+')[0])"
    done = subprocess.run([str(VENV_PYTHON), "-c", code], capture_output=True, text=True)
    return done.returncode == 0 and f"torch=={done.stdout.strip()}" == pin


def install_torch(pin: str) -> None:
    """Install torch alone, a CPU build on Linux without an NVIDIA device."""
    if has_torch(pin):
        return
    if sys.platform == "linux" and not has_nvidia():
        if pip("--no-index", "--no-deps", pin, quiet=True):
            say(f"{pin}: a local wheel")
            return
        if cpu_index_answers():
            say(f"{pin}: downloading the CPU build from {CPU_INDEX}")
            if pip("--no-deps", "--index-url", CPU_INDEX, pin):
                return
    say(f"{pin}: downloading the package for this platform")
    if not pip("--no-deps", pin):
        raise SetupError(
            f"pip could not install {pin} (its message is above). Check the network, or put a "
            "wheel for this platform in a folder and set PIP_FIND_LINKS to it."
        )


def say(line: str) -> None:
    """Print one line of progress at once."""
    print(f"[setup] {line}", flush=True)


def set_up() -> None:
    """Create `.venv`, install torch and then EmoSym with its pinned dependencies, and stamp it."""
    check_python()
    if is_ready():
        return
    if not venv_works():
        say(f"creating {VENV} with Python {sys.version.split()[0]}")
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
            raise SetupError(f"Python could not create {VENV}; its message is above.")
    STAMP.unlink(missing_ok=True)
    install_torch(torch_pin())
    say("installing EmoSym and its libraries (one to three minutes)")
    constraints = str(ROOT / "constraints.txt")
    if not pip("-c", constraints, "-e", f"{ROOT}[dev]"):
        raise SetupError(
            "pip could not install the libraries (its message is above). "
            "Check the network and the free disk space, then run make again."
        )
    STAMP.write_text(fingerprint() + "\n", encoding="utf-8")
    say("done")


def main() -> int:
    """Set up; return the exit code."""
    try:
        set_up()
    except SetupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; run make again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
