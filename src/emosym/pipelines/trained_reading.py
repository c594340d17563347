"""From decoded pictures to readings: one prefill, one chain of latents, one head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from emosym.data.images import decoded, square
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.calibration import Calibration, calibrated, said_labels
from emosym.models.chat import ChatModel
from emosym.models.emosym_model import EmoSymModel, of_pictures
from emosym.models.odd_shapes import check_shape
from emosym.models.reader.prefix import (
    Prefix,
    features_of_pictures,
    frames_of,
    keeps_features,
    prefill,
    see,
    text_config,
)
from emosym.models.reader.reader import (
    Reader,
    domain_features,
    encode_pictures,
    prefill_features,
    prepare_inputs,
    prepare_samples,
)
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS, Thought, say, think
from emosym.models.render import require_sight
from emosym.types import BadInput, Sample, UnderstandingOutput, only_picture


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
    model, readings = of_pictures(model), list[UnderstandingOutput]()
    for start in range(0, len(pictures), batch_size):
        readings += _read_batch(model, pictures[start : start + batch_size], explain)
    return readings


@torch.no_grad()
def read_samples(
    model: EmoSymModel, samples: Sequence[Sample], explain: bool = False, batch_size: int = 32
) -> list[UnderstandingOutput | BadInput]:
    """Read samples of no, one or several pictures, in order; what cannot be read is a `BadInput`.

    A sample that is one picture reads as in `read_pictures`; one of words alone is read too, though
    a model that was trained on pictures only has learned nothing about them. None depends on what
    else is in its batch.
    """
    found: list[UnderstandingOutput | BadInput | None] = [None] * len(samples)
    for start in range(0, len(samples), batch_size):
        pictures: dict[int, Image.Image] = {}
        others: dict[int, Sample] = {}
        for place in range(start, min(start + batch_size, len(samples))):
            try:
                sample = opened_sample(model.reader.chat, samples[place])
                if sample.is_picture:
                    picture = only_picture(sample)
                    assert isinstance(picture, Image.Image)  # it is decoded
                    pictures[place] = picture
                else:
                    others[place] = sample
            except UsageError as error:
                found[place] = BadInput(samples[place].id, str(error))
        if pictures:
            read = _read_batch(of_pictures(model), list(pictures.values()), explain)
            for place, reading in zip(pictures, read, strict=True):
                found[place] = reading
        if others:
            told = _read_conversations(model, list(others.values()), explain)
            for place, row in zip(others, told, strict=True):
                found[place] = BadInput(samples[place].id, row) if isinstance(row, str) else row
    return [reading for reading in found if reading is not None]


def opened_sample(chat: ChatModel, sample: Sample) -> Sample:
    """Return a sample with its pictures decoded.

    Raises:
        UsageError: for a picture that cannot be read, or that the model does not take.
    """
    ready = decoded(sample)
    for image in ready.images:
        assert isinstance(image, Image.Image)  # it is decoded
        require_sight(chat)
        check_shape(chat.shaping, image, repr(sample.id))
    return ready


def _read_conversations(
    model: EmoSymModel, conversations: Sequence[Sample], explain: bool
) -> Sequence[UnderstandingOutput | str]:
    """Read conversations as one batch; of one that cannot be read the sentence that says why."""
    try:
        opened = open_conversations(model.reader, conversations)
    except UsageError as error:
        if len(conversations) == 1:
            return [str(error)]
        alone = [_read_conversations(model, [one], explain) for one in conversations]
        return [row for (row,) in alone]
    return _read_opened(model, *opened, explain)


def open_conversations(
    reader: Reader, conversations: Sequence[Sample]
) -> tuple[Prefix, list[torch.Tensor] | None]:
    """Prefill conversations; also returns each row's domain features (pictures of it, 2 H).

    Raises:
        UsageError: for a conversation that the model does not take, or of more tokens than it does.
    """
    backbone = reader.reasoner.backbone
    inputs = prepare_samples(reader, conversations)
    most, longest = longest_conversation(reader), inputs["input_ids"].shape[1]
    if most is not None and longest > most:
        raise UsageError(
            f"A conversation has {longest} tokens, and this model reads {most}: give less of it."
        )
    vision = see(backbone, inputs)
    found = features_of_pictures(vision, inputs)
    prefix = prefill(backbone, inputs, vision)
    if not found:
        return prefix, None
    return prefix, list(domain_features(found).split(frames_of(inputs)))


def longest_conversation(reader: Reader) -> int | None:
    """Return how many tokens a conversation may have, with room for latents and a rationale."""
    most = getattr(text_config(reader.reasoner.backbone), "max_position_embeddings", None)
    return None if most is None else max(int(most) - reader.spare_tokens, 1)


def _read_batch(
    model: EmoSymModel, pictures: Sequence[Image.Image], explain: bool
) -> list[UnderstandingOutput]:
    prefix, features = open_pictures(model.reader, pictures)
    rows = None if features is None else list(features.split(1))
    return _read_opened(model, prefix, rows, explain)


def _read_opened(
    model: EmoSymModel, prefix: Prefix, features: list[torch.Tensor] | None, explain: bool
) -> list[UnderstandingOutput]:
    """Read what was prefilled; `features` are each row's (pictures, 2 H), None where unknown."""
    reader = model.reader
    thought = think(reader.reasoner, prefix)
    logits = reader.reasoner.logits(thought.emotion_latent, reader.space)  # (B, C)
    known = _domain_scores(model, features, len(logits))
    said = speak(reader, thought) if explain else [None] * len(logits)
    return readings_of(
        model,
        logits.cpu().numpy(),
        thought.emotion_latent.float().cpu().numpy(),
        thought.context_latents.float().cpu().numpy(),
        known,
        said,
    )


def readings_of(
    model: EmoSymModel,
    logits: np.ndarray,
    emotion: np.ndarray,
    context: np.ndarray,
    known: Sequence[float | None],
    said: Sequence[str | None],
) -> list[UnderstandingOutput]:
    """Return what logits (B, C) and latents (B, H), (B, K, H) say, calibrated.

    `known` are domain scores, `said` rationales, None where there is none.
    """
    space = model.space
    shares = calibrated(logits.astype(np.float64), model.calibration)  # (B, C)
    free = torch.from_numpy(logits).double()
    raw = (free.sigmoid() if space.several else free.softmax(-1)).tolist()  # B lists of C
    told = said_of(shares, model.calibration)
    domain = model.domain if model.domain is not None and model.domain.tells_outside else None
    below = model.calibration.abstain_below
    found = [described(space, row, places) for row, places in zip(shares, told, strict=True)]
    return [
        UnderstandingOutput(
            **found[i],
            in_domain=known[i],
            outside=_is_below(known[i], None if domain is None else domain.threshold),
            abstains=_is_below(found[i]["confidence"], below),
            emotion_latent=emotion[i],
            context_latents=context[i],
            rationale=said[i],
            raw_probabilities=dict(zip(space.labels, raw[i], strict=True)),
        )
        for i in range(len(shares))
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


def said_of(shares: np.ndarray, calibration: Calibration) -> list[list[int] | None]:
    """Return which labels reach their thresholds, of probabilities (B, C), the surest first.

    None a row where labels exclude each other.
    """
    if calibration.thresholds is None:
        return [None] * len(shares)
    said = said_labels(shares, calibration)
    return [
        [place for place in np.argsort(-row, kind="stable").tolist() if mask[place]]
        for row, mask in zip(shares, said, strict=True)
    ]


def described(
    space: LabelSpace, shares: np.ndarray, said: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return what follows from calibrated probabilities (C,): emotion, confidence, norms, ...

    `said` are the places of the labels that reach their thresholds, where several can be true.
    """
    top = space.labels[said[0] if said else int(shares.argmax())]
    norms = space.norms()
    weights = shares / shares.sum()
    expected = [None] * 3 if norms is None else [float(x) for x in weights @ np.asarray(norms)]
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
        "labels": None if said is None else tuple(space.labels[place] for place in said),
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


def _is_below(score: float | None, threshold: float | None) -> bool | None:
    """Tell whether a score is below a threshold; None where either is unknown."""
    return None if score is None or threshold is None else score < threshold


def _domain_scores(
    model: EmoSymModel, features: list[torch.Tensor] | None, count: int
) -> list[float | None]:
    """Return for each row the score of its least known picture; None where it has none."""
    if model.domain is None or features is None:
        return [None] * count
    scores = [float(score) for score in model.domain.score(torch.cat(features).cpu())]
    left = iter(scores)
    rows = [[next(left) for _ in row] for row in features]
    return [min(row) if row else None for row in rows]
