"""Small entries for the tests of the memory bank."""

from __future__ import annotations

from typing import Any

import numpy as np

from emosym.emotions import MIKELS8
from emosym.memory.schema import BankEntry, Provenance, make_entry
from emosym.seeds import numpy_rng


def provenance(**changes: Any) -> Provenance:
    values: dict[str, Any] = {
        "run": "demo",
        "round": 0,
        "checkpoint": "ab" * 32,
        "seed": 7,
        "guidance_scale": 4.5,
        "prompt": "a street",
        "steps": 20,
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
    }
    return Provenance(**(values | changes))


def reading(top: int, share: float) -> np.ndarray:
    """`share` on one class, the rest spread evenly."""
    values = np.full(8, (1.0 - share) / 7)
    values[top] = share
    return values


def entry(index: int, intent: int = 0, share: float = 0.9, **changes: Any) -> BankEntry:
    """Entry number `index`: its pixels, latents and feature are random, its reading is given."""
    rng = numpy_rng(0, "bank-test", index)
    made = {k: changes.pop(k) for k in list(changes) if k in Provenance.__dataclass_fields__}
    values: dict[str, Any] = {
        "picture": rng.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        "intent": MIKELS8.labels[intent],
        "probabilities": reading(intent, share),
        "emotion_latent": rng.normal(size=6),
        "context_latents": rng.normal(size=(2, 6)),
        "feature": rng.normal(size=16),
        "provenance": provenance(**({"seed": index} | made)),
        "space": MIKELS8,
        "id": f"e{index}",
    }
    return make_entry(**(values | changes))
