"""A data set in Hugging Face's format: a folder, a Parquet file, or an id of the hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from emosym.data.dataset import NO_LABEL, Dataset, code_of
from emosym.data.images import read_encoded
from emosym.data.notes import Notes, complain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.extras import require
from emosym.types import StoredImage

SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` writes
ALIASES = {"val": "validation", "validation": "val"}


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How to open such a data set.

    `image_column` and `label_column` unset: found by the columns' types. `config` is its
    configuration where it has several. Only with `download` may anything come from the network.
    """

    image_column: str | None = None
    label_column: str | None = None
    config: str | None = None
    download: bool = False


NO_OPTIONS = HubOptions()


def load_hub(
    root: str | Path,
    split: str,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
    options: HubOptions = NO_OPTIONS,
) -> Dataset:
    """Open a split; rows stay in the memory-mapped table, and a picture's bytes are read on demand.

    `root` is a folder that `save_to_disk` wrote, a folder of Parquet files or pictures as
    `datasets.load_dataset` takes them, one Parquet file, or an id such as `user/name`, which must
    be in the local cache unless `options.download`. `split` may be cut (`train[:80%]`), except in
    what `save_to_disk` wrote; "val" finds "validation". A null, or a class index of -1, is no
    label.

    Raises:
        UsageError: for an unknown split or column, columns that are not to be told apart, or a
            label outside the space (with `notes` it is no label, and the list tells of it).
        EmoSymError: without the library, or when the data set is neither here nor to be fetched.
    """
    library = require("datasets", "hub")
    labels = label_space(space)
    table = _open(library, str(root), split, options)
    image, label = _columns(library, table, labels, options, str(root))
    table = table.cast_column(image, library.Image(decode=False))
    codes = _codes(table, label, labels, f"{root}, {split}", notes)
    kept = [name for name in table.column_names if name not in (image, label)]
    pictures = table.select_columns([image])
    rows = tuple(map(str, range(len(table))))

    def stored(entry: str) -> StoredImage:
        return StoredImage(
            f"{root}, {split}, row {entry}", lambda: _bytes_of(pictures[int(entry)][image])
        )

    return Dataset(
        root=Path(root),
        split=split,
        space=labels,
        codes=codes,
        names=_ids(table, kept, rows),
        images=rows,
        annotations=(None,) * len(rows),
        stored=stored,
    )


def _bytes_of(cell: Mapping[str, Any] | None) -> bytes:
    """Return the encoded bytes of an undecoded picture, from beside the table where it says so."""
    if not cell:
        return b""
    if cell.get("bytes") is None and cell.get("path"):
        return read_encoded(Path(cell["path"]))
    return cell.get("bytes") or b""


def hub_splits(root: str | Path, options: HubOptions = NO_OPTIONS) -> list[str]:
    """Return the names of the splits; errors as in `load_hub`."""
    library = require("datasets", "hub")
    if _is_saved(str(root)):
        with _network(library, False):
            found = library.load_from_disk(str(root))
        return list(found) if isinstance(found, dict) else ["all"]
    return list(_builder(library, str(root), options).info.splits)


def _is_saved(root: str) -> bool:
    return any((Path(root) / name).is_file() for name in SAVED)


def _open(library: ModuleType, root: str, split: str, options: HubOptions) -> Any:
    if _is_saved(root):
        with _network(library, False):
            found = library.load_from_disk(root)
        if not isinstance(found, dict):
            if split != "all":
                raise unknown_name(f"split of {root!r}", split, ["all"])
            return found
        return found[_known(split, list(found), root)]
    builder = _builder(library, root, options)
    base, bracket, cut = split.partition("[")
    known = _known(base, list(builder.info.splits), root)
    try:
        return builder.as_dataset(split=known + bracket + cut)
    except (ValueError, AssertionError) as error:
        raise UsageError(f"The split {split!r} of {root!r} cannot be cut so: {error}") from error


def _builder(library: ModuleType, root: str, options: HubOptions) -> Any:
    """Return a prepared builder; nothing is fetched without `options.download`."""
    path = Path(root)
    here = path.exists()
    how: dict[str, Any] = {"path": root, "name": options.config}
    if path.is_file():
        how = {"path": "parquet", "data_files": root}
        if path.suffix != ".parquet":
            raise UsageError(f"{root!r} is a file, but no .parquet.")
    elif not here and root.count("/") != 1:
        raise UsageError(f"There is no folder {root!r}, and an id of the hub looks like user/name.")
    try:
        with _network(library, options.download and not here):
            builder = library.load_dataset_builder(**how)
            builder.download_and_prepare()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        # ConnectionError, DatasetNotFoundError and the like are OSErrors
        first = str(error).strip().split("\n", 1)[0]
        if here:
            raise UsageError(f"{root!r} cannot be read as a data set: {first}") from error
        if options.download:
            raise EmoSymError(f"The data set {root!r} could not be fetched: {first}") from error
        raise EmoSymError(
            f"The data set {root!r} is neither a folder here nor in the local cache of datasets, "
            "and nothing is fetched unasked; allow it once (--download, or data.download=true)."
        ) from error
    return builder


@contextmanager
def _network(library: Any, allowed: bool) -> Iterator[None]:
    """Keep the library from the network for a while, and quiet; an offline environment stays so."""
    hub: Any = require("huggingface_hub.constants", "hub")
    before = hub.HF_HUB_OFFLINE, library.config.HF_HUB_OFFLINE
    bars = library.are_progress_bars_disabled()
    level = library.logging.get_verbosity()
    if not allowed:
        hub.HF_HUB_OFFLINE = library.config.HF_HUB_OFFLINE = True
    library.disable_progress_bars()
    library.logging.set_verbosity_error()
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, library.config.HF_HUB_OFFLINE = before
        library.logging.set_verbosity(level)
        if not bars:
            library.enable_progress_bars()


def _known(split: str, splits: list[str], root: str) -> str:
    if split in splits:
        return split
    if ALIASES.get(split) in splits:
        return ALIASES[split]
    raise unknown_name(f"split of {root!r}", split, splits)


def _columns(
    library: ModuleType, table: Any, space: LabelSpace, options: HubOptions, root: str
) -> tuple[str, str | None]:
    """Return the image column and the label column (or None), named or found by their types."""
    features: Mapping[str, Any] = table.features
    for named in (options.image_column, options.label_column):
        if named is not None and named not in features:
            raise unknown_name(f"column of {root!r}", named, features)
    image = options.image_column
    if image is None:
        found = [name for name, kind in features.items() if isinstance(kind, library.Image)]
        image = _only(found, f"{root!r} has", "a column of pictures", "image_column", features)
    if options.label_column is not None:
        return image, options.label_column
    classes = [name for name, kind in features.items() if isinstance(kind, library.ClassLabel)]
    mine = [name for name in classes if _fits(features[name].names, space)]
    if not mine and not classes:
        mine = [
            name
            for name, kind in features.items()
            if getattr(kind, "dtype", None) in ("string", "large_string")
            and len(table)
            and _fits([word for word in table[: min(64, len(table))][name] if word], space)
        ]
    if not mine and not classes:
        return image, None
    where = "a column of emotions"
    return image, _only(mine or classes, f"{root!r} has", where, "label_column", features)


def _fits(words: list[str], space: LabelSpace) -> bool:
    known = sum(space.find(word) is not None for word in words)
    return known > 0 and 2 * known >= len(words)


def _only(found: list[str], who: str, what: str, option: str, features: Mapping[str, Any]) -> str:
    if len(found) == 1:
        return found[0]
    told = f"several that could be {what} ({', '.join(found)})" if found else f"no {what[2:]}"
    raise UsageError(
        f"{who} {told}; name it with --{option.replace('_', '-')} or data.{option}=NAME. "
        f"Columns: {', '.join(features)}."
    )


def _codes(
    table: Any, label: str | None, space: LabelSpace, where: str, notes: Notes | None
) -> np.ndarray:
    """Return class indices, int16 (N,), -1 where a row has no label."""
    if label is None:
        return np.full(len(table), NO_LABEL, np.int16)
    classes = getattr(table.features[label], "names", None) or []

    def word_of(value: Any) -> str:
        known = isinstance(value, int) and 0 <= value < len(classes)
        return str(classes[value]) if known else str(value)

    seen: dict[Any, int] = {None: NO_LABEL, -1: NO_LABEL}
    strange: dict[Any, UsageError] = {}
    codes = np.empty(len(table), np.int16)
    for row, value in enumerate(table.select_columns([label])[label]):
        if not isinstance(value, (str, int, type(None))):
            value = None if value != value else repr(value)  # NaN, as tables write nothing
        if value not in seen:
            word = word_of(value)
            try:
                seen[value] = code_of(word, space, f"{where}, row {row}")
            except UsageError as error:
                seen[value], strange[value] = NO_LABEL, error
        if value in strange:
            complain(notes, "unknown_label", f"{where}, row {row}", strange[value], word_of(value))
        codes[row] = seen[value]
    return codes


def _ids(table: Any, kept: list[str], rows: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column of ids where it has one and its values differ, else the row numbers."""
    for name in ("id", "image_id"):
        if name in kept:
            values = tuple(str(value) for value in table.select_columns([name])[name])
            if len(set(values)) == len(values):
                return values
    return rows
