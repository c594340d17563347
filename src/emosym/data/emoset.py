"""The EmoSet layout: `{split}.json` rows that point at pictures and annotations inside one root."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, overload

import numpy as np

from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import inside, read_json
from emosym.types import Sample

INFO = "info.json"
NO_LABEL = -1
# Written by language models beside EmoSet's own fields; together they serve as the rationale.
AUGMENTED = ("scene_aug", "object_aug", "qwen_aug")
NOT_ATTRIBUTES = frozenset(
    ("image_id", "emotion", "caption", "rationale", "votes", "text", *AUGMENTED)
)


@dataclass(frozen=True, eq=False)
class Dataset(Sequence[Sample]):
    """N samples in columns. A sample's annotation file is read when the sample is asked for.

    `codes` is int16 (N,), the class index of each sample in `space` or -1 where it has no label.
    `images` and `annotations` are paths relative to `root`.
    """

    root: Path
    split: str
    space: LabelSpace
    codes: np.ndarray
    names: tuple[str, ...]
    images: tuple[str, ...]
    annotations: tuple[str | None, ...]

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        """Return one sample, its annotation read from disk, or a slice as a data set.

        Raises:
            UsageError: when the annotation is missing or malformed, or a path leaves the root.
        """
        if isinstance(index, slice):
            return self.subset(range(*index.indices(len(self))))
        code, annotation = int(self.codes[index]), self.annotations[index]
        return _sample(
            name=self.names[index],
            image=self.image(index),
            label=None if code == NO_LABEL else self.space.labels[code],
            annotation=inside(self.root, annotation, "annotation") if annotation else None,
            space=self.space,
        )

    def image(self, index: int) -> Path:
        """Return the path of one picture without reading its annotation."""
        return inside(self.root, self.images[index], "picture")

    def labels(self) -> np.ndarray:
        """Return class indices, int64 (N,), -1 where unlabelled; no annotation is read."""
        return self.codes.astype(np.int64)

    def ids(self) -> tuple[str, ...]:
        """Return the N sample ids; no annotation is read."""
        return self.names

    def subset(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """Return the samples at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return Dataset(
            root=self.root,
            split=self.split,
            space=self.space,
            codes=self.codes[np.asarray(chosen, dtype=np.int64)],
            names=tuple(self.names[index] for index in chosen),
            images=tuple(self.images[index] for index in chosen),
            annotations=tuple(self.annotations[index] for index in chosen),
        )


def load_emoset(root: str | Path, split: str, space: str = "mikels8") -> Dataset:
    """Open one split of a data set in EmoSet's layout; only `{split}.json` is read.

    Rows are [emotion, image, annotation] or [emotion, id, image, annotation]. The emotion may be
    null (no label), and so may the annotation. Without an id column the id is the picture's file
    name without suffix, or its whole path where two pictures share a name.

    Raises:
        UsageError: for a missing folder or split (lists the splits there are), a malformed row,
            or an unknown emotion (names file, row and nearest label).
    """
    base = Path(root)
    if not base.is_dir():
        raise UsageError(f"There is no data set at {str(root)!r}: no such folder.")
    index = inside(base, f"{split}.json", "split")
    if not index.is_file():
        found = ", ".join(splits_of(base)) or "none"
        raise UsageError(f"{str(root)!r} has no split {split!r}; splits there: {found}.")
    return from_rows(read_json(index, "split file"), base, split, label_space(space), index)


def splits_of(root: Path) -> list[str]:
    """Return the names of the splits in a data set's folder, sorted: its JSON files of rows."""
    return sorted(path.stem for path in root.glob("*.json") if _holds_a_list(path))


def _holds_a_list(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(64).lstrip().startswith(b"[")


def from_rows(rows: Any, root: Path, split: str, space: LabelSpace, source: Path) -> Dataset:
    """Build a data set from parsed rows; `source` names their file in errors.

    Raises:
        UsageError: as `load_emoset`.
    """
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"Split file {source} must hold a JSON list of at least one row.")
    codes: dict[Any, int] = {label: code for code, label in enumerate(space.labels)}
    codes[None] = NO_LABEL
    columns = [_cells(row, number, source) for number, row in enumerate(rows)]
    emotions, names, images, annotations = zip(*columns, strict=True)
    for number, emotion in enumerate(emotions):
        if emotion not in codes:
            codes[emotion] = _code(emotion, space, f"{source}, row {number}")
    if None in names:
        names = tuple(PurePosixPath(image).stem for image in images)
        if len(set(names)) < len(names):
            names = tuple(str(PurePosixPath(image).with_suffix("")) for image in images)
    values = np.fromiter((codes[emotion] for emotion in emotions), np.int16, len(emotions))
    values.flags.writeable = False
    return Dataset(root, split, space, values, names, images, annotations)


def _cells(row: Any, number: int, source: Path) -> tuple[str | None, str | None, str, str | None]:
    """Return (emotion, id or None, image, annotation) of one row of three or four elements."""
    if isinstance(row, list) and len(row) in (3, 4):
        emotion, name, image, annotation = (row[0], None, *row[1:]) if len(row) == 3 else row
        name = str(name) if isinstance(name, int) else name
        if (
            (emotion is None or isinstance(emotion, str))
            and (isinstance(name, str) or len(row) == 3)
            and (isinstance(image, str) and image)
            and (annotation is None or isinstance(annotation, str))
        ):
            return emotion, name, image, annotation
    raise UsageError(
        f"{source}, row {number}: expected [emotion, image, annotation] or "
        f"[emotion, id, image, annotation], got {str(row)[:120]}."
    )


def _code(emotion: str, space: LabelSpace, where: str) -> int:
    if emotion.lower() in space.labels:
        return space.index(emotion)
    raise unknown_name(f"emotion ({where})", emotion, space.labels)


def attribute_values(root: str | Path) -> dict[str, tuple[Any, ...]]:
    """Return the possible values of every field in `info.json`, in index order.

    Raises:
        UsageError: when the file is missing or does not map values to indices 0..n-1.
    """
    path = Path(root) / INFO
    info = read_json(path, "data set description")
    values: dict[str, tuple[Any, ...]] = {}
    for field, maps in info.items() if isinstance(info, dict) else ():
        names = maps.get("idx2label") if isinstance(maps, dict) else None
        if not isinstance(names, dict):
            continue
        if set(names) != {str(index) for index in range(len(names))}:
            raise UsageError(f"{path}: the indices of {field!r} must be 0..{len(names) - 1}.")
        values[field] = tuple(names[str(index)] for index in range(len(names)))
    if not values:
        raise UsageError(f"{path} describes no field with an 'idx2label' map.")
    return values


def _sample(
    name: str, image: Path, label: str | None, annotation: Path | None, space: LabelSpace
) -> Sample:
    found = read_json(annotation, "annotation") if annotation else {}
    if not isinstance(found, dict):
        raise UsageError(f"Annotation {annotation} must hold a JSON object.")
    return Sample(
        id=name,
        images=(image,),
        text=_text(found, "text", annotation),
        label_space=space.name,
        label=label,
        votes=_votes(found.get("votes"), space, annotation),
        attributes={
            key: value
            for key, value in found.items()
            if key not in NOT_ATTRIBUTES and value is not None
        },
        caption=_text(found, "caption", annotation),
        rationale=_rationale(found, annotation),
    )


def _text(found: Mapping[str, Any], field: str, annotation: Path | None) -> str | None:
    value = found.get(field)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"Annotation {annotation}: {field!r} must be text, got {value!r:.80}.")
    return value or None


def _rationale(found: Mapping[str, Any], annotation: Path | None) -> str | None:
    """Return `rationale`, or else what language models wrote, one after another."""
    own = _text(found, "rationale", annotation)
    parts = [_text(found, field, annotation) for field in AUGMENTED] if own is None else []
    return own or " ".join(part.strip() for part in parts if part) or None


def _votes(value: Any, space: LabelSpace, annotation: Path | None) -> dict[str, float] | None:
    """Return votes as {label: weight}; a list counts in the label space's order."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == len(space):
        value = dict(zip(space.labels, value, strict=True))
    if not isinstance(value, dict) or not all(
        isinstance(weight, (int, float)) and 0.0 <= weight < math.inf for weight in value.values()
    ):
        raise UsageError(
            f"Annotation {annotation}: 'votes' must map emotions to weights of 0 or more, or list "
            f"{len(space)} of them."
        )
    votes = {
        space.labels[_code(str(label), space, f"votes of {annotation}")]: float(weight)
        for label, weight in value.items()
    }
    if sum(votes.values()) <= 0.0:
        raise UsageError(f"Annotation {annotation}: the votes sum to 0.")
    return votes
