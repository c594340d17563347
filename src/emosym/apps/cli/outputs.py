"""Where readings go: JSON, CSV and Parquet files that grow row by row, and are whole or absent."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from emosym.errors import UsageError
from emosym.files import disk_errors, write_atomic

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace

Row = dict[str, Any]
Sink = Callable[[Row], None]
Result = TypeVar("Result")
FORMATS = ("json", "csv", "parquet")
STDOUT = Path("-")
BATCH_ROWS = 1024


def check_outputs(outputs: Mapping[str, Path]) -> None:
    """Refuse outputs that cannot become files, before any work is done.

    Raises:
        UsageError: for a folder, a path below a file, one path twice, or Parquet to the terminal.
    """
    seen: set[Path] = set()
    for kind, path in outputs.items():
        if path == STDOUT and kind == "parquet":
            raise UsageError("Parquet is binary; give --parquet a file name.")
        if path in seen:
            raise UsageError(f"Two outputs cannot both be {path}.")
        seen.add(path)
        if path != STDOUT:
            check_output(path)


def check_output(path: Path) -> None:
    """Refuse a path that cannot become a file; errors as in `check_outputs`."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file in it.")
    for parent in path.parents:
        if parent.exists() and not parent.is_dir():
            raise UsageError(f"{path} cannot be written: {parent} is a file, not a folder.")


def make_parent(path: Path) -> None:
    """Create the folder that `path` will be in.

    Raises:
        EmoSymError: when that is not possible: one sentence.
    """
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def with_outputs(
    outputs: Mapping[str, Path], space: Callable[[], LabelSpace], body: Callable[[Sink], Result]
) -> Result:
    """Run `body` with a function that takes rows; the files are renamed into place at its end.

    `space` is asked at the first row. When `body` raises, no file is left behind.
    """
    return _open_next(list(outputs.items()), [], space, body)


def _open_next(
    left: list[tuple[str, Path]],
    opened: list[Sink],
    space: Callable[[], LabelSpace],
    body: Callable[[Sink], Result],
) -> Result:
    if not left:
        return body(lambda row: _to_all(opened, row))
    (kind, path), rest = left[0], left[1:]
    done: list[Result] = []

    def fill(temporary: Path) -> None:
        with ExitStack() as stack:
            sink = SINKS[kind](None if path == STDOUT else temporary, space, stack)
            done.append(_open_next(rest, [*opened, sink], space, body))

    if path == STDOUT:
        fill(path)
    else:
        make_parent(path)
        write_atomic(path, fill)
    return done[0]


def _to_all(sinks: Sequence[Sink], row: Row) -> None:
    for sink in sinks:
        sink(row)


def _stream(path: Path | None, stack: ExitStack, newline: str | None = None) -> IO[str]:
    if path is None:
        return sys.stdout
    return stack.enter_context(path.open("w", encoding="utf-8", newline=newline))


def _json_sink(path: Path | None, space: Callable[[], LabelSpace], stack: ExitStack) -> Sink:
    """One JSON array, a row on each line."""
    stream = _stream(path, stack)
    state = {"rows": 0}

    def write(row: Row) -> None:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        # undecodable bytes in file names are lone surrogates, which UTF-8 cannot hold
        stream.write(("[\n" if not state["rows"] else ",\n") + _printable(text))
        state["rows"] += 1

    def close(kind: Any, *_: Any) -> None:
        if kind is None:
            stream.write("\n]\n" if state["rows"] else "[]\n")
            stream.flush()

    stack.push(close)
    return write


def _csv_sink(path: Path | None, space: Callable[[], LabelSpace], stack: ExitStack) -> Sink:
    stream = _stream(path, stack, newline="")
    writers: list[csv.DictWriter[str]] = []

    def write(row: Row) -> None:
        from emosym.pipelines.reading_rows import flat_columns, flat_row

        if not writers:
            writers.append(csv.DictWriter(stream, list(flat_columns(space())), lineterminator="\n"))
            writers[0].writeheader()
        flat = flat_row(row, space())
        writers[0].writerow(
            {k: _printable(v) if isinstance(v, str) else v for k, v in flat.items()}
        )

    return write


def _parquet_sink(path: Path | None, space: Callable[[], LabelSpace], stack: ExitStack) -> Sink:
    import pyarrow as pa
    from pyarrow import parquet

    from emosym.pipelines.reading_rows import flat_columns, flat_row

    rows: list[Row] = []
    writers: list[Any] = []
    kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}

    def flush() -> None:
        schema = pa.schema([(name, kinds[kind]) for name, kind in flat_columns(space()).items()])
        if not writers:
            writers.append(parquet.ParquetWriter(path, schema))
        writers[0].write_table(pa.Table.from_pylist(rows, schema))
        rows.clear()

    def write(row: Row) -> None:
        flat = flat_row(row, space())
        rows.append({k: _printable(v) if isinstance(v, str) else v for k, v in flat.items()})
        if len(rows) == BATCH_ROWS:
            flush()

    def close(kind: Any, *_: Any) -> None:
        try:
            if kind is None and (rows or not writers):
                flush()
        finally:
            for writer in writers:
                writer.close()

    stack.push(close)
    return write


def _printable(text: str) -> str:
    """Replace what UTF-8 cannot hold: file names may be any bytes."""
    return text.encode("utf-8", "replace").decode("utf-8")


SINKS: dict[str, Callable[[Path | None, Callable[[], LabelSpace], ExitStack], Sink]] = {
    "json": _json_sink,
    "csv": _csv_sink,
    "parquet": _parquet_sink,
}
