"""Every data source by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from emosym.data.clips import ClipFrames
from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.held_out import NOTHING_HELD, without_held_out
from emosym.data.notes import Notes
from emosym.data.sources.amt import load_amt
from emosym.data.sources.ecf import load_ecf
from emosym.data.sources.emobench import load_emobench
from emosym.data.sources.emorynlp import load_emorynlp
from emosym.data.sources.emoset import load_emoset
from emosym.data.sources.expressions import load_expressions
from emosym.data.sources.fi import load_fi
from emosym.data.sources.folder import load_folder
from emosym.data.sources.goemotions import load_goemotions
from emosym.data.sources.hub import NO_OPTIONS, HubOptions, load_hub
from emosym.data.sources.ldl import load_ldl
from emosym.data.sources.meld import load_meld
from emosym.data.sources.mosei import load_mosei
from emosym.data.sources.oasis import load_oasis
from emosym.data.sources.open_words import load_open_words
from emosym.data.sources.own_labels import space_of_source
from emosym.data.sources.reccon import load_reccon
from emosym.data.sources.statements import load_statements
from emosym.data.sources.storybook import load_storybook
from emosym.data.sources.storybook_dialogues import load_storybook_dialogues
from emosym.data.splits import Fold, label_fraction, stretch
from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name

SOURCES: dict[str, Callable[[str | Path, str, str | LabelSpace, Notes | None], Dataset]] = {
    "storybook": load_storybook,
    "emoset": load_emoset,
    "folder": load_folder,
    "fi": load_fi,
    "oasis": load_oasis,
    "ldl": load_ldl,
    "hub": load_hub,
    "meld": load_meld,
    "ecf": load_ecf,
    "reccon": load_reccon,
    "emorynlp": load_emorynlp,
    "mosei": load_mosei,
    "goemotions": load_goemotions,
    "emobench": load_emobench,
    "open-words": load_open_words,
    "statements": load_statements,
    "expressions": load_expressions,
    "storybook-dialogues": load_storybook_dialogues,
    "amt": load_amt,
}


def open_dataset(
    source: str,
    root: str | Path,
    split: str,
    space: str | LabelSpace | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    hub: HubOptions = NO_OPTIONS,
    notes: Notes | None = None,
    held_out: frozenset[str] = NOTHING_HELD,
    clips: ClipFrames | None = None,
    fold: Fold | None = None,
) -> Dataset:
    """Open a split of a named source; of it the stretch `part`, and of that a share `fraction`.

    Both are stratified and seeded, see `data.splits`; a dialogue is taken whole. `hub` counts for
    that source only. Unset, the label space is the source's own. With `notes` what is wrong with
    single rows is noted there and does not stop. Dialogues that stand in `held_out` (hashes of
    another set's test) are dropped, see `data.held_out`. `clips` takes pictures out of the clips
    of turns when a sample is asked for, and counts those that it cannot read. `fold` keeps one of
    several equal parts, or all but that one, before anything else is cut.

    Raises:
        UsageError: for an unknown source, root, split or label space, or a malformed data set.
    """
    if source not in SOURCES:
        raise unknown_name("data source", source, SOURCES)
    if source == "storybook" and not Path(root).is_dir():
        raise UsageError(
            f"There is no storybook at {str(root)!r}; draw it with `emosym data storybook {root}`."
        )
    space = space_of_source(source) if space is None else space
    if source == "hub":
        dataset = load_hub(root, split, space, notes, hub)
    else:
        dataset = SOURCES[source](root, split, space, notes)
    if clips is not None:
        dataset = replace(dataset, watch=clips)
    if held_out:
        dataset = without_held_out(dataset, held_out)
    if fold is not None:
        dataset = _kept(dataset, lambda labels: fold.chosen(labels, seed))
    if part != (0.0, 1.0):
        dataset = _kept(dataset, lambda labels: stretch(labels, *part, seed))
    if fraction != 1.0:
        dataset = _kept(dataset, lambda labels: label_fraction(labels, fraction, seed))
    return dataset


def _kept(dataset: Dataset, choose: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """Return the samples that are chosen by their labels; of conversations, whole ones."""
    labels = dataset.labels()
    if dataset.places is None:
        return dataset.subset(choose(labels))
    conversations = dataset.places[:, 0]
    numbers, rows = np.unique(conversations, return_inverse=True)
    strata = np.full(len(numbers), NO_LABEL, dtype=np.int64)
    np.maximum.at(strata, rows, labels)
    return dataset.subset(np.flatnonzero(np.isin(rows, choose(strata))))
