"""From decoded pictures to readings: one prefill, one chain of latents, one head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from emosym.data.images import square
from emosym.emotions import LabelSpace
from emosym.models.calibration import calibrated
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.prefix import Prefix, features_of_pictures, keeps_features, prefill, see
from emosym.models.reader.reader import (
    Reader,
    domain_features,
    encode_pictures,
    prefill_features,
    prepare_inputs,
)
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS, Thought, say, think
from emosym.types import UnderstandingOutput


@torch.no_grad()
def read_pictures(
    model: EmoSymModel,
    pictures: Sequence[Image.Image],
    explain: bool = False,
    batch_size: int = 32,
) -> list[UnderstandingOutput]:
    """Read RGB pictures in batches; a picture's reading does not depend on its batch.

    With `explain` each reading also says why, seeing the picture as well as its own latents.
    """
    readings: list[UnderstandingOutput] = []
    for start in range(0, len(pictures), batch_size):
        readings += _read_batch(model, pictures[start : start + batch_size], explain)
    return readings


def _read_batch(
    model: EmoSymModel, pictures: Sequence[Image.Image], explain: bool
) -> list[UnderstandingOutput]:
    reader = model.reader
    prefix, features = open_pictures(reader, pictures)
    thought = think(reader.reasoner, prefix)
    logits = reader.reasoner.logits(thought.emotion_latent, reader.space)  # (B, C)
    shares = calibrated(logits.double().cpu().numpy(), model.calibration)  # (B, C)
    raw = logits.double().softmax(-1).cpu().tolist()  # B lists of C
    known = _domain_scores(model, features)
    said = speak(reader, thought) if explain else [None] * len(pictures)
    emotion = thought.emotion_latent.float().cpu().numpy()  # (B, H)
    context = thought.context_latents.float().cpu().numpy()  # (B, K, H)
    space = reader.space
    domain = model.domain if model.domain is not None and model.domain.tells_outside else None
    below = model.calibration.abstain_below
    return [
        UnderstandingOutput(
            **described(space, shares[i]),
            in_domain=None if known is None else known[i],
            outside=None if known is None or domain is None else known[i] < domain.threshold,
            abstains=None if below is None else bool(shares[i].max() < below),
            emotion_latent=emotion[i],
            context_latents=context[i],
            rationale=said[i],
            raw_probabilities=dict(zip(space.labels, raw[i], strict=True)),
        )
        for i in range(len(pictures))
    ]


def open_pictures(
    reader: Reader, pictures: Sequence[Image.Image]
) -> tuple[Prefix, torch.Tensor | None]:
    """Prefill RGB pictures; also returns their domain features (B, 2 H), None where unknown."""
    backbone = reader.reasoner.backbone
    if reader.image_size is not None and keeps_features(backbone):
        squares = [np.asarray(square(p, reader.image_size)) for p in pictures]
        features = encode_pictures(reader, np.stack(squares))  # (B, T, H)
        return prefill_features(reader, features), domain_features(features)
    inputs = prepare_inputs(reader, pictures)
    vision = see(backbone, inputs)
    found = features_of_pictures(vision, inputs)
    return prefill(backbone, inputs, vision), None if found is None else domain_features(found)


def described(space: LabelSpace, shares: np.ndarray) -> dict[str, Any]:
    """Return what follows from calibrated probabilities (C,): emotion, confidence, norms, ..."""
    top = space.labels[int(shares.argmax())]
    norms = space.norms()
    expected = [None] * 3 if norms is None else [float(x) for x in shares @ np.asarray(norms)]
    probabilities: Mapping[str, float] = {
        label: float(share) for label, share in zip(space.labels, shares, strict=True)
    }
    return {
        "emotion": top,
        "probabilities": probabilities,
        "confidence": probabilities[top],
        "polarity": space.polarity(top),
        "valence_norm": expected[0],
        "arousal_norm": expected[1],
        "dominance_norm": expected[2],
    }


def speak(reader: Reader, thought: Thought, gist: bool = False) -> list[str | None]:
    """Return a rationale per row; None where nothing was said.

    With `gist` it sees nothing before [CTX]: all it says has come through the latents.
    """
    spoken = say(
        reader.reasoner,
        thought,
        reader.start_token,
        reader.end_token,
        max_new_tokens=MAX_RATIONALE_TOKENS,
        gist=gist,
    )
    texts = [str(reader.tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in spoken]
    return [text or None for text in texts]


def _domain_scores(model: EmoSymModel, features: torch.Tensor | None) -> list[float] | None:
    if model.domain is None or features is None:
        return None
    return [float(score) for score in model.domain.score(features.cpu())]
