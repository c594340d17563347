"""Run the benchmarks and put their tables into docs/performance.md, between the marks there.

python scripts/run_benchmarks.py                  all of them
python scripts/run_benchmarks.py reading bank     some of them
python scripts/run_benchmarks.py --quick          a smoke run: prints, and leaves the page alone
python scripts/run_benchmarks.py conversations --meld FOLDER    the same, on MELD's dialogues
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
# benchmarks/gpu.py is not among them: it wants a CUDA machine.
NAMES = (
    "start",
    "reading",
    "caching",
    "stages",
    "painting",
    "bank",
    "indexing",
    "drawing",
    "training",
    "conversations",
    "serving",
)
# Fewer repetitions where a repetition takes long: all of it in half an hour.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "indexing": ("--repeats", "3"),
    "training": ("--repeats", "3"),
    "conversations": ("--repeats", "5"),
}
BAR_HEAD = "| asked |"
BARS = "bars"


def main() -> None:
    """Run what is asked for, and update the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help=f"Some of: {', '.join(NAMES)} (default: all).")
    parser.add_argument("--quick", action="store_true", help="A smoke run that changes no page.")
    parser.add_argument("--meld", help="Folder of MELD, for the benchmark conversations.")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in options.names or NAMES:
        start = time.monotonic()
        more = ("--meld", str(Path(options.meld).resolve())) if options.meld else ()
        told = run(name, options.quick, more if name == "conversations" else ())
        print(f"== benchmarks/{name}.py took {time.monotonic() - start:.0f} s\n", flush=True)
        if not options.quick:
            update(PAGE, name, told)


def run(name: str, quick: bool, more: Sequence[str] = ()) -> str:
    """Run one benchmark, its output shown as it comes; return the output."""
    arguments = (*(("--quick",) if quick else ARGUMENTS.get(name, ())), *more)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    print(f"== benchmarks/{' '.join([f'{name}.py', *arguments])}", flush=True)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"benchmarks/{name}.py failed with exit code {process.returncode}.")
    return "".join(lines)


def update(page: Path, name: str, told: str) -> None:
    """Put a benchmark's output between its marks, and the bars of all of them at the top."""
    text = between(page.read_text(encoding="utf-8"), name, deeper(told))
    rows = bar_rows([section(text, known) for known in NAMES])
    text = between(text, BARS, "\n".join(rows))
    page.write_text(text, encoding="utf-8")


def marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a section that is written by a program."""
    return f"<!-- measured: {name} -->", f"<!-- end: {name} -->"


def section(text: str, name: str) -> str:
    """Return what stands between the marks of `name`, nothing where there are none."""
    first, last = marks(name)
    found = re.search(f"{re.escape(first)}\n(.*?){re.escape(last)}", text, re.DOTALL)
    return found.group(1) if found else ""


def between(text: str, name: str, new: str) -> str:
    """Return `text` with `new` between the marks of `name`.

    Exits with a sentence when the page lacks the marks.
    """
    first, last = marks(name)
    if first not in text or last not in text:
        sys.exit(f"The page has no lines {first!r} and {last!r}; put them where the table belongs.")
    head, _, rest = text.partition(first)
    tail = rest.partition(last)[2]
    return f"{head}{first}\n\n{new.strip()}\n\n{last}{tail}"


def deeper(told: str) -> str:
    """Return a benchmark's output with its headings one level down, below the page's own."""
    return re.sub(r"^###(?= )", "####", told, flags=re.MULTILINE)


def bar_rows(sections: Sequence[str]) -> list[str]:
    """Return one table of the rows of all tables that begin with BAR_HEAD."""
    found: list[str] = []
    for told in sections:
        lines = told.splitlines()
        for place, line in enumerate(lines):
            if line.startswith(BAR_HEAD):
                if not found:
                    found += lines[place : place + 2]
                for row in lines[place + 2 :]:
                    if not row.startswith("|"):
                        break
                    found.append(row)
    return found


if __name__ == "__main__":
    main()
