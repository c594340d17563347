"""What the memory bank admits, refuses, evicts and mixes: named pure functions on numpy arrays.

Four dict literals hold the names: `ADMISSION`, `QUOTA`, `EVICTION` and, for training, the one
function `mixing_plan`. No policy draws a random number except `mixing_plan`, from a named stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emosym.errors import UsageError, unknown_name
from emosym.seeds import numpy_rng

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Function = TypeVar("Function")

PUBLISHED_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Candidates:
    """A batch that asks for admission.

    `intents` (N,) int: class index asked for; `probabilities` (N, C): the reading, rows sum to 1;
    `agreement` (N,) in 0..1: probability of the intent; `informativeness` (N,): any scale, higher
    tells more.
    """

    intents: Ints
    probabilities: Floats
    agreement: Floats
    informativeness: Floats


@dataclass(frozen=True, slots=True)
class Held:
    """What the bank holds: `intents` (N,) int and three (N,) keys to evict by.

    `age` is larger for older entries; `confidence` is 0..1; `informativeness` is any scale.
    """

    intents: Ints
    age: Floats
    confidence: Floats
    informativeness: Floats


Admission = Callable[[Candidates, "float | None", float], Ints]


def chosen(kind: str, name: str, table: Mapping[str, Function]) -> Function:
    """Return the policy of that name.

    Raises:
        UsageError: for an unknown name; names the nearest one.
    """
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def _top_share(order: Ints, intents: Ints, share: float) -> Ints:
    """Keep the first ceil(share * n) of each emotion in `order`; the order stays."""
    if not 0.0 < share <= 1.0:
        raise UsageError(f"The admitted share must lie in (0, 1], got {share:g}.")
    kept = np.zeros(len(order), dtype=bool)
    for emotion in np.unique(intents[order]):
        places = np.flatnonzero(intents[order] == emotion)
        # A product such as .1 * 30 lies a hair above 3; the rounding undoes that before the ceil.
        kept[places[: math.ceil(round(share * len(places), 9))]] = True
    return order[kept]


def admit_published(candidates: Candidates, share: float | None, threshold: float) -> Ints:
    """Admit the most confident share (default .2) of each emotion, right or wrong.

    The published rule. Confidence is the largest probability; `threshold` is not used.
    Returns indices (M,), most confident first.
    """
    order = np.argsort(-candidates.probabilities.max(axis=1), kind="stable")
    return _top_share(order, candidates.intents, PUBLISHED_SHARE if share is None else share)


def admit_agree_informative(candidates: Candidates, share: float | None, threshold: float) -> Ints:
    """Admit what is read as it was meant and still tells something.

    A candidate agrees when the most probable emotion is the intent and `agreement` >= threshold.
    Those that agree are ranked by informativeness, highest first, ties by the smaller margin
    between the two largest probabilities; the first `share` (default 1) of each emotion is kept.
    """
    top = candidates.probabilities.argmax(axis=1)
    agrees = (top == candidates.intents) & (candidates.agreement >= threshold)
    ordered = np.sort(candidates.probabilities, axis=1)
    margin = ordered[:, -1] - (ordered[:, -2] if ordered.shape[1] > 1 else 0.0)
    order = np.lexsort((margin, -candidates.informativeness))
    return _top_share(order[agrees[order]], candidates.intents, 1.0 if share is None else share)


def admit_wrong_label(candidates: Candidates, share: float | None, threshold: float) -> Ints:
    """Admit only what is read as another emotion than the intent, surest mistakes first.

    A control arm: training on these under their intent must not help. `threshold` is not used.
    """
    top = candidates.probabilities.argmax(axis=1)
    order = np.argsort(-candidates.probabilities.max(axis=1), kind="stable")
    wrong = order[top[order] != candidates.intents[order]]
    return _top_share(wrong, candidates.intents, 1.0 if share is None else share)


def admit_train_on(candidates: Candidates, share: float | None, threshold: float) -> Ints:
    """Admit everything in the order it came: the arm without selection."""
    return np.arange(len(candidates.intents), dtype=np.int64)


ADMISSION: dict[str, Admission] = {
    "published": admit_published,
    "agree_informative": admit_agree_informative,
    "wrong_label": admit_wrong_label,
    "train_on": admit_train_on,
}


def _first_of_each(intents: Ints, room: Callable[[int], int]) -> NDArray[np.bool_]:
    """Mark the first `room(emotion)` entries of each emotion."""
    kept = np.zeros(len(intents), dtype=bool)
    for emotion in np.unique(intents):
        kept[np.flatnonzero(intents == emotion)[: max(0, room(int(emotion)))]] = True
    return kept


def quota_none(intents: Ints, held: Ints, size: int) -> NDArray[np.bool_]:
    """Set no limit."""
    return np.ones(len(intents), dtype=bool)


def quota_per_batch(intents: Ints, held: Ints, size: int) -> NDArray[np.bool_]:
    """Admit at most `size` of each emotion from one batch, whatever the bank holds."""
    return _first_of_each(intents, lambda emotion: size)


def quota_per_bank(intents: Ints, held: Ints, size: int) -> NDArray[np.bool_]:
    """Admit until the bank holds `size` of an emotion."""
    return _first_of_each(intents, lambda emotion: size - int((held == emotion).sum()))


# Each takes intents (N,) of the candidates in order of preference and (M,) of the entries held,
# and returns (N,) bool.
QUOTA: dict[str, Callable[[Ints, Ints, int], NDArray[np.bool_]]] = {
    "none": quota_none,
    "per_batch": quota_per_batch,
    "per_bank": quota_per_bank,
}


def evict_oldest(held: Held) -> Ints:
    """Evict in the order of age, oldest first."""
    return np.argsort(-held.age, kind="stable")


def evict_lowest_confidence(held: Held) -> Ints:
    """Evict the least sure readings first, equal ones oldest first."""
    return np.lexsort((-held.age, held.confidence))


def evict_least_informative(held: Held) -> Ints:
    """Evict what tells least first, equal ones oldest first."""
    return np.lexsort((-held.age, held.informativeness))


EVICTION: dict[str, Callable[[Held], Ints]] = {
    "oldest": evict_oldest,
    "lowest_confidence": evict_lowest_confidence,
    "least_informative": evict_least_informative,
}


def evicted(policy: str, held: Held, capacity: int) -> Ints:
    """Return the indices to drop so that `capacity` entries stay.

    Each drop falls on the emotion with the most entries left (ties: whichever has the entry that
    the policy would drop first), so that no policy can empty an emotion that is hard to paint.

    Raises:
        UsageError: for an unknown policy or a negative capacity.
    """
    order = chosen("eviction policy", policy, EVICTION)(held)
    if capacity < 0:
        raise UsageError(f"The capacity must be 0 or more, got {capacity}.")
    queues = {e: order[held.intents[order] == e] for e in np.unique(held.intents)}
    gone = dict.fromkeys(queues, 0)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    dropped: list[int] = []

    def fullness(emotion: int) -> tuple[int, int]:
        left = len(queues[emotion]) - gone[emotion]
        return left, -int(rank[queues[emotion][gone[emotion]]]) if left else 0

    for _ in range(len(order) - capacity):
        fullest = max(queues, key=fullness)
        dropped.append(int(queues[fullest][gone[fullest]]))
        gone[fullest] += 1
    return np.asarray(dropped, dtype=np.int64)


def mixing_plan(
    n_real: int, n_bank: int, ratio: float, batch_size: int, seed: int, epoch: int
) -> list[tuple[str, int]]:
    """Return one epoch as ("real" | "bank", index) pairs, to be cut into batches of `batch_size`.

    Every real sample occurs exactly once: generated ones come on top, round(ratio * n_real) of
    them, so ratio 0 (or an empty bank) is real data only. They are spread evenly: every batch has
    the same number to within one. Each bank entry is used equally often to within one. The order
    is drawn from the stream "mixing" of (seed, epoch). The last batch may be short: a loader that
    drops it loses real data.

    Raises:
        UsageError: for no real sample, a negative or infinite ratio, or a batch size below 1.
    """
    if n_real < 1 or n_bank < 0 or batch_size < 1:
        raise UsageError(
            f"Mixing needs n_real >= 1, n_bank >= 0 and batch_size >= 1, got {n_real}, {n_bank} "
            f"and {batch_size}."
        )
    if not 0.0 <= ratio < math.inf:
        raise UsageError(f"The generated/real ratio must be 0 or more, got {ratio}.")
    rng = numpy_rng(seed, "mixing", epoch)
    n_generated = round(ratio * n_real) if n_bank else 0
    real = [("real", int(i)) for i in rng.permutation(n_real)]
    passes = math.ceil(n_generated / n_bank) if n_bank else 0
    bank = [("bank", int(i)) for _ in range(passes) for i in rng.permutation(n_bank)]
    total = n_real + n_generated
    plan: list[tuple[str, int]] = []
    for start in range(0, total, batch_size):
        stop = min(start + batch_size, total)
        first, last = (n_generated * edge // total for edge in (start, stop))
        batch = real[start - first : stop - last] + bank[first:last]
        plan.extend(batch[int(i)] for i in rng.permutation(len(batch)))
    return plan
