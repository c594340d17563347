"""A painting with its reading as an entry of a bank: how stage 4 and the page keep one."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import numpy as np

from emosym import __version__
from emosym.emotions import LabelSpace
from emosym.memory.schema import BankEntry, Provenance, make_entry
from emosym.types import GenerationOutput, UnderstandingOutput


def made_now(
    run: str,
    round: int,
    checkpoint: str,
    seed: int,
    guidance_scale: float,
    prompt: str,
    steps: int,
) -> Provenance:
    """Return how paintings are made that this version paints at this moment."""
    created = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return Provenance(
        run, round, checkpoint, seed, guidance_scale, prompt, steps, created, __version__
    )


def painted_entry(
    painting: GenerationOutput,
    reading: UnderstandingOutput,
    intent: str | Mapping[str, float],
    provenance: Provenance,
    space: LabelSpace,
) -> BankEntry:
    """Return a painting with the model's own reading as an entry; errors as in `make_entry`.

    Nearest neighbours are found by the reading's emotion latent.
    """
    return make_entry(
        painting.image,
        intent,
        np.array(list(reading.probabilities.values())),
        reading.emotion_latent,
        reading.context_latents,
        reading.emotion_latent,
        provenance,
        space,
        confidence=reading.confidence,
    )
