"""The numbers of a run: a line of metrics.jsonl and TensorBoard every few steps."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.files import disk_errors, write_text


class MetricsLog:
    """Means of every `every` steps into metrics.jsonl and TensorBoard, by the main process."""

    def __init__(
        self,
        out: Path,
        name: str,
        every: int,
        steps: int,
        batch_size: int,
        start: int,
        main: bool,
        kept: Path | None = None,
    ) -> None:
        """Open out/metrics.jsonl for steps after `start`; later lines are of a run that died.

        `kept` are the lines as the state at `start` has them; without, the file's own are taken.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._name, self._every, self._steps = name, every, steps
        self._batch_size, self._main = batch_size, main
        self._path = out / "metrics.jsonl"
        self._values: dict[str, list[float]] = {}
        self._count, self._clock = 0, time.monotonic()
        self._last: dict[str, float] = {}
        if not main:
            return
        out.mkdir(parents=True, exist_ok=True)
        rows = whole_rows(kept if kept is not None and kept.is_file() else self._path, start)
        write_text(self._path, "".join(f"{json.dumps(row)}\n" for row in rows))
        if rows:
            self._last = {
                k: v for k, v in rows[-1].items() if k not in ("step", "samples_per_second")
            }
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=start)

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Add one step's losses and write a line when `every` steps are full."""
        for name, value in losses.items():
            self._values.setdefault(name, []).append(value)
        self._count += 1
        done = step + 1
        if done % self._every and done != self._steps:
            return
        self._last = {k: sum(v) / len(v) for k, v in self._values.items()}
        seconds = max(time.monotonic() - self._clock, 1e-9)
        speed = self._count * self._batch_size / seconds
        if self._main:
            with disk_errors(self._path), self._path.open("a") as stream:
                row = {"step": done, **self._last, "samples_per_second": round(speed, 1)}
                stream.write(json.dumps(row) + "\n")
            for name, value in self._last.items():
                self._board.add_scalar(f"{self._name}/{name}", value, done)
        self._values, self._count, self._clock = {}, 0, time.monotonic()

    def close(self) -> dict[str, float]:
        """Close the writer and return the last means."""
        if self._main:
            self._board.close()
        return self._last


def whole_rows(path: Path, last: int) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl up to step `last`; lines that were torn are left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int) and row["step"] <= last:
            rows.append(row)
    return rows
