"""N samples in columns, with what each annotation file says read on demand."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.files import inside, read_json
from emosym.types import (
    AROUSAL,
    IMAGE_EMOTION,
    VALENCE,
    Sample,
    StoredImage,
    Target,
    Turn,
    Votes,
    one_frame,
)

log = logging.getLogger(__name__)
NO_LABEL = -1
MAX_ANNOTATION_BYTES = 4 * 1024 * 1024
MAX_VOTE = 1e30  # sums of some such weights are still numbers of 32 bits
# Written by language models beside EmoSet's own fields; together they serve as the rationale.
AUGMENTED = ("scene_aug", "object_aug", "qwen_aug")
NOT_ATTRIBUTES = frozenset(
    ("image_id", "emotion", "caption", "rationale", "votes", "text", *AUGMENTED)
)


@dataclass(frozen=True, eq=False)
class Dataset(Sequence[Sample]):
    """N samples in columns. A sample's annotation file is read when the sample is asked for.

    `codes` is int16 (N,), the class index of each sample in `space` or -1 where it has no label:
    the truth of `task`. `images` and `annotations` are paths relative to `root`; where pictures are
    not files, `stored` turns an entry of `images` into a picture that can be read. Sources that
    know them in advance also fill: `votes` float32 (N, C), a row of zeros where nobody voted;
    `affect` float64 (N, 2), mean valence and arousal on 1..7 or NaN; `about`, N mappings of
    attributes; `targets`, N mappings of what is true for other tasks, or for this one where that
    is more than a class: several labels (then the code is the first of them) or a number.

    Of pictures, sample i is one turn with the frame `images[i]`. Of conversations, `images` is
    empty, `conversations` holds the turns, whose frames and clips are paths below `root`, and
    `places` int64 (N, 2) says of each sample which conversation it is, and which of its turns is
    in focus (-1: the whole). So many samples share the turns of one dialogue. `watch` takes
    pictures out of a turn's clip (`data.clips.ClipFrames`) when a sample is asked for.
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
    task: str = IMAGE_EMOTION
    targets: tuple[Mapping[str, Target], ...] | None = None
    conversations: tuple[tuple[Turn, ...], ...] = ()
    places: np.ndarray | None = None
    watch: Callable[[Turn], Turn] | None = None

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
        turns, focus = self._turns(index)
        sample = Sample(self.names[index], turns, focus, self._known_targets(index))
        if self.annotations[index] is not None:
            path = inside(self.root, str(self.annotations[index]), "annotation")
            sample = with_annotation(sample, path, self.space, self.task)
        if self.about is not None:
            sample = replace(sample, attributes={**self.about[index], **sample.attributes})
        return sample

    def frames(self, index: int) -> tuple[Path | StoredImage, ...]:
        """Return the paths of one sample's pictures, or what reads them; no annotation is read."""
        if self.places is None:
            return (self._frame(self.images[index]),)
        turns = self.conversations[int(self.places[index, 0])]
        return tuple(self._frame(str(frame)) for turn in turns for frame in turn.frames)

    def picture(self, index: int) -> Path | StoredImage:
        """Return the one picture of a sample.

        Raises:
            UsageError: when the sample has none, or several.
        """
        return one_frame(self.names[index], self.frames(index))

    def _turns(self, index: int) -> tuple[tuple[Turn, ...], int | None]:
        """Return the turns of one sample, with whole paths, and which of them is in focus."""
        if self.places is None:
            return (Turn(frames=self.frames(index)),), None
        conversation, focus = self.places[index].tolist()
        turns = tuple(self._with_paths(turn) for turn in self.conversations[conversation])
        return turns, None if focus < 0 else focus

    def _with_paths(self, turn: Turn) -> Turn:
        if not turn.frames and turn.clip is None:
            return turn
        placed = replace(
            turn,
            frames=tuple(self._frame(str(frame)) for frame in turn.frames),
            clip=None if turn.clip is None else inside(self.root, str(turn.clip), "clip"),
        )
        return placed if self.watch is None else self.watch(placed)

    def _frame(self, name: str) -> Path | StoredImage:
        return inside(self.root, name, "picture") if self.stored is None else self.stored(name)

    def _known_targets(self, index: int) -> dict[str, Target]:
        """Return what the columns say is true of one sample."""
        targets: dict[str, Target] = dict(self.targets[index]) if self.targets else {}
        code = int(self.codes[index])
        label = None if code == NO_LABEL else self.space.labels[code]
        if self.task in targets:
            pass  # told more exactly than by one class: several labels at once, or a number
        elif self.votes is not None and self.votes[index].any():
            pairs = zip(self.space.labels, self.votes[index].tolist(), strict=True)
            targets[self.task] = Votes({word: vote for word, vote in pairs if vote > 0}, label)
        elif label is not None:
            targets[self.task] = label
        if self.affect is not None:
            values = zip((VALENCE, AROUSAL), self.affect[index].tolist(), strict=True)
            targets.update({name: value for name, value in values if not math.isnan(value)})
        return targets

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
        about, targets = self.about, self.targets
        return replace(
            self,
            split=split or self.split,
            codes=self.codes[rows],
            names=tuple(self.names[index] for index in chosen),
            images=tuple(self.images[index] for index in chosen) if self.places is None else (),
            annotations=tuple(self.annotations[index] for index in chosen),
            votes=None if self.votes is None else self.votes[rows],
            affect=None if self.affect is None else self.affect[rows],
            about=None if about is None else tuple(about[index] for index in chosen),
            targets=None if targets is None else tuple(targets[index] for index in chosen),
            places=None if self.places is None else self.places[rows],
        )


def voted_on(dataset: Dataset) -> Dataset:
    """Return a data set without the rows that have no label because nobody voted on them.

    They are counted and told. Where all are such, or votes are not known in advance, it is returned
    as it is.
    """
    if dataset.votes is None:
        return dataset
    kept = np.flatnonzero(dataset.votes.any(1) | (dataset.codes != NO_LABEL))
    if len(kept) in (0, len(dataset)):
        return dataset
    told = "Left out %d of %d samples of %r: their votes sum to 0."
    log.warning(told, len(dataset) - len(kept), len(dataset), dataset.split)
    return dataset.subset(kept)


def weights_of(sample: Sample, space: LabelSpace, task: str = IMAGE_EMOTION) -> tuple[float, ...]:
    """Return what is true of a sample as weights (C,): its votes where it has any, else its label.

    Raises:
        UsageError: for a label outside the space.
    """
    return space.weights(sample.votes_of(task) or str(sample.label_of(task)))


def code_of(emotion: str, space: LabelSpace, where: str) -> int:
    """Return the class index of a label as data sets write it; see `emotions.normal`.

    Raises:
        UsageError: for a label outside the space; names `where` and the nearest label.
    """
    code = space.find(emotion)
    if code is None:
        raise unknown_name(f"emotion ({where})", emotion, space.labels)
    return code


def with_annotation(sample: Sample, path: Path, space: LabelSpace, task: str) -> Sample:
    """Return a sample with what its annotation file says of it.

    Votes join the label of `task`, unless they are known already; a text becomes the words of the
    first turn where that has none.

    Raises:
        UsageError: when the file is missing or malformed; names it.
    """
    found = read_json(path, "annotation", MAX_ANNOTATION_BYTES)
    if not isinstance(found, dict):
        raise UsageError(f"Annotation {path} must hold a JSON object.")
    text, votes = _text(found, "text", path), _votes(found.get("votes"), space, path)
    first, *others = sample.turns or (Turn(),)
    targets = dict(sample.targets)
    if votes is not None and sample.votes_of(task) is None:
        targets[task] = Votes(votes, sample.label_of(task))
    return replace(
        sample,
        turns=(replace(first, text=first.text or text), *others),
        targets=targets,
        attributes={
            key: value
            for key, value in found.items()
            if key not in NOT_ATTRIBUTES and value is not None
        },
        caption=_text(found, "caption", path),
        rationale=_rationale(found, path),
    )


def _text(found: Mapping[str, Any], field: str, annotation: Path) -> str | None:
    value = found.get(field)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"Annotation {annotation}: {field!r} must be text, got {value!r:.80}.")
    return value or None


def _rationale(found: Mapping[str, Any], annotation: Path) -> str | None:
    """Return `rationale`, or else what language models wrote, one after another."""
    own = _text(found, "rationale", annotation)
    if own is not None:
        return own
    parts = [_written(found, field, annotation) for field in AUGMENTED]
    return " ".join(part for part in parts if part) or None


def _written(found: Mapping[str, Any], field: str, annotation: Path) -> str:
    """Return a field that holds one text or, one to an object, a list of them."""
    value = found.get(field)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(part.strip() for part in value if part.strip())
    return (_text(found, field, annotation) or "").strip()


def _votes(value: Any, space: LabelSpace, annotation: Path) -> dict[str, float] | None:
    """Return votes as {label: weight}; a list counts in the label space's order."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == len(space):
        value = dict(zip(space.labels, value, strict=True))
    if not isinstance(value, dict) or not all(
        isinstance(weight, (int, float)) and 0.0 <= weight <= MAX_VOTE for weight in value.values()
    ):
        raise UsageError(
            f"Annotation {annotation}: 'votes' must map emotions to weights of 0 or more (up to "
            f"{MAX_VOTE:g}), or list {len(space)} of them."
        )
    votes: dict[str, float] = {}
    for label, weight in value.items():  # "awe" and " Awe" are one emotion
        name = space.labels[code_of(str(label), space, f"votes of {annotation}")]
        votes[name] = votes.get(name, 0.0) + float(weight)
    return votes if sum(votes.values()) > 0.0 else None  # nobody voted: its label counts
