"""Read pictures on Ray with two actors, kill one in the middle, and compare with one process.

    emosym data storybook /tmp/many --count 2000
    python scripts/kill_an_actor.py /tmp/many --part 50

One actor is stopped once a part is done, so that it holds parts which the other cannot finish; when
only those are left it is killed. The run must then go on to the rows that one process reads.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from pyarrow import parquet

import emosym
from emosym.service.parts import find_files, plan_parts

ACTORS = 2
QUIET_SECONDS = 5.0  # without a new part: what is left is held by the actor that stands still
WORKER = "MapWorker"  # of Ray's name of a process that holds an actor of map_batches
CLOSE = 1e-4  # numbers may differ with what else is in a batch


@dataclass(frozen=True, slots=True)
class Kill:
    """Which process was killed, the numbers of the parts that were missing then, and the seconds.

    `after` are the processes that held actors when the run went on.
    """

    victim: int
    missing: tuple[int, ...]
    after: tuple[int, ...]
    seconds: float


def read_and_kill(
    asked: Sequence[str], out: Path, parts: int, quiet: float = QUIET_SECONDS
) -> Kill:
    """Run `emosym understand ASKED --engine ray --out OUT` and kill one of its two actors.

    It is killed after `quiet` seconds without a new part: where a part takes longer, others than
    those that it holds are missing, too.

    Raises:
        RuntimeError: when the run ended before an actor could be killed, or did not end well.
    """
    source = str(Path(emosym.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "RAY_worker_niceness": "0"}
    command = [sys.executable, "-m", "emosym", "understand", *asked, "--engine", "ray"]
    command += ["--out", str(out), "--actors", str(ACTORS)]
    begun = time.monotonic()
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        actors: tuple[int, ...] = ()
        while process.poll() is None and not (len(actors) == ACTORS and done_in(out)):
            actors = actors_of(process.pid)
            time.sleep(0.02)
        if process.poll() is not None:
            raise RuntimeError(f"It ended before an actor was killed: {process.communicate()[1]}")
        victim = actors[0]
        os.kill(victim, signal.SIGSTOP)
        count, changed = -1, time.monotonic()
        while time.monotonic() - changed < quiet:
            if len(done_in(out)) != count:
                count, changed = len(done_in(out)), time.monotonic()
            time.sleep(0.1)
        missing = tuple(sorted(set(range(parts)) - done_in(out)))
        os.kill(victim, signal.SIGKILL)
        after: set[int] = set()
        while process.poll() is None:
            after |= set(actors_of(process.pid)) - {victim}
            time.sleep(0.2)
        _, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"The run did not survive: {err}")
    return Kill(victim, missing, tuple(sorted(after)), time.monotonic() - begun)


def actors_of(process: int) -> tuple[int, ...]:
    """Return the processes below a process that hold actors of Ray."""
    found = []
    for child in psutil.Process(process).children(recursive=True):
        try:
            if WORKER in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return tuple(sorted(found))


def done_in(out: Path) -> set[int]:
    """Return the numbers of the parts that are written."""
    return {int(path.stem.removeprefix("part-")) for path in out.glob("part-*.parquet")}


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts, in order."""
    return [
        row for part in sorted(out.glob("part-*")) for row in parquet.read_table(part).to_pylist()
    ]


def differences(found: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> int:
    """Return how many rows are not the same, numbers up to rounding; rows too many count."""
    return abs(len(found) - len(wanted)) + sum(map(_differ, found, wanted))


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, abs_tol=CLOSE)
        return bool(a == b)

    return one.keys() != other.keys() or not all(same(one[k], other[k]) for k in one)


def main() -> None:
    """Read both ways and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pictures", type=Path, help="A folder of pictures.")
    parser.add_argument("--part", type=int, default=50, help="Pictures a part.")
    parser.add_argument("--model", default="storybook")
    parser.add_argument(
        "--quiet", type=float, default=QUIET_SECONDS, help="Seconds; longer than a part takes."
    )
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        one, out = Path(folder, "one.parquet"), Path(folder, "out")
        asked = [str(options.pictures), "--model", options.model]
        parts = len(plan_parts(find_files(asked[:1]), options.part))
        kill = read_and_kill([*asked, "--part", str(options.part)], out, parts, options.quiet)
        begun = time.monotonic()
        plain = [sys.executable, "-m", "emosym", "understand", *asked, "--parquet", str(one)]
        subprocess.run(plain, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        alone, wanted = time.monotonic() - begun, parquet.read_table(one).to_pylist()
        found = rows_of(out)
        held = [len(parquet.read_table(out / f"part-{k:06d}.parquet")) for k in kill.missing]
        print(f"one process: {len(wanted)} rows in {alone:.0f} s")
        print(f"{ACTORS} actors: {len(found)} rows in {parts} parts, {kill.seconds:.0f} s")
        print(f"process {kill.victim} was killed when parts {list(kill.missing)} were missing")
        print(f"processes {list(kill.after)} read these {sum(held)} pictures")
        print(f"rows that differ from those of one process: {differences(found, wanted)}")
        print(json.loads((out / "summary.json").read_text()))


if __name__ == "__main__":
    main()
