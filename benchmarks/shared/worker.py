"""Steps in another process, told over a pipe when to run.

For what a process has only once: how the C library keeps memory, and a number of threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from emosym.models.speed import LEAVE_OUT


class Worker:
    """A process that builds a step at a time and runs it when told."""

    def __init__(self, base: str, samples: int, threads: int, left_out: str = "") -> None:
        """Start it; `left_out` measures are those of the whole process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shared.worker", base, str(samples)],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": str(threads), LEAVE_OUT: left_out},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def build(self, job: str, left_out: Collection[str], batch: int | None, key: str) -> None:
        """Build a step under a name; all earlier ones of other jobs are dropped."""
        self.tell({"job": job, "left_out": sorted(left_out), "batch": batch, "key": key})
        self.wait()

    def start(self, key: str) -> None:
        """Begin one step; `wait` returns when it is done."""
        self.tell({"run": key})

    def run(self, key: str) -> None:
        """Run one step."""
        self.start(key)
        self.wait()

    def tell(self, order: dict[str, object]) -> None:
        """Send one order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        """Wait for the end of the last order."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "done\n":
            raise SystemExit("A worker of this benchmark died; its error stands above.")

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def serve(base: str, samples: int) -> None:
    """Take orders from stdin until it closes."""
    from shared.jobs import Step, build, draw_corpus
    from shared.toy import quiet_libraries

    from emosym.models.speed import keep_freed_memory

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like an answer
    quiet_libraries()
    keep_freed_memory()
    corpus = draw_corpus(base, samples)
    steps: dict[str, Step] = {}
    job = ""
    for line in sys.stdin:
        order = json.loads(line)
        if "run" in order:
            steps[order["run"]].run()
        else:
            steps = steps if order["job"] == job else {}
            job = order["job"]
            steps[order["key"]] = build(job, corpus, order["left_out"], order["batch"])
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
