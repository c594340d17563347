"""How long `import emosym`, `emosym --help` and `emosym understand one.png` take when fresh.

The first two are paired with `python -c pass`, which is what the interpreter itself costs. The
reading is paired with what the libraries alone need before anything can be read: a process that
imports torch and transformers and loads the same base, its tokenizer and its image processor. It
is measured in seconds of processor time, which other jobs of the machine disturb least. Files are
in the page cache, as they are for every command but the first after a restart of the machine.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.bars import median, paired, show_bars
from shared.timing import arguments, interleaved, machine, show

from emosym.models.presets import resolve_base

BARE, IMPORT, HELP = "python -c pass", "import emosym", "emosym --help"
COMMANDS: dict[str, tuple[str, ...]] = {
    BARE: ("-c", "pass"),
    IMPORT: ("-c", "import emosym"),
    HELP: ("-m", "emosym", "--help"),
}
LIBRARIES = "import torch, transformers"
LOADED = "the same, then the base loaded by transformers"
READ = "emosym understand one.png"
LOADING = """
import torch, transformers
folder = {folder!r}
transformers.AutoModelForImageTextToText.from_pretrained(folder)
transformers.AutoTokenizer.from_pretrained(folder)
transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
"""
READINGS = 7  # repetitions: each takes tens of seconds


def command(words: Sequence[str]) -> Callable[[], None]:
    """Return a function that runs a fresh interpreter and waits for it."""

    def run() -> None:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"python {' '.join(words)} failed:\n{done.stderr}")

    return run


def processor_seconds() -> float:
    """Return the seconds of processor time of all processes waited for so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reading(picture: Path) -> dict[str, tuple[str, ...]]:
    """Return the commands that end in a reading, and what they are compared with."""
    from PIL import Image

    Image.effect_noise((128, 128), 60).convert("RGB").save(picture)
    folder = str(resolve_base("storybook-base").reader_folder())
    return {
        LIBRARIES: ("-c", LIBRARIES),
        LOADED: ("-c", LOADING.format(folder=folder)),
        READ: ("-m", "emosym", "understand", str(picture)),
    }


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    seconds = interleaved({name: command(w) for name, w in COMMANDS.items()}, options.repeats)
    show("Starting", seconds, BARE)
    repeats = min(options.repeats, READINGS)
    with TemporaryDirectory() as temporary:
        variants = {n: command(w) for n, w in reading(Path(temporary) / "one.png").items()}
        used = interleaved(variants, repeats, processor_seconds)
    show(f"Reading one picture, processor time, {repeats} repetitions", used, LOADED)
    rest = "what it imports; `python -X importtime -m emosym --help` lists it"
    show_bars(
        [
            median("`import emosym`", seconds[IMPORT], 300, rest),
            median("`emosym --help`", seconds[HELP], 500, rest),
            paired(f"`{READ}` / torch, transformers and loading", used, READ, LOADED, 1.4, rest),
        ]
    )
    machine(options.quick, options.repeats)


if __name__ == "__main__":
    main()
