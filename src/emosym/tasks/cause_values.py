"""Cause pairs measured: three published ways, each beside "this turn and the one before"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.task import Prediction, Unparsed
from emosym.types import CausePair, Sample, Target

UNREADABLE = "unreadable"  # no pair, so it is one wrong pair
Targets = Sequence[Sequence[tuple[int, str]]]
_TURN = re.compile(r"\s*([0-9]{1,6})\s*_")


def pairs_text(pairs: Iterable[CausePair]) -> str:
    """Return pairs in the published string form, turns counting from 1: "5_surprise,2"."""
    return ";".join(f"{pair.turn + 1}_{pair.emotion or ''},{pair.cause + 1}" for pair in pairs)


def emotional_turns(sample: Sample, space: LabelSpace) -> list[tuple[int, str]]:
    """Return (turn, emotion) of the turn in focus, or of all, where the emotion is of the space."""
    places = range(len(sample.turns)) if sample.focus is None else (sample.focus,)
    told = [(place, space.find(str(sample.turns[place].emotion))) for place in places]
    return [(place, space.labels[code]) for place, code in told if code is not None]


def measure_causes(
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    space: LabelSpace,
    parse: Callable[[str], Prediction],
    targets: Targets | None = None,
) -> dict[str, Any]:
    """Return pair scores of N samples: corrected, `compat_*` and `semeval_*`.

    A prediction is pairs, an `Unparsed`, or the answer as it was given: `compat` scores the latter
    to the letter, while pairs are scored as if they had been written properly. A sample's pairs are
    records of one turn each, as in `metrics.causes`. `targets` lists for each sample the (turn,
    emotion) that are asked about; without them they are those of the true pairs, and where there
    are none "self and previous" answers nothing, which flatters it.

    `self_and_previous_*` is what the answer "this turn and the one before" scores on the same
    records; `own_self_and_previous_pair_f1` the same for the turns and emotions that the
    prediction names, so that only the causes differ. `unreadable` is the share of unparsed answers.

    Raises:
        UsageError: for no samples, lengths that differ, or a true pair without an emotion of the
            space.
    """
    from emosym.metrics.causes import cause_values
    from emosym.metrics.checks import same_length

    if same_length(predictions=predictions, truths=truths) == 0:
        raise UsageError("There are no samples to score.")
    rows = cause_records(predictions, truths, space, parse, targets)
    asked = None if targets is None else rows["asked"]
    values: dict[str, Any] = {}
    for mode, prefix, said in (
        ("corrected", "", rows["read"]),
        ("compat", "compat_", rows["raw"]),
        ("semeval", "semeval_", rows["read"]),
    ):
        found = cause_values(said, rows["gold"], mode, space, asked)
        values |= {f"{prefix}{name}": value for name, value in found.items()}
    own = cause_values(rows["own"], rows["gold"], "corrected", space, asked)
    values["own_self_and_previous_pair_f1"] = own["pair_f1"]
    unread = [_read(found, parse) for found in predictions]
    values["unreadable"] = sum(isinstance(p, Unparsed) for p in unread) / len(unread)
    return values


def cause_records(
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    space: LabelSpace,
    parse: Callable[[str], Prediction],
    targets: Targets | None = None,
) -> dict[str, list[Any]]:
    """Return the R records of N samples in columns: one for each turn that a sample speaks of.

    `sample`: its number; `read`, `raw`, `gold`, `own`: pair strings of the prediction, of the
    prediction to the letter, of the truth, and of "self and previous" for the emotions predicted;
    `asked`: "i_emotion", "neutral" where the turn is not asked about; `usual`: "self and previous"
    for what is asked, or without `targets` for the true emotions.
    """
    rows: dict[str, list[Any]] = {
        name: [] for name in ("sample", "read", "raw", "gold", "own", "asked", "usual")
    }
    for number, (found, truth) in enumerate(zip(predictions, truths, strict=True)):
        gold = _checked(truth)
        read = _read(found, parse)
        pairs = read if isinstance(read, tuple) else ()
        wanted = dict(targets[number]) if targets is not None else {}
        turns = sorted({p.turn for p in (*gold, *pairs)} | set(wanted)) or [0]
        literal = _literal(found, turns)
        for turn in turns:
            own = [p for p in pairs if p.turn == turn]  # type: ignore[union-attr]
            rows["sample"].append(number)
            rows["read"].append(pairs_text(own))  # type: ignore[arg-type]
            rows["raw"].append(literal[turn] if literal else pairs_text(own))  # type: ignore[arg-type]
            rows["gold"].append(pairs_text(p for p in gold if p.turn == turn))
            rows["own"].append(pairs_text(self_and_previous(own)))  # type: ignore[arg-type]
            rows["asked"].append(f"{turn + 1}_{wanted.get(turn, 'neutral')}")
            true = [CausePair(turn, wanted[turn], turn)] if turn in wanted else []
            if targets is None:
                true = sorted((p for p in gold if p.turn == turn), key=lambda p: pairs_text([p]))[
                    :1
                ]
            rows["usual"].append(pairs_text(self_and_previous(true)))
        if isinstance(read, Unparsed):
            rows["read"][-1] = UNREADABLE
    return rows


def _checked(truth: Target) -> tuple[CausePair, ...]:
    if not isinstance(truth, tuple) or not all(isinstance(pair, tuple) for pair in truth):
        raise UsageError(f"True emotion-cause pairs must be a tuple of them, got {truth!r:.80}.")
    return tuple(CausePair(*pair) for pair in truth)


def _read(found: Prediction, parse: Callable[[str], Prediction]) -> Prediction:
    return parse(found) if isinstance(found, str) else found


def _literal(found: Prediction, turns: Sequence[int]) -> dict[int, str] | None:
    """Return an answer to the letter by turn; pieces that name none of them go to the first."""
    said = found.answer if isinstance(found, Unparsed) else found
    if not isinstance(said, str):
        return None
    if len(turns) == 1:
        return {turns[0]: said}
    pieces: dict[int, list[str]] = {turn: [] for turn in turns}
    for piece in said.split(";"):
        named = _TURN.match(piece)
        turn = int(named[1]) - 1 if named else turns[0]
        pieces[turn if turn in pieces else turns[0]].append(piece)
    return {turn: ";".join(some) for turn, some in pieces.items()}


def self_and_previous(pairs: Iterable[CausePair]) -> list[CausePair]:
    """Answer "this turn and the one before" for every turn and emotion that pairs name."""
    named = {(pair.turn, pair.emotion) for pair in pairs}
    return [
        CausePair(turn, emotion, cause)
        for turn, emotion in sorted(named, key=str)
        for cause in (turn, turn - 1)
        if cause >= 0
    ]
