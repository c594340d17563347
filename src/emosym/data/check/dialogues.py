"""What is wrong with conversations: rows, labels, causes, times, clips, and other sets' tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emosym.data.clips import LONGEST_SECONDS, clip_facts
from emosym.data.dataset import Dataset
from emosym.data.held_out import (
    NOTHING_HELD,
    SHARED,
    conversations_of,
    hashes_of,
    shared_utterances,
)
from emosym.data.notes import Note
from emosym.errors import UsageError
from emosym.extras import install_command, is_available
from emosym.types import ECPE

MANY_SPEAKERS = 50
LONG_TURN = 2_000  # words; few prompts hold as many
# What readers note, as it is reported: what spoils data or could not be read is a problem.
PROBLEMS = ("pairs_outside", "empty_conversations", "missing_clips")
REMARKS = ("id_gaps", "backward_times", "overlapping_times", "duplicate_pairs", "spellings")
Row = dict[str, Any]


def dialogue_findings(
    opened: Sequence[Dataset],
    notes: Sequence[Note],
    held_out: frozenset[str] = NOTHING_HELD,
    started: Callable[[int], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Return findings that are problems, and remarks, each by its name in a fixed order.

    `held_out` holds hashes of another set's test; also every split is compared with the others.
    `started` is told the number of clips, `progress` how many were looked into since.
    """
    clips = _clips(opened, started, progress)
    findings = {
        "bad_rows": _noted(notes, "bad_row"),
        **{kind: _noted(notes, kind) for kind in PROBLEMS},
        "unreadable_clips": clips["unreadable_clips"],
        "missing_pictures": _missing_pictures(opened),
        "held_out": _held_out(opened, held_out),
    }
    remarks = {kind: _noted(notes, kind) for kind in REMARKS}
    remarks |= _sizes(opened)
    remarks |= {key: clips[key] for key in ("long_clips", "clips_not_looked_into")}
    return findings, remarks


def dialogue_counts(dataset: Dataset) -> dict[str, int]:
    """Return how many conversations, speakers, words, clips and causes one split has."""
    talks = conversations_of(dataset)
    turns = [turn for talk in talks.values() for turn in talk]
    return {
        "conversations": len(talks),
        "speakers": len({turn.speaker for turn in turns if turn.speaker}),
        "words": sum(len(turn.text.split()) for turn in turns if turn.text),
        "with_clips": sum(turn.clip is not None for turn in turns),
        "causes": sum(
            len(pairs)
            for targets in dataset.targets or ()
            if isinstance(pairs := targets.get(ECPE), tuple)
        ),
    }


def _noted(notes: Sequence[Note], kind: str) -> list[Row]:
    return [{"where": n.where, "sentence": n.sentence} for n in notes if n.kind == kind]


def _names(dataset: Dataset) -> dict[int, str]:
    """Return the id of the first sample of each conversation, which stands for it."""
    found: dict[int, str] = {}
    places = [] if dataset.places is None else dataset.places[:, 0].tolist()
    for name, number in zip(dataset.names, places, strict=True):
        found.setdefault(number, name)
    return found


def _sizes(opened: Sequence[Dataset]) -> dict[str, list[Row]]:
    """Return conversations of very many speakers, and turns of very many words or of none."""
    found: dict[str, list[Row]] = {"many_speakers": [], "long_turns": [], "turns_without_words": []}
    for dataset in opened:
        names = _names(dataset)
        for number, turns in conversations_of(dataset).items():
            where = f"{dataset.split}, from {names[number]}"
            speakers = len({turn.speaker for turn in turns if turn.speaker})
            if speakers > MANY_SPEAKERS:
                sentence = f"{where}: {speakers} persons speak."
                found["many_speakers"].append({"where": where, "sentence": sentence})
            for place, turn in enumerate(turns):
                at = f"{where}, turn {place}"
                words = len(turn.text.split()) if turn.text else 0
                if words > LONG_TURN:
                    sentence = f"{at} has {words:,} words."
                    found["long_turns"].append({"where": at, "sentence": sentence})
                if not words:
                    sentence = f"{at} has no words."
                    found["turns_without_words"].append({"where": at, "sentence": sentence})
    return found


def _held_out(opened: Sequence[Dataset], held_out: frozenset[str]) -> list[Row]:
    """Return the dialogues that share three utterances or more with a test or another split."""
    found = []
    said = [hashes_of([dataset]) for dataset in opened]
    for dataset in opened:
        others = [
            (other.split, hashes)
            for other, hashes in zip(opened, said, strict=True)
            if other is not dataset
        ]
        against = [("what is held out", held_out), *others]
        names = _names(dataset)
        for told, hashes in against:
            if told == "train":  # said once, of the other split
                continue
            for number, count in shared_utterances(dataset, hashes).items():
                if count < SHARED:
                    continue
                where = f"{dataset.split}, from {names[number]}"
                turns = len(dataset.conversations[number])
                sentence = f"{where}: {count} of {turns} utterances stand in {told}."
                found.append({"where": where, "against": told, "sentence": sentence})
    return found


def _missing_pictures(opened: Sequence[Dataset]) -> list[Row]:
    found = []
    for dataset in opened:
        names = _names(dataset)
        for number, turns in conversations_of(dataset).items():
            for frame in (str(frame) for turn in turns for frame in turn.frames):
                if dataset.stored is None and not (dataset.root / frame).is_file():
                    where = f"{dataset.split}, from {names[number]}"
                    found.append({"where": where, "picture": frame})
    return found


def _clips(
    opened: Sequence[Dataset],
    started: Callable[[int], None] | None,
    progress: Callable[[int], None] | None,
) -> dict[str, list[Row]]:
    """Look into every clip once."""
    found: dict[str, list[Row]] = {
        "unreadable_clips": [],
        "long_clips": [],
        "clips_not_looked_into": [],
    }
    clips = {
        (dataset.root / turn.clip): dataset.split
        for dataset in opened
        for turns in conversations_of(dataset).values()
        for turn in turns
        if turn.clip is not None
    }
    if started is not None:
        started(len(clips))
    if clips and not is_available("av"):
        sentence = f"{len(clips):,} clips were not looked into; {install_command('video')}."
        found["clips_not_looked_into"].append({"where": "clips", "sentence": sentence})
        return found
    for path, split in clips.items():
        where = f"{split}, {path.name}"
        try:
            seconds = clip_facts(path).seconds
            if seconds is not None and seconds >= LONGEST_SECONDS:
                sentence = f"{where} lasts {seconds / 60:.0f} minutes; it is read as words only."
                found["long_clips"].append({"where": where, "sentence": sentence})
        except UsageError as error:
            found["unreadable_clips"].append({"where": where, "sentence": f"{split}: {error}"})
        if progress is not None:
            progress(1)
    return found


def is_conversations(opened: Sequence[Dataset]) -> bool:
    """Tell whether data sets hold conversations, not single pictures."""
    return all(dataset.places is not None for dataset in opened)
