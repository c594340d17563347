"""What can be known of a turn from its words, its face or both: exact, from the probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from emosym.data.storybook.dialogues.rules import (
    CONTRADICTIONS,
    INTENSITIES,
    NEUTRAL_DEGREE,
    SILENT_FACES,
    Showing,
    feelings,
    sentiment_of,
    showings,
)
from emosym.data.storybook.dialogues.structure import MOVED, all_steps, kind_of_step
from emosym.data.storybook.dialogues.vocabulary import KINDS, NEUTRAL, Kind


class Case(NamedTuple):
    """One thing that a turn can be, with its probability among all turns.

    `step` is tell, name, ahead or plain; `intensity` is 0 where no degree is said and nobody is
    moved.
    """

    share: float
    step: str
    kind: Kind | None
    emotion: str
    showing: Showing
    degree: int


View = Callable[[Case], object]
VIEWS: dict[str, View] = {
    "nothing": lambda case: None,
    "words": lambda case: (case.step, case.kind, case.showing.claim, case.degree),
    "face": lambda case: case.showing.face,
    "words + face": lambda case: (
        case.step,
        case.kind,
        case.showing.claim,
        case.degree,
        case.showing.face,
    ),
}
TRUTHS: dict[str, View] = {
    "mer": lambda case: case.emotion,
    "msa": lambda case: sentiment_of(case.emotion, case.degree or 2, case.kind),
}


def step_shares() -> dict[str, float]:
    """Return how many of 1 turns are of each kind of step."""
    found: dict[str, float] = defaultdict(float)
    for weight, steps in all_steps():
        for turn, step in enumerate(steps):
            found[kind_of_step(step, turn)] += weight
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def cases() -> Iterator[Case]:
    """Yield every case of a turn; their shares sum to 1."""
    for step, share in step_shares().items():
        for kind in KINDS if step != "plain" else (None,):
            part = share / (len(KINDS) if kind else 1)
            for face, often in SILENT_FACES.items():
                weight = part * (1 - MOVED[step]) * often
                showing = Showing("neutral", None, face)
                said = NEUTRAL_DEGREE if kind else 0.0
                for degree, much in ((0, 1 - said), (1, said / 2), (3, said / 2)):
                    yield Case(weight * much, step, kind, NEUTRAL, showing, degree)
            if kind is None:
                continue
            evoked = feelings(kind, step == "ahead")
            for emotion in evoked:
                for often, showing in showings(emotion, kind, step == "ahead"):
                    weight = part * MOVED[step] * often / len(evoked)
                    for intensity, much in INTENSITIES.items():
                        degree = 0 if intensity == 2 else intensity
                        yield Case(weight * much, step, kind, emotion, showing, degree)


def best_accuracy(view: str, task: str = "mer", contradictory: bool = False) -> float:
    """Return the accuracy of the best reader of one view, over all turns.

    With `contradictory` it is that reader's accuracy where words and face claim different things.
    """
    see, truth = VIEWS[view], TRUTHS[task]
    table: dict[object, dict[object, float]] = defaultdict(lambda: defaultdict(float))
    among: dict[object, dict[object, float]] = defaultdict(lambda: defaultdict(float))
    for case in cases():
        table[see(case)][truth(case)] += case.share
        if not contradictory or case.showing.mode in CONTRADICTIONS:
            among[see(case)][truth(case)] += case.share
    guesses = {seen: max(found, key=lambda key: found[key]) for seen, found in table.items()}
    right = sum(found[guesses[seen]] for seen, found in among.items())
    return right / sum(sum(found.values()) for found in among.values())


def cause_shares() -> dict[str, float]:
    """Return how many of 1 causes are the turn itself, the one before, an earlier or a later."""
    found: dict[str, float] = defaultdict(float)
    for weight, steps in all_steps():
        for turn, step in enumerate(steps):
            if step.event is None:
                continue
            gap = turn - step.event
            place = "later" if gap < 0 else ("self", "previous")[gap] if gap < 2 else "earlier"
            found[place] += weight * MOVED[kind_of_step(step, turn)]
    total = sum(found.values())
    return {place: found[place] / total for place in ("self", "previous", "earlier", "later")}


def trivial_cause_f1(self_too: bool = True, previous_too: bool = True) -> float:
    """Return the F1 of pairs of "this turn and the one before cause it", the emotions known.

    It is the F1 over all turns together, as of infinitely many conversations.
    """
    right = predicted = true = 0.0
    for weight, steps in all_steps():
        for turn, step in enumerate(steps):
            moved = weight * MOVED[kind_of_step(step, turn)]
            guessed = [turn] * self_too + [turn - 1] * (previous_too and turn > 0)
            predicted += moved * len(guessed)
            true += moved
            right += moved * (step.event in guessed)
    return 2 * right / (predicted + true)


def information_table() -> list[tuple[str, float]]:
    """Return what the best readers reach, row by row: (what, value 0..1)."""
    rows: list[tuple[str, float]] = []
    for view in VIEWS:
        rows.append((f"mer, accuracy from {view}", best_accuracy(view)))
        rows.append(
            (f"mer where words and face differ, from {view}", best_accuracy(view, "mer", True))
        )
        rows.append((f"msa, exact value from {view}", best_accuracy(view, "msa")))
    rows += [(f"causes that are {place}", share) for place, share in cause_shares().items()]
    rows.append(("ecpe, F1 of self", trivial_cause_f1(True, False)))
    rows.append(("ecpe, F1 of self + previous", trivial_cause_f1()))
    return rows
