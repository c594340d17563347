"""Where readings go: the terminal and pipes as they come, files whole at the end.

Rows on their way to files are kept in a journal beside the first of them, so that a run that is
killed loses none: `--resume` goes on from it.
"""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from emosym.errors import UsageError
from emosym.files import disk_errors, write_atomic
from emosym.service.rows import Row, flat_columns, flat_row

if TYPE_CHECKING:
    import pyarrow as pa

    from emosym.emotions import LabelSpace

Sink = Callable[[Row], None]
Space = Callable[[], "LabelSpace | None"]  # None: valence and arousal, no emotions
STDOUT = Path("-")
STDOUT_NUMBER = 1
BATCH_ROWS = 1024
JOURNAL = ".rows"
# what spreadsheets take for the beginning of a formula, the wide signs of East Asian fonts too
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def check_outputs(
    outputs: Mapping[str, Path], inputs: Iterable[object] = (), resumable: bool = False
) -> dict[str, Path]:
    """Refuse outputs that cannot be written, before any work is done; returns them by kind.

    /dev/stdout and its like are the terminal's "-". `inputs` are what is read: none of them may be
    written over.

    Raises:
        UsageError: for a folder, a path below a file, one path twice, an input, Parquet to the
            terminal or a pipe, or with `resumable` no output that is a file.
    """
    found: dict[str, Path] = {}
    for kind, path in outputs.items():
        path = STDOUT if _is_stdout(path) else path
        if kind == "parquet" and (path == STDOUT or not _is_file(path)):
            raise UsageError("Parquet is binary; give --parquet a file name.")
        if path in found.values():
            raise UsageError(f"Two outputs cannot both be {path}.")
        found[kind] = path
        if path != STDOUT:
            check_output(path)
    places = {_identity(path): path for path in found.values() if path != STDOUT and path.exists()}
    for given in inputs if places else ():
        same = places.get(_identity(given)) if isinstance(given, str | Path) else None
        if same is not None:
            raise UsageError(f"{same} is one of the pictures to read; write to another file.")
    if resumable and not any(path != STDOUT and _is_file(path) for path in found.values()):
        raise UsageError("--resume needs an output file: --csv, --json or --parquet.")
    return found


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


class Journal:
    """Rows that are safe as soon as they are written: one JSON line each, behind a line `about`."""

    def __init__(self, path: Path, about: Mapping[str, Any], resume: bool) -> None:
        """Begin a journal, or with `resume` go on with the one that is there, if there is one.

        Raises:
            UsageError: when one is there that nobody asked to go on with, or of another request.
        """
        self.path = path
        held, whole = _journal_rows(path)
        if len(held) < 2:
            held, whole = [], 0
        elif not resume:
            raise UsageError(
                f"{path} holds {len(held) - 1:,} rows of a run that was stopped: add --resume to "
                "go on from them, or delete it to begin again."
            )
        header = json.loads(json.dumps(dict(about)))
        if held and held[0] != header:
            apart = sorted(k for k in {*held[0], *header} if held[0].get(k) != header.get(k))
            raise UsageError(
                f"{path} was begun with another {', '.join(apart)}: ask as you did then, or delete "
                "it to begin again."
            )
        make_parent(path)
        with disk_errors(path):
            self._stream = path.open("r+b" if held else "w+b")
            self._stream.truncate(whole)
            self._stream.seek(0, os.SEEK_END)
        self.kept = tuple(str(row["source"]) for row in held[1:])
        if not held:
            self._write(header)

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._write(row)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, those of earlier runs first."""
        with self.path.open("rb") as stream:
            next(stream)
            yield from map(json.loads, stream)

    def close(self) -> None:
        """Close the file; it stays where it is."""
        self._stream.close()

    def remove(self) -> None:
        """Delete the journal: its rows are where they belong."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write(self, value: Mapping[str, Any]) -> None:
        with disk_errors(self.path):
            # as ASCII: names of any bytes come back as they were
            self._stream.write(json.dumps(value, allow_nan=False).encode() + b"\n")
            self._stream.flush()


def _journal_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return a journal's whole lines and how many bytes they have; what was torn is left out."""
    if not path.is_file():
        return [], 0
    rows: list[dict[str, Any]] = []
    whole = 0
    with path.open("rb") as stream:
        for line in stream:
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                row = None
            if not isinstance(row, dict) or (rows and "source" not in row):
                break
            rows.append(row)
            whole += len(line)
    return rows, whole


def journal_place(outputs: Mapping[str, Path]) -> Path | None:
    """Return where rows on their way to files are kept; None where no output is a file."""
    files = [path for path in outputs.values() if path != STDOUT and _is_file(path)]
    return files[0].with_name(files[0].name + JOURNAL) if files else None


def write_files(outputs: Mapping[str, Path], rows: Journal, space: LabelSpace | None) -> None:
    """Write the journal's rows to every output that is a file: each appears whole or not at all."""
    for kind, path in outputs.items():
        if path == STDOUT or not _is_file(path):
            continue
        make_parent(path)

        def fill(temporary: Path, kind: str = kind) -> None:
            with ExitStack() as stack:
                if kind == "parquet":
                    sink = _parquet_sink(temporary, space, stack)
                else:
                    stream = stack.enter_context(
                        temporary.open("w", encoding="utf-8", newline="" if kind == "csv" else None)
                    )
                    sink = TEXTS[kind](stream, lambda: space, stack)
                with closing(rows.rows()) as kept:  # type: ignore[type-var]
                    for row in kept:
                        sink(row)

        write_atomic(path, fill)


def live_sinks(outputs: Mapping[str, Path], space: Space, stack: ExitStack) -> Sink:
    """Return what takes each row at once: the terminal, pipes and devices among the outputs."""
    sinks: list[Sink] = []
    for kind, path in outputs.items():
        if path == STDOUT:
            sinks.append(TEXTS[kind](sys.stdout, space, stack))
        elif not _is_file(path):
            stream = stack.enter_context(
                path.open("w", encoding="utf-8", newline="" if kind == "csv" else None)
            )
            sinks.append(TEXTS[kind](stream, space, stack))

    def write(row: Row) -> None:
        for sink in sinks:
            sink(row)

    return write


def _is_file(path: Path) -> bool:
    """Return whether a path is, or will be, a regular file: no pipe and no device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _is_stdout(path: Path) -> bool:
    if path == STDOUT:
        return True
    try:
        found, out = path.stat(), os.fstat(STDOUT_NUMBER)
    except (OSError, ValueError):
        return False
    if str(path) in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        return True
    return os.path.samestat(found, out) and not stat.S_ISCHR(found.st_mode)


def _identity(path: object) -> tuple[int, int] | None:
    try:
        found = Path(str(path)).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _json_sink(stream: IO[str], space: Space, stack: ExitStack) -> Sink:
    """One JSON array, a row on each line."""
    state = {"rows": 0}

    def write(row: Row) -> None:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        stream.write(("[\n" if not state["rows"] else ",\n") + printable(text))
        state["rows"] += 1

    def close(kind: Any, *_: Any) -> None:
        if kind is None:
            stream.write("\n]\n" if state["rows"] else "[]\n")
            stream.flush()

    stack.push(close)
    return write


def _csv_sink(stream: IO[str], space: Space, stack: ExitStack) -> Sink:
    writers: list[csv.DictWriter[str]] = []

    def write(row: Row) -> None:
        if not writers:
            writers.append(csv.DictWriter(stream, list(flat_columns(space())), lineterminator="\n"))
            writers[0].writeheader()
        flat = flat_row(row, space())
        writers[0].writerow({k: cell(v) if isinstance(v, str) else v for k, v in flat.items()})

    return write


def _parquet_sink(path: Path, space: LabelSpace | None, stack: ExitStack) -> Sink:
    from pyarrow import parquet

    rows: list[Row] = []
    writer = stack.enter_context(parquet.ParquetWriter(path, parquet_table((), space).schema))

    def flush(kind: Any = None, *_: Any) -> None:
        if kind is None and rows:
            writer.write_table(parquet_table(rows, space))
        rows.clear()

    def write(row: Row) -> None:
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            flush()

    stack.push(flush)
    return write


def parquet_table(rows: Iterable[Row], space: LabelSpace | None) -> pa.Table:
    """Return rows as the table that Parquet files hold, with the same columns every time."""
    import pyarrow as pa

    kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in flat_columns(space).items()])
    flat = [
        {k: printable(v) if isinstance(v, str) else v for k, v in flat_row(row, space).items()}
        for row in rows
    ]
    return pa.Table.from_pylist(flat, schema)


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes of a name that are none are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cell(text: str) -> str:
    """Return a CSV cell that no spreadsheet takes for a formula, without control characters.

    What begins like a formula gets an apostrophe before it; control characters are written as
    Python writes them, a line break as a backslash and an n.
    """
    shown = "".join(
        sign if unicodedata.category(sign) != "Cc" else repr(sign)[1:-1] for sign in printable(text)
    )
    return f"'{shown}" if shown.startswith(FORMULA) else shown


TEXTS: dict[str, Callable[[IO[str], Space, ExitStack], Sink]] = {
    "json": _json_sink,
    "csv": _csv_sink,
}


def left_to_read(found: Sequence[Any], kept: Sequence[str]) -> list[Any]:
    """Return the inputs that are not among the `kept` sources yet, each as often as it is left."""
    counts: dict[str, int] = {}
    for source in kept:
        counts[source] = counts.get(source, 0) + 1
    left = []
    for item in found:
        name = str(getattr(item, "source", item))
        if counts.get(name, 0):
            counts[name] -= 1
        else:
            left.append(item)
    return left
