"""N samples in columns, with what each annotation file says read on demand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.files import inside, read_json
from emosym.types import Sample, StoredImage

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
    `images` and `annotations` are paths relative to `root`; where pictures are not files, `stored`
    turns an entry of `images` into a picture that can be read. Sources that know them in advance
    also fill: `votes` float32 (N, C), a row of zeros where nobody voted; `affect` float64 (N, 2),
    mean valence and arousal on 1..7 or NaN; `about`, N mappings of attributes.
    """

    root: Path
    split: str
    space: LabelSpace
    codes: np.ndarray
    names: tuple[str, ...]
    images: tuple[str, ...]
    annotations: tuple[str | None, ...]
    votes: np.ndarray | None = None
    affect: np.ndarray | None = None
    about: tuple[Mapping[str, Any], ...] | None = None
    stored: Callable[[str], StoredImage] | None = None

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
        sample = read_sample(
            name=self.names[index],
            image=self.image(index),
            label=None if code == NO_LABEL else self.space.labels[code],
            annotation=inside(self.root, annotation, "annotation") if annotation else None,
            space=self.space,
        )
        if self.about is not None:
            sample = replace(sample, attributes={**self.about[index], **sample.attributes})
        if self.votes is not None and self.votes[index].any():
            pairs = zip(self.space.labels, self.votes[index].tolist(), strict=True)
            sample = replace(sample, votes={label: vote for label, vote in pairs if vote > 0})
        if self.affect is not None:
            valence, arousal = (None if math.isnan(x) else x for x in self.affect[index].tolist())
            sample = replace(sample, valence=valence, arousal=arousal)
        return sample

    def image(self, index: int) -> Path | StoredImage:
        """Return the path of one picture, or what reads it, without reading its annotation."""
        if self.stored is not None:
            return self.stored(self.images[index])
        return inside(self.root, self.images[index], "picture")

    def labels(self) -> np.ndarray:
        """Return class indices, int64 (N,), -1 where unlabelled; no annotation is read."""
        return self.codes.astype(np.int64)

    def ids(self) -> tuple[str, ...]:
        """Return the N sample ids; no annotation is read."""
        return self.names

    def subset(self, indices: Sequence[int] | np.ndarray, split: str | None = None) -> Dataset:
        """Return the samples at `indices`, in that order; `split` gives the result a new name."""
        chosen = [int(index) for index in indices]
        rows = np.asarray(chosen, dtype=np.int64)
        about = self.about
        return replace(
            self,
            split=split or self.split,
            codes=self.codes[rows],
            names=tuple(self.names[index] for index in chosen),
            images=tuple(self.images[index] for index in chosen),
            annotations=tuple(self.annotations[index] for index in chosen),
            votes=None if self.votes is None else self.votes[rows],
            affect=None if self.affect is None else self.affect[rows],
            about=None if about is None else tuple(about[index] for index in chosen),
        )


def code_of(emotion: str, space: LabelSpace, where: str) -> int:
    """Return the class index of a label as data sets write it: any case, spaces around it.

    Raises:
        UsageError: for a label outside the space; names `where` and the nearest label.
    """
    word = emotion.strip().lower()
    if word in space.labels:
        return space.labels.index(word)
    raise unknown_name(f"emotion ({where})", emotion, space.labels)


def read_sample(
    name: str,
    image: Path | StoredImage,
    label: str | None,
    annotation: Path | None,
    space: LabelSpace,
) -> Sample:
    """Return a sample with what its annotation file says, where there is one.

    Raises:
        UsageError: when that file is missing or malformed; names it.
    """
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
    if own is not None:
        return own
    parts = [_written(found, field, annotation) for field in AUGMENTED]
    return " ".join(part for part in parts if part) or None


def _written(found: Mapping[str, Any], field: str, annotation: Path | None) -> str:
    """Return a field that holds one text or, one to an object, a list of them."""
    value = found.get(field)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(part.strip() for part in value if part.strip())
    return (_text(found, field, annotation) or "").strip()


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
        space.labels[code_of(str(label), space, f"votes of {annotation}")]: float(weight)
        for label, weight in value.items()
    }
    if sum(votes.values()) <= 0.0:
        raise UsageError(f"Annotation {annotation}: the votes sum to 0.")
    return votes
