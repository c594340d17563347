"""Paired probes: what does a reading follow when one thing about a sample is changed?

Each sample is read as it is, and again with its picture blanked or taken from another sample, its
words taken from another sample, or an emotion word planted beside them. A donor has another true
emotion; the control has a donor of the same one, or words that name no emotion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.evaluation.results.value_intervals import add_share
from emosym.pipelines.protocol import EmotionPipeline
from emosym.seeds import numpy_rng
from emosym.types import BadInput, Sample, Turn

BLANK_SIDE, GREY = 64, 128
PLANTED, PLAIN = "(Somebody says: this is {}.)", "(Somebody says: this is a sentence.)"


@dataclass(frozen=True, slots=True)
class Pair:
    """A sample changed by a probe; `towards` is the row of the donor, or the planted label."""

    row: int
    changed: Sample
    towards: int | str | None = None


def evaluate_probes(
    pipeline: EmotionPipeline,
    dataset: Dataset,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a result named `probes`.

    Per probe: `flip_<probe>`, the share of readings that name another emotion than before, and
    where the change points somewhere `follow_<probe>`, the share that then name what the donor is
    read as (or the planted word), of those that did not name it before; `n_<probe>` pairs. Probes:
    `picture_blank`; `picture_other` and its control `picture_same`, with another sample's picture;
    `words_other` and `words_same`, with another's words; `words_planted` with an emotion word
    beside the words, and its control `words_added`. A probe that no sample allows has n 0 and None.
    `unreadable` counts readings that failed; their pairs are left out.

    Raises:
        UsageError: where no sample has a known emotion.
    """
    samples = list(dataset)
    labels = [sample.label_of(dataset.task) for sample in samples]
    if not any(labels):
        raise UsageError("Probes need samples whose emotion is known: this data set tells none.")
    advance = progress or (lambda count: None)
    before = _read(pipeline, samples)
    advance(len(samples))
    values: dict[str, Any] = {}
    unread = sum(name is None for name in before)
    for name, pairs in probe_pairs(samples, labels, pipeline.space.labels, before, seed).items():
        after = _read(pipeline, [pair.changed for pair in pairs])
        advance(len(pairs))
        unread += sum(found is None for found in after)
        _measure(values, name, pairs, before, after, seed)
    values["unreadable"] = unread
    return make_result("probes", values, len(samples), seed, subject=subject)


def probe_pairs(
    samples: Sequence[Sample],
    labels: Sequence[str | None],
    words: Sequence[str],
    read: Sequence[str | None],
    seed: int,
) -> dict[str, list[Pair]]:
    """Return the changed samples of each probe; `words` are labels that may be planted."""
    rng = numpy_rng(seed, "probes")
    found: dict[str, list[Pair]] = {
        name: []
        for name in (
            "picture_blank",
            "picture_other",
            "picture_same",
            "words_other",
            "words_same",
            "words_planted",
            "words_added",
        )
    }
    turns = [_turn(sample) for sample in samples]
    for row, (sample, turn) in enumerate(zip(samples, turns, strict=True)):
        if turn is None:
            continue
        seen, said = bool(turn.frames), bool((turn.text or "").strip())
        if seen:
            blank = Image.new("RGB", (BLANK_SIDE, BLANK_SIDE), (GREY,) * 3)
            grey = replace(turn, frames=(blank,) * len(turn.frames))
            found["picture_blank"].append(Pair(row, _with(sample, grey)))
        for same, kind in ((False, "other"), (True, "same")):
            for thing, there in (("picture", seen), ("words", said)):
                donor = _donor(row, labels, turns, thing, same, rng) if there else None
                if donor is None:
                    continue
                other = turns[donor]
                assert other is not None
                part = {"frames": other.frames} if thing == "picture" else {"text": other.text}
                changed = _with(sample, replace(turn, **part))
                found[f"{thing}_{kind}"].append(Pair(row, changed, donor))
        if said:
            others = [word for word in words if word != read[row]]
            word = others[int(rng.integers(len(others)))]
            planted = replace(turn, text=f"{turn.text} {PLANTED.format(word)}")
            found["words_planted"].append(Pair(row, _with(sample, planted), word))
            added = replace(turn, text=f"{turn.text} {PLAIN}")
            found["words_added"].append(Pair(row, _with(sample, added)))
    return found


def _turn(sample: Sample) -> Turn | None:
    place = len(sample.turns) - 1 if sample.focus is None else sample.focus
    return sample.turns[place] if 0 <= place < len(sample.turns) else None


def _with(sample: Sample, turn: Turn) -> Sample:
    place = len(sample.turns) - 1 if sample.focus is None else sample.focus
    turns = (*sample.turns[:place], turn, *sample.turns[place + 1 :])
    return replace(sample, turns=turns)


def _donor(
    row: int,
    labels: Sequence[str | None],
    turns: Sequence[Turn | None],
    thing: str,
    same: bool,
    rng: np.random.Generator,
) -> int | None:
    """Return a sample with the thing, of the same emotion or another one; None: there is none."""
    if labels[row] is None:
        return None
    rows = [
        other
        for other, turn in enumerate(turns)
        if other != row
        and turn is not None
        and labels[other] is not None
        and (labels[other] == labels[row]) == same
        and (turn.frames if thing == "picture" else (turn.text or "").strip())
    ]
    return rows[int(rng.integers(len(rows)))] if rows else None


def _read(pipeline: EmotionPipeline, samples: Sequence[Sample]) -> list[str | None]:
    """Return the emotion that is read of each sample, None where it cannot be read."""
    named = [(f"{number} {sample.id}", sample) for number, sample in enumerate(samples)]
    return [
        None if isinstance(found, BadInput) else found.emotion
        for _, found in pipeline.understand_many(named)
    ]


def _measure(
    values: dict[str, Any],
    name: str,
    pairs: Sequence[Pair],
    before: Sequence[str | None],
    after: Sequence[str | None],
    seed: int,
) -> None:
    rows = []
    for pair, found in zip(pairs, after, strict=True):
        was = before[pair.row]
        goal = before[pair.towards] if isinstance(pair.towards, int) else pair.towards
        if was is not None and found is not None:
            could = goal is not None and goal != was
            rows.append((found != was, could and found == goal, could))
    flips, follows, possible = np.array(rows, dtype=float).reshape(-1, 3).T
    add_share(values, f"flip_{name}", flips, np.ones_like(flips), seed)
    if any(pair.towards is not None for pair in pairs):
        add_share(values, f"follow_{name}", follows, possible, seed)
        values[f"n_follow_{name}"] = int(possible.sum())
    values[f"n_{name}"] = len(rows)
