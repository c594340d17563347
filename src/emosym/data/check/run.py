"""Read a whole data set once and tell what is wrong with it; the same report on every run."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.check.dialogues import dialogue_counts, dialogue_findings, is_conversations
from emosym.data.check.duplicates import exact_groups, near_groups
from emosym.data.check.fingerprints import TINY, Fingerprint, Task, fingerprints
from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.held_out import NOTHING_HELD
from emosym.data.notes import Note
from emosym.data.sources.detect import splits_to_check
from emosym.data.sources.hub import NO_OPTIONS, HubOptions
from emosym.data.sources.open import open_dataset
from emosym.data.sources.own_labels import space_of_source
from emosym.data.walk import Passed, find_images, only_paths, passed_over
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, nearest

SCHEMA = "emosym.data-check/1"
PIECE = 64  # pictures that a worker reads at a time
DISTANCE = 6
LONGEST_STRIP = 200  # Qwen-VL's processors refuse longer ones; other families' may refuse shorter
IN_PROCESS = 256  # so few pictures are read before a second process would be ready
Row = dict[str, Any]
Advance = Callable[[int], None]


def check_dataset(
    root: str | Path,
    source: str,
    space: str | LabelSpace | None = None,
    *,
    distance: int = DISTANCE,
    workers: int = 1,
    hub: HubOptions = NO_OPTIONS,
    held_out: frozenset[str] = NOTHING_HELD,
    started: Advance | None = None,
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Read every picture and annotation of every split; return a report that is ready for JSON.

    Unset, the label space is the source's own. Of conversations `held_out` (see `data.held_out`)
    tells what no training dialogue may share with a test.
    `distance` is how many of 64 bits near duplicates may differ in. `started` is told the number
    of pictures, `progress` how many were read since. The report is the same for any number of
    `workers` (processes). docs/data.md tells its keys; `problems` counts what makes a data set
    unclean.

    Raises:
        UsageError: when no split of the data set can be opened, or `workers` is below 1.
    """
    if workers < 1:
        raise UsageError(f"The number of workers must be 1 or more, got {workers}.")
    labels, base = label_space(space or space_of_source(source)), Path(root)
    splits, told = splits_to_check(source, base, labels, hub)
    notes: list[Note] = []
    broken = [{"split": "", "sentence": sentence} for sentence in told]
    opened: list[Dataset] = []
    for split in splits:
        try:
            opened.append(open_dataset(source, base, split, labels, hub=hub, notes=notes))
        except UsageError as error:
            if len(splits) == 1:
                raise
            broken.append({"split": split, "sentence": str(error)})
    if not opened:
        raise UsageError(broken[0]["sentence"])
    if is_conversations(opened):
        found, told_of = dialogue_findings(opened, notes, held_out, started, progress)
        known = {"broken_splits": broken, "unknown_labels": unknown_labels(notes, opened[0].space)}
        report = _report(root, source, opened, {**known, **found}, told_of)
        counts = {data.split: dialogue_counts(data) for data in opened}
        splits_told = {name: {**kept, **counts[name]} for name, kept in report["splits"].items()}
        return {**report, "splits": splits_told}
    rows = _rows(opened)
    if started is not None:
        started(len(rows))
    seen = list(_read_all(_tasks(opened), workers, progress))
    findings: dict[str, Any] = {
        "broken_splits": broken,
        "bad_rows": bad_rows(notes, rows, seen),
        "unknown_labels": unknown_labels(notes, labels),
        **_file_findings(rows, seen),
        **_duplicates(rows, seen, distance),
    }
    remarks = _remarks(source, opened, rows, seen)
    read = sum(print_.size is not None for print_ in seen)
    report = _report(root, source, opened, findings, remarks, read)
    return {**report, "distance": distance}


def _report(
    root: str | Path,
    source: str,
    opened: list[Dataset],
    findings: dict[str, Any],
    remarks: Mapping[str, Any],
    pictures: int = 0,
) -> dict[str, Any]:
    """Return the report of what was found; `problems` counts what makes a data set unclean."""
    counted = {**findings, "near_duplicates": _across(findings.get("near_duplicates", []))}
    problems = sum(
        sum(entry["count"] for entry in found) if name == "unknown_labels" else len(found)
        for name, found in counted.items()
    )
    return {
        "schema": SCHEMA,
        "root": str(root),
        "source": source,
        "label_space": opened[0].space.name,
        "clean": problems == 0,
        "problems": problems,
        "rows": sum(len(data) for data in opened),
        "pictures": pictures,
        "splits": {data.split: split_counts(data) for data in opened},
        "findings": findings,
        "remarks": remarks,
    }


def split_counts(dataset: Dataset) -> dict[str, Any]:
    """Return the counts of one split: rows, each emotion, and what rows have beside it."""
    codes = dataset.labels()
    counts = np.bincount(codes[codes != NO_LABEL], minlength=len(dataset.space))
    return {
        "rows": len(dataset),
        "emotions": dict(zip(dataset.space.labels, counts.tolist(), strict=True)),
        "unlabelled": int((codes == NO_LABEL).sum()),
        "annotated": sum(name is not None for name in dataset.annotations),
        "with_votes": 0 if dataset.votes is None else int(dataset.votes.any(1).sum()),
        "rated": 0 if dataset.affect is None else int(np.isfinite(dataset.affect).all(1).sum()),
    }


def bad_rows(notes: Sequence[Note], rows: list[Row], seen: list[Fingerprint]) -> list[Row]:
    """Return the rows that cannot be read, and those whose paths leave the folder."""
    found = [{"where": n.where, "sentence": n.sentence} for n in notes if n.kind == "bad_row"]
    for row, print_ in zip(rows, seen, strict=True):
        if print_.outside is not None:
            where = f"{row['split']}, {row['id']}"
            found.append({"where": where, "sentence": f"{where}: {print_.outside}"})
    return found


def unknown_labels(notes: Sequence[Note], space: LabelSpace) -> list[dict[str, Any]]:
    """Return each label that is not in the space: how often, where, and the nearest that is."""
    found: dict[str, list[str]] = {}
    for note in notes:
        if note.kind == "unknown_label" and note.got is not None:
            found.setdefault(note.got, []).append(note.where)
    return [
        {"label": label, "count": len(rows), "nearest": nearest(label, space.labels), "rows": rows}
        for label, rows in sorted(found.items())
    ]


def _rows(opened: list[Dataset]) -> list[Row]:
    """Return what identifies every row."""
    rows = []
    for data in opened:
        known = [*data.space.labels, None]  # NO_LABEL, -1, is the last
        for name, image, code in zip(data.names, data.images, data.codes.tolist(), strict=True):
            rows.append({"split": data.split, "id": name, "picture": image, "label": known[code]})
    return rows


def _tasks(opened: list[Dataset]) -> Iterator[Task]:
    """Yield what is to be read of every row, in order; stored pictures are read as they come."""
    for data in opened:
        root, space = str(data.root), data.space
        for image, annotation in zip(data.images, data.annotations, strict=True):
            if data.stored is None:
                yield image, root, annotation, space
                continue
            picture = data.stored(image)
            try:
                yield (picture.read(), picture.name), root, annotation, space
            except UsageError as error:
                yield (None, str(error)), root, annotation, space


def _read_all(
    tasks: Iterator[Task], workers: int, progress: Advance | None
) -> Iterator[Fingerprint]:
    """Read in order, a few pieces ahead of what is used, in this process or in spawned ones."""
    pieces = _pieces(tasks)
    first = list(islice(pieces, IN_PROCESS // PIECE))
    if workers == 1 or sum(map(len, first)) < IN_PROCESS:
        for piece in chain(first, pieces):
            yield from _counted(fingerprints(piece), progress)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: deque[Future[list[Fingerprint]]] = deque()
        for piece in chain(first, pieces):
            ahead.append(pool.submit(fingerprints, piece))
            if len(ahead) >= 4 * workers:
                yield from _counted(ahead.popleft().result(), progress)
        while ahead:
            yield from _counted(ahead.popleft().result(), progress)


def _pieces(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while piece := list(islice(tasks, PIECE)):
        yield piece


def _counted(found: list[Fingerprint], progress: Advance | None) -> list[Fingerprint]:
    if progress is not None:
        progress(len(found))
    return found


def _file_findings(rows: list[Row], seen: list[Fingerprint]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {
        "missing_pictures": [],
        "unreadable_pictures": [],
        "missing_annotations": [],
        "bad_annotations": [],
    }
    for row, print_ in zip(rows, seen, strict=True):
        if print_.missing:
            found["missing_pictures"].append(row)
        elif print_.error is not None:
            found["unreadable_pictures"].append({**row, "sentence": print_.error})
        if print_.annotation_missing:
            found["missing_annotations"].append(row)
        elif print_.annotation_error is not None:
            found["bad_annotations"].append({**row, "sentence": print_.annotation_error})
    return found


def _duplicates(rows: list[Row], seen: list[Fingerprint], distance: int) -> dict[str, list[Row]]:
    """Return groups of exact duplicates, and of near ones among what is then left once each."""
    exact = exact_groups([print_.sha256 for print_ in seen])
    again = {row for group in exact for row in group[1:]}
    kept = [
        index
        for index, print_ in enumerate(seen)
        if print_.phash is not None and index not in again
    ]
    hashes = np.array([seen[index].phash for index in kept], dtype=np.uint64)
    flat = b"".join(seen[index].tiny for index in kept)
    tiny = np.frombuffer(flat, np.uint8).reshape(-1, TINY, TINY, 3)
    copies = {group[0]: group for group in exact}
    near = []
    for group in near_groups(hashes, tiny, distance):
        members = sorted(row for i in group for row in copies.get(kept[i], [kept[i]]))
        near.append(_group(rows, members, seen))
    return {
        "exact_duplicates": [
            {"sha256": seen[group[0]].sha256, **_group(rows, group, None)} for group in exact
        ],
        "near_duplicates": near,
    }


def _group(rows: list[Row], members: list[int], seen: list[Fingerprint] | None) -> Row:
    found = [dict(rows[index]) for index in members]
    if seen is not None:
        for row, index in zip(found, members, strict=True):
            row["distance"] = ((seen[members[0]].phash or 0) ^ (seen[index].phash or 0)).bit_count()
    splits = list(dict.fromkeys(row["split"] for row in found))
    labels = sorted({row["label"] for row in found if row["label"] is not None})
    return {"splits": splits, "labels": labels, "members": found}


def _across(groups: list[Row]) -> list[Row]:
    """Return the groups that reach over more than one split: only these spoil an evaluation."""
    return [group for group in groups if len(group["splits"]) > 1]


def _remarks(
    source: str, opened: list[Dataset], rows: list[Row], seen: list[Fingerprint]
) -> dict[str, Any]:
    """Return what a curator wants to know though nothing is wrong with it."""
    pairs = list(zip(rows, seen, strict=True))
    sides = sorted(min(print_.size) for print_ in seen if print_.size is not None)
    passed: Passed = Counter()
    unlisted = [] if source == "hub" else _unlisted(opened, passed)
    return {
        "misnamed_pictures": [
            {**row, "format": print_.misnamed} for row, print_ in pairs if print_.misnamed
        ],
        "flat_pictures": [
            row for row, print_ in pairs if print_.size is not None and print_.phash is None
        ],
        "strips": [
            row
            for row, print_ in pairs
            if print_.size is not None and max(print_.size) > LONGEST_STRIP * min(print_.size)
        ],
        "unlisted_pictures": unlisted,
        "passed_over": passed_over(passed),
        "short_sides": [sides[0], sides[len(sides) // 2], sides[-1]] if sides else None,
    }


def _unlisted(opened: list[Dataset], passed: Passed) -> list[str]:
    """Return the picture files in the data set's folder that no row names; count other files."""
    roots = sorted({data.root for data in opened})
    root = Path(os.path.commonpath(roots))
    # by name, not resolved: for a hundred thousand files that would take as long as reading them
    listed = {
        os.path.normpath(os.path.join(data.root, name))  # noqa: PTH118
        for data in opened
        for name in data.images
    }
    try:
        files = list(only_paths(find_images([root], passed)))
    except UsageError:  # no picture at all: the rows' pictures are reported as missing
        return []
    return [p.relative_to(root).as_posix() for p in files if os.path.normpath(p) not in listed]
