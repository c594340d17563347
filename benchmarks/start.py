"""How long `import emosym` and `emosym --help` take in a fresh interpreter.

Paired with `python -c pass`, which is what the interpreter itself costs. Files are in the page
cache, as they are for every command but the first after a restart of the machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

from shared.bars import median, show_bars
from shared.timing import arguments, interleaved, machine, show

BARE, IMPORT, HELP = "python -c pass", "import emosym", "emosym --help"
COMMANDS: dict[str, tuple[str, ...]] = {
    BARE: ("-c", "pass"),
    IMPORT: ("-c", "import emosym"),
    HELP: ("-m", "emosym", "--help"),
}


def command(words: Sequence[str]) -> Callable[[], None]:
    """Return a function that runs a fresh interpreter and waits for it."""

    def run() -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    return run


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    variants = {name: command(words) for name, words in COMMANDS.items()}
    seconds = interleaved(variants, options.repeats)
    show("Starting", seconds, BARE)
    rest = "what it imports; `python -X importtime -m emosym --help` lists it"
    show_bars(
        [
            median("`import emosym`", seconds[IMPORT], 300, rest),
            median("`emosym --help`", seconds[HELP], 500, rest),
        ]
    )
    machine(options.quick, options.repeats)


if __name__ == "__main__":
    main()
