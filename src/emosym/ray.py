"""Reading on Ray Data: actors that hold the model, for ten million pictures on a cluster.

    import ray
    from emosym.ray import Reader

    pictures = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
    rows = pictures.map_batches(Reader, batch_size=64, concurrency=8, num_gpus=1)
    rows.write_parquet("s3://bucket/readings")

`emosym understand PATTERN --engine ray --out FOLDER` does the same in parts that can be resumed.
It needs the extra `ray`, on every machine; `Reader` alone does not import it.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.errors import EmoSymError, UsageError
from emosym.extras import require
from emosym.service.parts import NAMES, Out, Part, columns_of, encoded, pictures_of
from emosym.service.picture_reader import open_picture_reader
from emosym.service.wanted import Wanted

if TYPE_CHECKING:
    import pyarrow as pa

# nothing is told to anyone unasked, and nothing of Ray's own affairs to the terminal
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}

MOST_PORTS, KNOCK_SECONDS = 65535, 5.0
NO_START = (OSError, RuntimeError, ValueError)  # what Ray says of a start that failed


class Reader:
    """Reads batches of pictures; the model is opened once, when an actor starts.

    A batch has a column `bytes` of encoded pictures, or `image` of arrays, and one of `source`,
    `path` or `name` that says what each is called. What comes back are the rows of
    `emosym understand --parquet`: a picture that cannot be read has its reason in `error`. Errors
    in opening are those of `open_picture_reader`.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        explain: bool = False,
        at_once: int | None = None,
        workers: int = 2,
        **wanted: Any,
    ) -> None:
        """Open the model; `wanted` are further fields of `Wanted` (zero_shot, preset, device)."""
        self.reader = open_picture_reader(Wanted(model, **wanted), explain, at_once)
        self.workers = workers

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> pa.Table:
        """Return a row a picture, as a table.

        Raises:
            UsageError: when the batch has no pictures, or no names for them.
        """
        from emosym.service.sinks import parquet_table

        names, content = columns_of(list(batch), "The batch")
        if names is None:
            raise UsageError(
                f"The batch does not say what its pictures are called: give it a column "
                f"{', '.join(map(repr, NAMES[:-1]))} (include_paths=True)."
            )
        called = [str(name) for name in batch[names]]
        pictures = [
            (name, value if isinstance(value, np.ndarray) else encoded(name, value))
            for name, value in zip(called, batch[content], strict=True)
        ]
        return parquet_table(self.reader.rows(pictures, self.workers), self.reader.space)


class PartReader:
    """Reads whole parts and writes each to its file; for `map_batches` over parts."""

    def __init__(self, out: str, workers: int, explain: bool, at_once: int | None, **wanted: Any):
        """Open the model; errors as in `open_picture_reader`."""
        self.out = Out(out)
        self.reader = open_picture_reader(Wanted(**wanted), explain, at_once)
        self.workers = workers

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
        """Read the parts of a batch; returns how many rows each has."""
        from emosym.service.sinks import parquet_table

        counts = []
        for text in batch["part"]:
            part = Part.load(text)
            rows = self.reader.rows(pictures_of(part), self.workers)
            table = parquet_table(rows, self.reader.space)
            self.out.write(part, table)
            counts.append(len(table))
        return {"rows": counts}


def read_parts(
    parts: Sequence[Part],
    out: str,
    wanted: Wanted,
    explain: bool = False,
    at_once: int | None = None,
    workers: int = 2,
    actors: int | None = None,
) -> Iterator[int]:
    """Read parts by actors of Ray and yield the rows of each as it is done, in any order.

    `actors` hold a model each: unset, one a GPU of the cluster, or one a processor core. A part
    whose actor dies is read again by another one; a part is written whole or not at all.

    Raises:
        EmoSymError: when Ray is not installed or does not start, or a part cannot be read for a
            fault of ours.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray = require("ray", "ray")
    data = require("ray.data", "ray")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    start(ray)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    cluster = ray.cluster_resources()
    gpus = int(cluster.get("GPU", 0)) if wanted.device in ("auto", "cuda") else 0
    count = min(actors or gpus or int(cluster.get("CPU", 1)), len(parts))
    texts = [{"part": part.dump()} for part in parts]
    fields = ("model", "zero_shot", "preset", "labels", "max_pixels", "device")
    dataset = data.from_items(texts, override_num_blocks=len(texts)).map_batches(
        PartReader,
        batch_size=1,
        compute=data.ActorPoolStrategy(size=count),
        num_gpus=min(1.0, gpus / count) if gpus else None,
        fn_constructor_args=(out, workers, explain, at_once),
        fn_constructor_kwargs={name: getattr(wanted, name) for name in fields},
    )
    try:
        for row in dataset.iter_rows():
            yield int(row["rows"])
    except ray.exceptions.RayError as error:
        raise EmoSymError(f"Ray could not go on: {_last_line(error)}") from error


def start(ray: Any) -> None:
    """Start Ray on this machine, or join the cluster that RAY_ADDRESS names, unless that is done.

    Raises:
        EmoSymError: in one sentence, when it does not come up.
    """
    if ray.is_initialized():
        return
    knock(os.environ.get("RAY_ADDRESS", ""))

    def tell(kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        # a start that takes too long is an Exception of no kind of its own
        if kind is None or not (kind is Exception or issubclass(kind, NO_START)):
            return False
        ray.shutdown()  # what came up of it
        raise EmoSymError(_no_start(error)) from error

    with ExitStack() as stack:
        stack.push(tell)
        ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)


def knock(address: str) -> None:
    """Refuse the address of a cluster at which nothing answers: Ray would try for many minutes.

    Raises:
        EmoSymError: in one sentence.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or int(port) > MOST_PORTS:
        return  # a word such as auto: Ray knows what it means
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as error:
        raise EmoSymError(_no_start(error)) from error


def _no_start(error: BaseException | None) -> str:
    """Return that Ray did not start, why, and what to do."""
    told, address = _first_sentence(error), os.environ.get("RAY_ADDRESS")
    if address:
        return (
            f"The Ray cluster that RAY_ADDRESS names ({address}) cannot be joined: {told}; see by "
            "`ray status` whether it is up, or unset RAY_ADDRESS to read on this machine alone."
        )
    return (
        f"Ray did not start on this machine: {told}; it gives its own start 30 seconds, which a "
        "busy machine may not keep, so try again later, or leave out --engine."
    )


def _first_sentence(error: BaseException | None) -> str:
    """Return the beginning of what Ray says, without a full stop."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words.split(". ", 1)[0].rstrip(".")


def _last_line(error: Exception) -> str:
    """Return the last line of what Ray says, which names the fault."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^[\w.]+Error: ", "", lines[-1]) if lines else type(error).__name__
