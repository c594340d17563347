"""`emosym doctor`: what is installed, what this machine computes with, which models can run."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym import __version__
from emosym.apps.cli.model_rows import parts_of, size_of
from emosym.apps.cli.models import get_command
from emosym.errors import EmoSymError, UsageError
from emosym.extras import EXTRAS, install_command, is_available
from emosym.files import read_json
from emosym.models.presets import PRESETS, Preset, resolve_base
from emosym.models.snapshots import MODELS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GIB = 1024**3
PACKAGE = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "torch",
    "transformers",
    "diffusers",
    "accelerate",
    "peft",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "pydantic",
    "pyarrow",
    "lancedb",
    "matplotlib",
    "tensorboard",
    "typer",
    "rich",
)
TRAINED = "storybook"
WHAT_GET_DOES = "Without --part reader the painter is fetched, too. Nothing is fetched unasked."
REINSTALL = "run `make setup` in a clone, or `pip install --upgrade emosym`"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's answer; `fix` is what to do when `ok` is False, or ""."""

    topic: str
    name: str
    ok: bool
    found: str
    fix: str = ""


def check_libraries() -> Iterator[Check]:
    """Yield Python, EmoSym and every base library with its version."""
    import importlib.metadata  # 50 ms that `emosym --help` need not wait for

    good = sys.version_info >= (3, 10)
    python = f"{platform.python_version()} ({sys.executable})"
    yield Check("library", "python", good, python, "" if good else "use Python 3.10 or newer")
    yield Check("library", "emosym", True, f"{__version__} ({PACKAGE})")
    for name in LIBRARIES:
        try:
            yield Check("library", name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check("library", name, False, "missing", REINSTALL)


def check_extras() -> Iterator[Check]:
    """Yield each optional extra: installed, or the command that installs it."""
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if not is_available(module)]
        found = f"missing: {', '.join(absent)}" if absent else f"installed: {', '.join(modules)}"
        yield Check("extra", extra, not absent, found, install_command(extra) if absent else "")


def check_machine() -> Iterator[Check]:
    """Yield the device, the measured CPU plan, memory and disk."""
    import psutil
    import torch

    from emosym.device import best_device, cpu_plan, processor_name, usable_cores

    device = best_device()
    named = torch.cuda.get_device_name(0) if device.type == "cuda" else processor_name()
    yield Check("machine", "device", True, f"{device} ({named})")
    plan = cpu_plan()
    cores = usable_cores()
    how = f"{plan.dtype}, {plan.attention} attention, {plan.threads} of {cores} cores"
    timings = sorted(plan.milliseconds.items(), key=lambda item: item[1])
    measured = ", ".join(f"{name} {value:.0f} ms" for name, value in timings)
    yield Check("machine", "CPU plan", True, f"{how}; measured: {measured or 'fixed by you'}")
    memory = psutil.virtual_memory()
    text = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f}"
    enough = memory.available > 2 * GIB
    yield Check("machine", "memory", enough, text, "" if enough else "close other programs")
    disk = shutil.disk_usage(Path.cwd())
    text = f"{disk.free / GIB:.1f} GiB free of {disk.total / GIB:.1f} (this folder)"
    enough = disk.free > 2 * GIB
    yield Check("machine", "disk", enough, text, "" if enough else "free at least 2 GiB")


def check_shipped(preset: Preset) -> Check:
    """Return whether weights that come with this package are present and whole."""
    try:
        base = resolve_base(preset.name)
    except EmoSymError as error:
        fix = f"`git checkout src/emosym/weights`, or `emosym train {preset.name}`"
        return Check("preset", preset.name, False, str(error), fix)
    files = Path(base.reader).parent.rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    return Check("preset", preset.name, True, f"shipped, {size / 1e6:.1f} MB, checksums match")


def check_model(name: str) -> Check:
    """Return whether a shipped trained model can be opened: what `understand` reads with."""
    from emosym.models.presets import WEIGHTS, verify_files

    folder = WEIGHTS / name
    try:
        files = read_json(folder / "emosym.json", "shipped model")["files"]
        verify_files(folder, files)
    except EmoSymError as error:
        fix = "`git checkout src/emosym/weights`, or `make demo` and its checkpoint folder"
        return Check("preset", name, False, str(error), fix)
    size = sum((folder / file).stat().st_size for file in files)
    return Check("preset", name, True, f"trained, shipped, {size / 1e6:.1f} MB, checksums match")


def check_hub(preset: Preset) -> Check:
    """Return whether a preset can read here, and what to do if not.

    A painter that is not here is told, and is no fault: reading goes without it.
    """
    parts = {part.part: part for part in parts_of(preset)}
    found, fixes = [], []
    for name, part in parts.items():
        here = "here" if part.folder is not None else f"not here, {size_of(part.gigabytes)}"
        found.append(f"{name} {here}")
    if parts["reader"].folder is None:
        fixes.append(f"`{get_command(preset.name, 'reader')}`")
    kind, free = free_gigabytes()
    found.append(f"needs {preset.memory_gb:g} GB on {kind}, {free:.1f} free")
    if free < preset.memory_gb:
        fixes.append("use a device with more memory")
    return Check("preset", preset.name, not fixes, "; ".join(found), ", and ".join(fixes))


def free_gigabytes() -> tuple[str, float]:
    """Return the kind of the best device, and how many GB are free on it."""
    from emosym.device import best_device
    from emosym.models.snapshots import GB, free_memory

    kind = best_device().type
    return kind, free_memory(kind) / GB


def all_checks() -> list[Check]:
    """Return every check; what needs torch is left out where torch is missing."""
    checks = [*check_libraries(), *check_extras()]
    if all(is_available(name) for name in ("torch", "psutil")):
        checks += check_machine()
    ready = all(is_available(name) for name in ("torch", "psutil", "huggingface_hub"))
    checks.append(check_model(TRAINED))
    for preset in PRESETS.values():
        if preset.shipped:
            checks.append(check_shipped(preset))
        elif ready:
            checks.append(check_hub(preset))
    return checks


def table_of(topic: str, checks: list[Check]) -> Table:
    """Return the rich table of one topic."""
    from rich.markup import escape
    from rich.table import Table

    title = {"library": "Libraries", "extra": "Optional extras", "machine": "This machine"}
    table = Table(title=title.get(topic, "Models and bases that can run"), title_justify="left")
    table.add_column("")
    table.add_column("name", no_wrap=True)
    table.add_column("found", overflow="fold")
    optional = topic == "extra" or topic == "preset"
    for check in checks:
        mark = "[green]yes" if check.ok else ("[yellow]no" if optional else "[red]no")
        table.add_row(mark, check.name, escape(check.found))
    return table


def to_do(checks: list[Check]) -> list[str]:
    """Return what to do below a table, a line each: a command in it is copied whole."""
    return [f"  {check.name}: {check.fix}" for check in checks if not check.ok and check.fix]


def print_topic(console: Console, topic: str, checks: list[Check]) -> None:
    """Print one topic's table and, below it, what to do about its faults."""
    mine = [check for check in checks if check.topic == topic]
    console.print(table_of(topic, mine))
    for line in to_do(mine):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if topic == "preset":
        console.print(WHAT_GET_DOES, soft_wrap=True, markup=False, highlight=False)


def doctor(
    models: Annotated[
        Path | None,
        typer.Option(help="A folder that holds hub models by their last name; as EMOSYM_MODELS."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what is installed, what this machine computes with, and which presets can run."""
    if models is not None and not models.is_dir():
        raise UsageError(f"--models {models} is not a folder.")
    if models is not None:
        os.environ[MODELS] = str(models)
    checks = all_checks()
    shipped = [TRAINED, *(preset.name for preset in PRESETS.values() if preset.shipped)]
    needed = [check for check in checks if check.topic == "library" or check.name in shipped]
    if as_json:
        import json
        from dataclasses import asdict

        rows: list[dict[str, Any]] = [asdict(check) for check in checks]
        typer.echo(json.dumps(rows, indent=2))
    else:
        from rich.console import Console

        console = Console()
        for topic in ("library", "extra", "machine", "preset"):
            print_topic(console, topic, checks)
    if not all(check.ok for check in needed):
        raise typer.Exit(1)
