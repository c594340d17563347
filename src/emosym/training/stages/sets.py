"""The data sets of a run of `m2se`: conversations and single pictures, each in its label space."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from emosym.config.recipes import M2seRecipe
from emosym.config.schema import DataSection
from emosym.data.changes import with_changes
from emosym.data.clips import ClipFrames
from emosym.data.dataset import Dataset
from emosym.data.sources.own_labels import SOURCE_SPACES
from emosym.emotions import MIKELS8, SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.errors import UsageError
from emosym.models.gaussians import Domain
from emosym.models.reader.reader import Reader
from emosym.models.reader.talks import UNKNOWN, Talk, talks_of
from emosym.seeds import numpy_rng
from emosym.training.stages.feed import Feed, open_feeds, open_split
from emosym.training.stages.finish import picture_domain
from emosym.training.stages.spoken import shares_of
from emosym.training.stages.start import space_of_recipe, spaces_of_also
from emosym.types import IMAGE_EMOTION, MER, MSA, Sample

log = logging.getLogger(__name__)
WITHOUT_LABELS = "oasis"


@dataclass(frozen=True, slots=True)
class TalkSet:
    """One data set of a run: what is trained on, and what is held out.

    `samples` are those that were opened to train on. The labels of a further set stand in `others`
    of `train`; `val` has them as its own. `domain` is what its pictures look like, where they are
    single ones. `failed` counts turns whose clip could not be shown, by reason.
    """

    space: LabelSpace
    samples: Sequence[Sample]
    train: tuple[Talk, ...]
    val: tuple[Talk, ...]
    domain: Domain | None = None
    failed: Mapping[str, int] = field(default_factory=dict)


def is_of_pictures(data: DataSection) -> bool:
    """Return whether a data set's samples are single pictures, which its source alone tells."""
    return data.source not in SOURCE_SPACES


def check_sets(recipe: M2seRecipe) -> None:
    """Refuse data sets that do not go together; their files are not opened.

    Raises:
        UsageError: in one sentence that says which set is wrong and what to do.
    """
    main, also = recipe.data, recipe.also
    pictures = [data for data in (main, *also) if is_of_pictures(data)]
    unlabelled = next((data for data in pictures if data.source == WITHOUT_LABELS), None)
    if unlabelled is not None:
        raise UsageError("oasis has ratings and no emotions: m2se cannot learn labels from it.")
    if is_of_pictures(main) and (
        len(pictures) <= len(also) or tuple(recipe.tasks) != (IMAGE_EMOTION,)
    ):
        raise UsageError(
            f"The main data of m2se are conversations, and {main.source} holds single pictures: "
            f"put them into `also`; or, for pictures alone, set tasks=[{IMAGE_EMOTION}]."
        )
    if not is_of_pictures(main) and tuple(recipe.tasks) == (IMAGE_EMOTION,):
        raise UsageError(
            f"The main data ({main.source}) are conversations, and of them no task is named: add "
            f"one to tasks=[{IMAGE_EMOTION}], such as {MER}."
        )
    if pictures and IMAGE_EMOTION not in recipe.tasks:
        raise UsageError(
            f"`also` has single pictures ({pictures[0].source}), so the tasks are "
            f"[{', '.join((*recipe.tasks, IMAGE_EMOTION))}]: name {IMAGE_EMOTION} in `tasks`."
        )
    if IMAGE_EMOTION in recipe.tasks and not pictures:
        raise UsageError(
            f"`tasks` names {IMAGE_EMOTION}, and no data set holds single pictures: add one, such "
            "as also=[{source: storybook, root: FOLDER}], or leave the task out."
        )
    for data in pictures:
        if data.held_out is not None or data.frames:
            named = "held_out" if data.held_out is not None else "frames"
            raise UsageError(f"{named} is for conversations; {data.source} holds single pictures.")
    if not also:
        return
    spaces = spaces_of_also(recipe, space_of_recipe(recipe) or MIKELS8)
    for space in spaces:
        if MSA in recipe.tasks and space.name in (SENTIMENT3.name, SENTIMENT7.name):
            raise UsageError(
                f"The task {MSA} has a head of {space.name} already, that of the main data: leave "
                f"{MSA} out of `tasks`, or the data set of that label space out of `also`."
            )


def open_set(
    reader: Reader, recipe: M2seRecipe, data: DataSection, further: bool = False
) -> TalkSet:
    """Open both splits of a data set for a reader that answers in its label space.

    Raises:
        UsageError: for data that are neither, or without a turn whose emotion is known.
    """
    if is_of_pictures(data):
        return _open_pictures(reader, recipe, data, further)
    train, val = (
        with_changes(open_split(data, reader.space, recipe.seed, training), tuple(recipe.spoken))
        for training in (True, False)
    )
    talks, held = (conversations(reader, recipe, one, data, further) for one in (train, val))
    if further:
        talks = tuple(
            as_further(talk, truth_of(talk, reader.space), reader.space) for talk in talks
        )
    failed = Counter[str]()
    for one in (train, val):
        if isinstance(one.watch, ClipFrames):
            failed.update(one.watch.failed)
    if failed:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(failed.items()))
        log.warning("Clips of %s that cannot be shown: %s. Words stand alone.", data.source, told)
    return TalkSet(reader.space, train, talks, held, failed=failed)


def _open_pictures(reader: Reader, recipe: M2seRecipe, data: DataSection, further: bool) -> TalkSet:
    train, val = open_feeds(reader, recipe, data)
    talks, held = picture_talks(train), picture_talks(val)
    if further:  # votes of raters count as they are
        rows = train.targets.numpy()[:, None]  # (N, 1, C)
        talks = tuple(as_further(t, row, reader.space) for t, row in zip(talks, rows, strict=True))
    return TalkSet(reader.space, train.samples, talks, held, picture_domain(train, val))


def picture_talks(feed: Feed) -> tuple[Talk, ...]:
    """Return the pictures of a feed, each as a conversation of one turn with its label."""
    return tuple(
        Talk(
            sample,
            np.array([label]),
            None,
            np.array([row]),
            picture=True,
            features=None if feed.features is None else feed.features[row],
        )
        for row, (sample, label) in enumerate(zip(feed.samples, feed.truth.tolist(), strict=True))
    )


def conversations(
    reader: Reader,
    recipe: M2seRecipe,
    dataset: Dataset,
    data: DataSection | None = None,
    further: bool = False,
) -> tuple[Talk, ...]:
    """Return a data set's conversations; without history every turn is one of its own.

    Of a further one no other task is learned.

    Raises:
        UsageError: when no turn has a known emotion.
    """
    own = data or recipe.data
    talks = talks_of(reader, dataset, () if further else recipe.tasks, own.workers)
    if not reader.history:  # what caused an emotion lies in other turns
        talks = tuple(replace(talk, causes=None) for talk in talks)
    known = tuple(talk for talk in talks if bool((talk.labels != UNKNOWN).any()))
    if not known:
        raise UsageError(f"No turn of {own.source} {dataset.split!r} has a known emotion.")
    return known


def reads_history(reader: Reader, sets: Sequence[TalkSet]) -> bool:
    """Return whether a reader that learns from these data sets will read turns with those before.

    One that saw only single turns would not know what to make of them; single pictures do not tell.
    """
    talks = [talk for one in sets for talk in one.train if not talk.picture]
    return reader.history and (not talks or any(len(talk.sample.turns) > 1 for talk in talks))


def truth_of(talk: Talk, space: LabelSpace) -> np.ndarray:
    """Return the truth of each turn, float32 (n, C): its label or labels; NaN where unknown."""
    if talk.marks is not None:
        return talk.marks
    whole = np.full((len(talk.labels), len(space)), np.nan, dtype=np.float32)
    known = talk.labels != UNKNOWN
    whole[known] = np.eye(len(space), dtype=np.float32)[talk.labels[known]]
    return whole


def as_further(talk: Talk, truth: np.ndarray, space: LabelSpace) -> Talk:
    """Return a talk as one of a further data set: what is known of it is `truth` (n, C)."""
    nothing, others = np.full(len(talk.labels), UNKNOWN), {space: truth}
    return replace(talk, labels=nothing, marks=None, causes=None, others=others, of=space)


def mixed_rows(sizes: Mapping[str, int], temperature: float, seed: int, count: int) -> np.ndarray:
    """Return which rows (count,) of data sets that lie one after another are trained on, in order.

    A set is drawn in proportion to its size to the power 1 / `temperature`, from the stream (seed,
    "m2se-sets"); of its own rows each comes once before any comes again, in the order of the
    streams (seed, "m2se-rows-NAME", round). So any step is known without those before it.
    """
    shares = shares_of(sizes, dict.fromkeys(sizes, 1.0), temperature)
    chosen = numpy_rng(seed, "m2se-sets").choice(len(sizes), size=count, p=list(shares.values()))
    rows, first = np.empty(count, dtype=np.int64), 0
    for number, (name, size) in enumerate(sizes.items()):
        places = np.flatnonzero(chosen == number)
        for turn in range(-(-len(places) // size)):
            own = places[turn * size : (turn + 1) * size]
            order = numpy_rng(seed, f"m2se-rows-{name}", turn).permutation(size)
            rows[own] = first + order[: len(own)]
        first += size
    return rows
