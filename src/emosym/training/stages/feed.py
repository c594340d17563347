"""From data to prefixes: what is constant in a stage is computed once, where memory allows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emosym.config.schema import DataSection, Recipe
from emosym.data.clips import ClipFrames
from emosym.data.collate import images_array
from emosym.data.dataset import Dataset, voted_on, weights_of
from emosym.data.held_out import NOTHING_HELD
from emosym.data.images import decoded, load_image, size_of
from emosym.data.sources.hub import HubOptions
from emosym.data.sources.open import open_dataset
from emosym.data.sources.other_tests import held_out_hashes
from emosym.data.splits import Fold
from emosym.data.storybook.levels import require_level
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import is_writable, write_atomic
from emosym.models.odd_shapes import check_shape, is_odd
from emosym.models.reader.prefix import Prefix, body, keeps_features, prefill
from emosym.models.reader.reader import (
    TURNS,
    Reader,
    encode_pictures,
    prefill_features,
    prepare_samples,
    token_rows,
)
from emosym.processes import Processes
from emosym.training.loop.ahead import Ahead
from emosym.types import IMAGE_EMOTION, Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a feed, from `first` up to, not including, `stop`, that one head answers.

    `knowledge` is the file with their rationales, where they have one.
    """

    space: LabelSpace
    first: int
    stop: int
    task: str
    knowledge: Path | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """A labelled set of samples, ready for a reader.

    `features` (N, T, H) are vision features of samples that have one picture of one size each, or
    None where samples, of any number of pictures, are decoded per batch; `pictures` (N, S, S, 3)
    uint8 likewise; `rows` are the samples' tokens where words stand beside the pictures; `targets`
    (N, C) sum to 1; `truth` (N,) are class indices. They are the truth of `task`.
    A feed of several label spaces says by `stretches` which rows are of which (`join.join_feeds`).
    """

    reader: Reader
    samples: tuple[Sample, ...]
    targets: torch.Tensor
    truth: np.ndarray
    pictures: np.ndarray | None
    features: torch.Tensor | None
    ahead: Ahead[Sample, dict[str, torch.Tensor]] | None = None
    task: str = IMAGE_EMOTION
    stretches: tuple[Stretch, ...] = ()
    rows: tuple[list[int], ...] | None = None

    def parts(self) -> tuple[Stretch, ...]:
        """Return its rows by label space: of most feeds all are of the reader's."""
        return self.stretches or (Stretch(self.reader.space, 0, len(self), self.task),)

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.samples)

    def prefix(self, indices: np.ndarray) -> Prefix:
        """Return the prefixes of chosen samples, computed now with the current adapter."""
        if self.features is not None:
            features = self.features[torch.from_numpy(indices)]
            rows = None if self.rows is None else [self.rows[i] for i in indices]
            return prefill_features(self.reader, features, rows)
        inputs = self.inputs(indices)
        return prefill(self.reader.reasoner.backbone, inputs)

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the backbone's inputs of chosen samples, decoded ahead where they were wanted."""
        if self.ahead is not None:
            return self.ahead.take(indices)
        return prepare_samples(self.reader, [decoded(self.samples[i]) for i in indices])

    def want(self, indices: np.ndarray) -> None:
        """Begin to decode the pictures of a batch that comes soon; nothing where all are kept."""
        if self.ahead is not None and len(indices):
            self.ahead.want(indices)


def open_feed(
    reader: Reader, dataset: Sequence[Sample], cache: Path | None, workers: int = 2
) -> Feed:
    """Read samples and targets; for square presets also all pictures and their vision features.

    Those are kept where each sample has one picture, alone or with words beside it.

    Raises:
        UsageError: when a sample has no label.
    """
    samples = tuple(dataset)
    task = dataset.task if isinstance(dataset, Dataset) else IMAGE_EMOTION
    unlabelled = next((s.id for s in samples if s.label_of(task) is None), None)
    if unlabelled is not None or not samples:
        raise UsageError(f"Training and evaluation need labelled samples; {unlabelled} has none.")
    targets = label_targets(samples, reader.space, task)
    truth = np.array([reader.space.index(str(s.label_of(task))) for s in samples])
    pictures_only = all(sample.is_picture for sample in samples)
    one_each = pictures_only or (
        reader.template != TURNS and all(len(sample.images) == 1 for sample in samples)
    )
    if one_each and reader.image_size is not None and keeps_features(reader.reasoner.backbone):
        source = dataset if pictures_only else samples
        pictures = images_array(source, reader.image_size, workers, cache)
        features = kept_features(reader, pictures, cache)
        rows = None if pictures_only else token_rows(reader, samples, features.shape[1])
        return Feed(reader, samples, targets, truth, pictures, features, task=task, rows=rows)
    kept = acceptable(reader, samples, workers)
    chosen = [samples[i] for i in kept]
    feed = loose_feed(reader, chosen, targets[kept], workers)
    return replace(feed, truth=truth[kept], task=task)


def kept_features(reader: Reader, pictures: np.ndarray, cache: Path | None) -> torch.Tensor:
    """Return the vision features (N, T, H) of pictures (N, S, S, 3), kept in `cache` for every run.

    They are found again by the weights of the vision tower and by the pictures themselves.
    """
    if cache is None:
        return encode_pictures(reader, pictures)
    digest = hashlib.sha256(np.ascontiguousarray(pictures).data)
    for name, parameter in body(reader.reasoner.backbone).named_parameters():
        if "language_model" not in name:
            digest.update(name.encode() + parameter.detach().float().cpu().numpy().tobytes())
    path = cache / f"features-{digest.hexdigest()[:20]}.npy"
    if path.is_file():
        with suppress(OSError, ValueError, EOFError):  # a damaged file is made again
            found = torch.from_numpy(np.load(path, allow_pickle=False))
            if found.ndim == 3 and len(found) == len(pictures) and found.dtype == torch.float32:
                return found
    features = encode_pictures(reader, pictures)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda temporary: _save(temporary, features))
    return features


def _save(path: Path, features: torch.Tensor) -> None:
    with path.open("wb") as stream:
        np.save(stream, features.numpy(), allow_pickle=False)


def acceptable(reader: Reader, samples: Sequence[Sample], workers: int) -> list[int]:
    """Return the places of samples all of whose pictures the reader's image processor takes.

    The others are counted and told. Of most pictures only the header is read; what cannot be read
    at all stays, and stops training.

    Raises:
        UsageError: when no picture is left.
    """

    def refused(sample: Sample) -> str | None:
        for frame in sample.images:
            size = size_of(frame)
            if size is not None and is_odd(size):
                try:
                    check_shape(reader.chat.shaping, load_image(frame), repr(sample.id))
                except UsageError as error:
                    return str(error)
        return None

    if reader.image_size is not None:
        return list(range(len(samples)))
    with ThreadPoolExecutor(workers, thread_name_prefix="shapes") as pool:
        said = list(pool.map(refused, samples))
    kept = [place for place, sentence in enumerate(said) if sentence is None]
    first = next((sentence for sentence in said if sentence is not None), None)
    if not kept:
        raise UsageError(f"No picture can be used: {first}")
    if first is not None:
        count = len(samples) - len(kept)
        logger.warning("Left out %d of %d pictures, the first: %s", count, len(samples), first)
    return kept


def loose_feed(
    reader: Reader, samples: Sequence[Sample], targets: torch.Tensor, workers: int = 2
) -> Feed:
    """Build a feed whose samples are decoded when they are needed, in `workers` threads."""
    ahead: Ahead[Sample, dict[str, torch.Tensor]] = Ahead(
        lambda index: decoded(samples[index]),
        lambda batch: prepare_samples(reader, batch),
        workers,
    )
    return Feed(reader, tuple(samples), targets, targets.argmax(1).numpy(), None, None, ahead)


def picture_feed(
    reader: Reader, samples: Sequence[Sample], targets: torch.Tensor, pictures: np.ndarray
) -> Feed:
    """Build a feed from pictures in memory (N, S, S, 3) uint8, such as paintings of the bank."""
    features = encode_pictures(reader, pictures)
    truth = targets.argmax(1).numpy()
    return Feed(reader, tuple(samples), targets, truth, pictures, features)


def label_targets(
    samples: Sequence[Sample], space: str | LabelSpace, task: str = IMAGE_EMOTION
) -> torch.Tensor:
    """Return targets (N, C): votes where there are any, else one-hot labels."""
    labels = label_space(space)
    rows = [weights_of(sample, labels, task) for sample in samples]
    return torch.tensor(rows, dtype=torch.float32)


def open_split(data: DataSection, space: LabelSpace, seed: int, training: bool) -> Dataset:
    """Open the training or validation split of a data set, in a label space.

    With `folds` both are of the training split: one of its parts is held out, the others train.
    `label_fraction` and `part` cut the training split alone, and dialogues of `held_out`, another
    data set's test, are left out of it. So are rows whose votes sum to 0.

    Raises:
        UsageError: when the folder holds a storybook of another level than `level` says.
    """
    if data.level is not None:
        if data.source != "storybook":
            raise UsageError(f"data.level is of storybooks; {data.source} has no levels.")
        require_level(data.root, data.level)
    fold = Fold(data.fold, data.folds, without=training) if data.folds > 1 else None
    opened = open_dataset(
        data.source,
        data.root,
        data.train_split if training or fold else data.val_split,
        space,
        data.label_fraction if training else 1.0,
        seed if data.draw is None else data.draw,
        data.part if training else (0.0, 1.0),
        hub=HubOptions(data.image_column, data.label_column, data.config, data.download),
        held_out=held_out_hashes(data.held_out) if training and data.held_out else NOTHING_HELD,
        clips=ClipFrames(data.frames) if data.frames else None,
        fold=fold,
    )
    return voted_on(opened)


def open_feeds(
    reader: Reader, recipe: Recipe, data: DataSection | None = None
) -> tuple[Feed, Feed]:
    """Open the training and validation splits of `data`, or a recipe's own, for a reader."""
    data = data or recipe.data
    cache = cache_folder(data.root, recipe.out)
    processes = Processes()
    with processes.main_first():  # it decodes the pictures, the others open what it kept
        train, val = (
            open_feed(
                reader,
                open_split(data, reader.space, recipe.seed, training),
                cache,
                data.workers,
            )
            for training in (True, False)
        )
    return train, val


def cache_folder(root: Path, out: Path) -> Path:
    """Return where decoded pictures are kept: beside the data, for every run, or in this run.

    A data root may be read-only, or no folder at all but an id of the hub.
    """
    shared = root / ".cache"
    return shared if root.is_dir() and is_writable(shared) else out / ".cache"
