"""How a batch is judged: named rules applied in order, and a reason for every refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emosym.emotions import LabelSpace
from emosym.memory import policies
from emosym.memory.duplicates import twins_among
from emosym.memory.ledger import Ledger
from emosym.memory.schema import BankEntry


@dataclass(frozen=True, slots=True)
class BankRules:
    """What a batch must pass, by name (`emosym.memory.policies`).

    `share` is of each emotion, in (0, 1] (None: the policy's own); `threshold` the least
    agreement; `near_duplicate` a cosine similarity (None: off); `capacity` the most entries kept
    (None: no limit), by `eviction`.
    """

    admission: str = "agree_informative"
    share: float | None = None
    threshold: float = 0.5
    quota: str = "none"
    quota_size: int = 0
    near_duplicate: float | None = None
    eviction: str = "oldest"
    capacity: int | None = None

    def names(self) -> tuple[str, ...]:
        """Return the policies as stored with each entry, such as 'admission=published'."""
        twin = () if self.near_duplicate is None else (f"near_duplicate={self.near_duplicate:g}",)
        limit = () if self.quota == "none" else (f"quota={self.quota}:{self.quota_size}",)
        return (f"admission={self.admission}", *limit, *twin)


ADMIT_ALL = BankRules(admission="train_on")


@dataclass(frozen=True, slots=True)
class AdmissionReport:
    """What became of a batch: ids admitted, id -> reason refused, ids evicted, version after."""

    admitted: tuple[str, ...]
    refused: dict[str, str]
    evicted: tuple[str, ...]
    version: int


def screen(
    entries: Sequence[BankEntry], held: Ledger, rules: BankRules, space: LabelSpace
) -> tuple[list[int], dict[str, str]]:
    """Return the places of the admitted entries in order of preference, and the refusals."""
    admit = policies.chosen("admission policy", rules.admission, policies.ADMISSION)
    quota = policies.chosen("quota policy", rules.quota, policies.QUOTA)
    seen: set[str] = set()
    refused: dict[str, str] = {}
    fresh: list[int] = []
    for place, entry in enumerate(entries):
        if entry.id in seen or entry.id in held.known:
            refused[entry.id] = "already in the bank or batch"
        else:
            seen.add(entry.id)
            fresh.append(place)
    if not fresh:
        return [], refused
    new = [entries[place] for place in fresh]
    intents = np.asarray([space.index(e.intent) for e in new], dtype=np.int64)  # (N,)
    count = len(held.ids)  # M
    order = admit(
        policies.Candidates(
            intents,
            np.stack([e.probabilities for e in new]),  # (N, C)
            np.asarray([e.agreement for e in new]),
            np.asarray([e.informativeness for e in new]),
        ),
        rules.share,
        rules.threshold,
    )
    chosen = set(order.tolist())
    refused.update({e.id: f"not {rules.admission}" for i, e in enumerate(new) if i not in chosen})
    if rules.near_duplicate is not None and len(order):
        features = np.stack([new[i].feature for i in order])  # (N, D)
        twins = twins_among(features, intents[order], held.kin(), count, rules.near_duplicate)
        for i, twin in zip(order, twins.tolist(), strict=True):
            if twin >= 0:
                name = held.ids[twin] if twin < count else new[order[twin - count]].id
                refused[new[i].id] = f"near-duplicate of {name}"
        order = order[twins < 0]
    within = quota(intents[order], held.intents, rules.quota_size)
    refused.update({new[i].id: f"over the quota ({rules.quota})" for i in order[~within]})
    return [fresh[i] for i in order[within]], refused
