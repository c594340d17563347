"""From a request to paintings: latents, condition embeddings, the painter, and its own reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image

from emosym.errors import EmoSymError, UsageError
from emosym.models.emosym_model import EmoSymModel
from emosym.models.gaussians import EmotionSpace, sample_latents, split_latents
from emosym.models.painter.mappers import PICTURED, context_at_places
from emosym.models.painter.prompt import word_prompt
from emosym.models.reader.reasoner import think
from emosym.pipelines.requests import PaintRequest
from emosym.pipelines.trained_reading import open_pictures, read_pictures
from emosym.seeds import torch_rng
from emosym.types import GenerationOutput, UnderstandingOutput

if TYPE_CHECKING:
    import numpy as np

    from emosym.models.painter.sampling import BeforeStep

LATENT_STREAM = "generate-latents"
NOISE_STREAM = "generate-noise"


def own_words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words of a place and of a light that this package's own painters know."""
    from emosym.data.storybook.words import SCENE_PHRASES, with_article
    from emosym.data.storybook.world import LIGHTS, SCENES

    places = tuple(with_article(scene) for scene in SCENES)
    return places, tuple(f"{SCENE_PHRASES[light]} {light}" for light in LIGHTS)


def require_space(model: EmoSymModel) -> EmotionSpace:
    """Return the emotion space.

    Raises:
        EmoSymError: when the checkpoint comes from before stage 3, which makes it.
    """
    if model.open_painter is None:
        raise EmoSymError(f"This model only reads: its base {model.base.name} has no painter.")
    if model.emotion_space is not None and model.emotion_space.labels != model.space.labels:
        raise EmoSymError(
            f"This checkpoint paints the emotions {', '.join(model.emotion_space.labels)}, and "
            f"answers in {model.space.name}: train joint on it for those."
        )
    if model.emotion_space is None:
        raise EmoSymError(cannot_paint(model))
    return model.emotion_space


def cannot_paint(model: EmoSymModel) -> str:
    """Return why a model without an emotion space does not paint, and what to do."""
    done = ", ".join(model.stages) or "none"
    return (
        f"This checkpoint cannot paint yet: it has no emotion space (stages done: {done}). "
        "Train that stage on it: `emosym train demo-joint init=FOLDER`."
    )


def reading_of(painting: GenerationOutput) -> UnderstandingOutput:
    """Return a painting's reading.

    Raises:
        EmoSymError: when nobody read it: zero-shot, without a reader.
    """
    if painting.reading is None:
        raise EmoSymError("This painting was not read: its zero-shot preset has no reader here.")
    return painting.reading


def paint_stream(
    model: EmoSymModel,
    request: PaintRequest,
    batch_size: int = 16,
    only: range | None = None,
    before_step: BeforeStep | None = None,
) -> Iterator[GenerationOutput]:
    """Paint a request batch by batch and read every painting with the same model.

    Picture i draws its latents and its noise from streams of (seed, i): it does not depend on the
    batch it is painted in, beyond the rounding of one grey level. `only` paints a stretch of them;
    what `before_step` raises ends it.

    Raises:
        EmoSymError: when the model has no emotion space.
        UsageError: when the model's `condition` cannot paint what is asked for.
    """
    from emosym.models.painter.safety import withhold_unsafe

    require_space(model)
    if model.condition == "class_word":
        named_emotion(model, request)
    start = None if request.like is None else latents_of(model, request.like)
    wanted = range(request.num_images) if only is None else only
    for first in range(0, len(wanted), batch_size):
        indices = wanted[first : first + batch_size]
        emotion, context = draw_latents(model, request, indices, start)
        pictures = paint_latents(model, request, indices, emotion, context, before_step)
        pictures, flags = withhold_unsafe(model.painter.safety, pictures)
        images = [Image.fromarray(picture) for picture in pictures]
        readings = read_pictures(model, images, batch_size=batch_size)
        for index, image, reading, flag in zip(indices, images, readings, flags, strict=True):
            yield GenerationOutput(image, reading, request.described(index), request.seed, flag)


@torch.no_grad()
def latents_of(model: EmoSymModel, picture: Image.Image) -> torch.Tensor:
    """Return the joint latents (1, (1 + K) H) of a picture, as the emotion space orders them.

    Raises:
        UsageError: when nothing of a picture reaches the painter.
    """
    if model.condition not in PICTURED:
        raise UsageError(
            f"This checkpoint paints by {model.condition}, which takes nothing from a picture. "
            "Name an emotion instead."
        )
    prefix, _ = open_pictures(model.reader, [picture])
    thought = think(model.reader.reasoner, prefix)
    context = thought.context_latents[:, : require_space(model).num_context_tokens]
    both = torch.cat([thought.emotion_latent[:, None], context], dim=1)
    return both.flatten(1).float().cpu()


def draw_latents(
    model: EmoSymModel,
    request: PaintRequest,
    indices: Sequence[int],
    start: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return e (B, H) and c (B, K, H) of pictures `indices`.

    `start` (1, (1 + K) H) are a picture's own latents, which all paintings share; without it each
    painting draws from the emotion space.
    """
    space = require_space(model)
    if start is not None:
        moved = space.centre + request.intensity * (start - space.centre)
        return split_latents(moved.expand(len(indices), -1), space.num_context_tokens)
    drawn = [
        sample_latents(
            space,
            request.weights or (),
            1,
            torch_rng(request.seed, LATENT_STREAM, index),
            intensity=request.intensity,
            spread=request.spread,
        )
        for index in indices
    ]
    return torch.cat([e for e, _ in drawn]), torch.cat([c for _, c in drawn])


def named_emotion(model: EmoSymModel, request: PaintRequest) -> str:
    """Return the one emotion that a request names, for a painter that knows emotions as words.

    Raises:
        UsageError: for a mix, valence with arousal, a picture, or another intensity: a word has
            no shades.
    """
    wanted = [i for i, weight in enumerate(request.weights or ()) if weight > 0]
    if len(wanted) != 1 or request.intensity != 1.0:
        raise UsageError(
            "This checkpoint paints by class_word, an emotion's word: name one emotion, at "
            "intensity 1."
        )
    return require_space(model).labels[wanted[0]]


@torch.no_grad()
def paint_latents(
    model: EmoSymModel,
    request: PaintRequest,
    indices: Sequence[int],
    emotion: torch.Tensor,
    context: torch.Tensor,
    before_step: BeforeStep | None = None,
) -> np.ndarray:
    """Paint from e (B, H) and c (B, K, H): uint8 (B, height, width, 3)."""
    from emosym.models.painter.painter import encode_prompts
    from emosym.models.painter.sampling import paint

    painter, device = model.painter, model.reader.reasoner.device
    prompt, conditions = request.prompt, None
    if model.condition == "class_word":
        prompt = word_prompt(prompt, named_emotion(model, request))
    else:
        count = model.reader.tokens.num_context_tokens
        context = context_at_places(model.condition, emotion, context, count)
        conditions = model.require_mappers()(emotion.to(device), context.to(device))
    embeds = encode_prompts(painter, [prompt] * len(indices), conditions)
    guided = request.guidance_scale != 1.0
    return paint(
        painter,
        embeds,
        encode_prompts(painter, [""]) if guided else None,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        generator=[torch_rng(request.seed, NOISE_STREAM, index) for index in indices],
        before_step=before_step,
    )
