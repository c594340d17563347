"""The AMT set built from data sets that are here: one truth a row, for each of EmoVerse's tasks."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emosym.annotate.attributes import NOTHING_SAID, blind_attributes, describe_attributes
from emosym.annotate.knowledge import read_knowledge
from emosym.data.action_units import UNITS, checked_units, unit_phrases, units_of
from emosym.data.dataset import Dataset
from emosym.data.images import load_image
from emosym.data.sources.amt import (
    ABOUT,
    AMT_SCHEMA,
    CONVERSATIONS,
    TASKS,
    load_amt,
    target_row,
    turn_row,
)
from emosym.data.unit_tables import peak_of, read_action_units
from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.files import disk_errors, inside, printable, write_atomic, write_bytes, write_json
from emosym.tasks.ecpe import causes_space, ecpe
from emosym.tasks.eri import eri
from emosym.tasks.fer import fer
from emosym.tasks.mer import mer
from emosym.tasks.msa import msa
from emosym.tasks.question import turn_in_question
from emosym.tasks.swift import row_of, write_rows
from emosym.tasks.task import Task, label_said
from emosym.tasks.text_emotion import text_emotion
from emosym.types import ECPE, ERI, FER, MER, MSA, TEXT_EMOTION, Frame, Sample, StoredImage, Target

log = logging.getLogger(__name__)
MEDIA, FRAMES = "media", "frames"
Units = Callable[[str, Sample], "tuple[str, ...] | None"]


@dataclass(frozen=True, slots=True)
class Part:
    """A split of a source: its name (also that of its media in the set), and its samples."""

    source: str
    split: str
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class Built:
    """What was written: rows by split and task, and what was left out by its reason."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def no_units(source: str, sample: Sample) -> None:
    """Know no action units but those of the data set itself."""


def units_of_tables(folders: Mapping[str, Path]) -> Units:
    """Return what tells a sample's action units: those of the peak in FOLDER/<sample id>.csv.

    `folders` maps sources to folders of tables of OpenFace or py-feat, one a sample. A sample
    without a table, or whose table holds no face, has no units.

    Raises:
        UsageError: for a folder that is not there.
    """
    for folder in folders.values():
        if not folder.is_dir():
            raise UsageError(f"There is no folder of action units at {str(folder)!r}.")

    def units(source: str, sample: Sample) -> tuple[str, ...] | None:
        if source not in folders:
            return None
        path = inside(folders[source], f"{sample.id}.csv", "table of action units")
        try:
            return peak_of(read_action_units(path)).units if path.is_file() else None
        except UsageError as error:
            log.warning("No action units of %s: %s", sample.id, error)
            return None

    return units


def build_amt(
    out: Path,
    parts: Sequence[Part],
    tasks: Sequence[str] = TASKS,
    units: Units = no_units,
    knowledge: Path | None = None,
) -> Built:
    """Write the AMT set of some data sets into a new or empty folder; returns what is in it.

    `units(source, sample)` tells the action units of a sample's face from a table, where the data
    set does not. Of them those are kept that go with the sample's emotion. A reason is the data
    set's own, or that of a `knowledge` base (`emosym data annotate`, by the sample's id), or else
    written as label-blind annotations are, from the face, with the words and the emotion after it.
    Media are not copied: `media/SOURCE` is a link to the source's folder.

    Raises:
        UsageError: for an unknown task, a folder that is not empty, sources of one name in two
            places, or a set without any row.
        EmoSymError: when the disk is full or not writable.
    """
    for task in tasks:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and not empty; choose another folder.")
    roots: dict[str, Path] = {}
    for part in parts:
        place = part.dataset.root.absolute()
        if roots.setdefault(part.source, place) != place:
            raise UsageError(f"The source {part.source!r} is given in two places.")
    known = {} if knowledge is None else _reasons(knowledge)
    work = out.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with disk_errors(out):
            (work / MEDIA).mkdir(parents=True)
            for source, root in roots.items():
                inside(work / MEDIA, source, "source").symlink_to(root, target_is_directory=True)
        built = _write(work, parts, tasks, units, known)
        with disk_errors(out):
            work.replace(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return built


def _write(
    out: Path,
    parts: Sequence[Part],
    tasks: Sequence[str],
    units: Units,
    known: Mapping[str, str],
) -> Built:
    """Write the files of a set into a folder that holds the links of its sources."""
    built, names = Built(), dict[Any, str]()
    rows: dict[str, list[dict[str, Any]]] = {part.split: [] for part in parts}
    conversations: list[dict[str, Any]] = []
    for part in parts:
        for sample in part.dataset:
            key = (part.source, part.split, sample.turns)
            if key not in names:
                names[key] = f"{part.source}/{part.split}/{len(names)}"
                turns = [_turn_row(out, turn, part) for turn in sample.turns]
                conversations.append({"id": names[key], "source": part.source, "turns": turns})
            for task in tasks:
                target = truth_for(sample, task, part, units, known, built.left_out)
                if target is not None:
                    name = printable(f"{part.source}/{sample.id}")
                    row = {"id": name, "conversation": names[key], "focus": sample.focus}
                    row |= {"task": task, "target": target_row(target), "source": part.source}
                    rows[part.split].append(row)
    for split, found in rows.items():
        counted = Counter(row["task"] for row in found)
        built.counts[split] = {task: counted[task] for task in tasks}
        write_rows(out / f"{split}.jsonl", found)
    if not any(rows.values()):
        raise UsageError("There is nothing to build from: no sample has a truth of these tasks.")
    write_rows(out / CONVERSATIONS, conversations)
    about = {"schema": AMT_SCHEMA, "counts": built.counts, "left_out": dict(built.left_out)}
    sources = sorted({part.source for part in parts})
    write_json(out / ABOUT, {**about, "sources": sources, "tasks": list(tasks)})
    return built


def truth_for(
    sample: Sample,
    task: str,
    part: Part,
    units: Units,
    known: Mapping[str, str],
    left_out: Counter[str],
) -> Target | None:
    """Return the truth of a task as the set holds it, or None; why one is left out is counted."""
    space, label = part.dataset.space, label_said(sample.targets.get(MER))
    if task == FER:
        found = _units(sample, part, units, label)
        if found == ():
            left_out["fer: no unit of its emotion"] += 1
        return found or None
    if task == ERI:
        own = sample.label_of(ERI) or known.get(printable(sample.id))
        return own or written_reason(sample, _units(sample, part, units, label) or (), label)
    target = sample.targets.get(task)
    if task == MER:
        return label
    if task == ECPE and target is not None and sample.focus is not None:
        felt = sample.turns[sample.focus].emotion
        if felt is None or causes_space(space).find(felt) is None:
            left_out["ecpe: a turn without an emotion"] += 1
            return None
    return target


def _units(sample: Sample, part: Part, units: Units, label: str | None) -> tuple[str, ...] | None:
    """Return the units of a face that go with its emotion; None where no units are known."""
    own = sample.targets.get(FER)
    seen = units(part.source, sample) if own is None else own
    if not isinstance(seen, tuple):
        return None
    fitting = tuple(UNITS) if label is None else units_of(label)
    if fitting is None:
        return None
    return checked_units(str(code) for code in seen if code in fitting)


def written_reason(sample: Sample, units: Sequence[str], label: str | None) -> str | None:
    """Return a reason from what is seen and said: the face, the words, what follows; or None.

    What is seen is told as the annotator of attributes tells it, without any emotion word. None
    where no face is seen or the emotion is not known.
    """
    if not units or label is None:
        return None
    face = unit_phrases(units).lower().replace("; ", ", ")
    told = describe_attributes(blind_attributes({**sample.attributes, "facial_expression": face}))
    if told == NOTHING_SAID:
        return None
    place = len(sample.turns) - 1 if sample.focus is None else sample.focus
    words = (sample.turns[place].text or "").strip()
    says = f' The words are "{words}".' if words else ""
    return f"{told}{says} The speaker feels {label}."


def _reasons(path: Path) -> dict[str, str]:
    rows = read_knowledge(path).rows.values()
    return {row.id: row.rationale for row in rows if row.rationale is not None}


def _turn_row(out: Path, turn: Any, part: Part) -> dict[str, Any]:
    frames = [_frame_name(out, frame, part) for frame in turn.frames]
    clip = None if turn.clip is None else _frame_name(out, turn.clip, part)
    return turn_row(turn, frames, clip)


def _frame_name(out: Path, frame: Frame, part: Part) -> str:
    """Return a path inside the set: through the link of its source, or of a copy."""
    if isinstance(frame, Path):
        below = os.path.relpath(frame, part.dataset.root)
        if not below.startswith(os.pardir):
            return f"{MEDIA}/{part.source}/{Path(below).as_posix()}"
    if isinstance(frame, (bytes, StoredImage)):
        data = frame if isinstance(frame, bytes) else frame.read()
        name = f"{FRAMES}/{hashlib.sha256(data).hexdigest()}"
        if not (out / name).exists():
            write_bytes(out / name, data)
        return name
    picture = load_image(frame)
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    name = f"{FRAMES}/{digest}.png"
    if not (out / name).exists():
        write_atomic(out / name, lambda path: picture.save(path, "PNG"))
    return name


def swift_tasks(space: LabelSpace, wording: str) -> dict[str, Task]:
    """Return the tasks in our wording or the published one ("emoverse")."""
    return {
        MSA: msa(wording),
        MER: mer(space, wording),
        FER: fer(wording),
        ERI: eri(space, wording),
        ECPE: ecpe(space, wording),
        TEXT_EMOTION: text_emotion(space),
    }


def write_swift(
    amt: Path, split: str, out: Path, form: str, wording: str, space: LabelSpace
) -> Counter[str]:
    """Write a split of an AMT set as ms-swift's rows; returns how many of each task.

    Paths are relative to the AMT folder. A row tells its task in `task`, its sample in `id`. A
    sample that a wording cannot ask about (a face without a picture) is left out and counted.

    Raises:
        UsageError: for an unknown form, wording or split, or no AMT set.
    """
    dataset, made = load_amt(amt, split, space), list[dict[str, Any]]()
    counts: Counter[str] = Counter()
    tasks = swift_tasks(dataset.space, wording)
    for sample in dataset:
        for name, task in tasks.items():
            if name not in sample.targets:
                continue
            if name == FER and not turn_in_question(sample).frames:
                counts["fer without a picture"] += 1
                continue
            said = task.teach(sample)
            row = row_of(said, lambda frame: os.path.relpath(frame, amt), form)
            made.append({**row, "task": name, "id": sample.id})
            counts[name] += 1
    write_rows(out, made)
    return counts
