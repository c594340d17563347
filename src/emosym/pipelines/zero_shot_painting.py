"""An emotion as words for a painter that was never taught any, and the paintings that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.painter.prompt import PLACE
from emosym.models.painter.safety import withhold_unsafe
from emosym.models.painter.sampling import BeforeStep
from emosym.models.painter.stock import StockPainter, paint_text
from emosym.pipelines.requests import PaintRequest
from emosym.pipelines.trained_painting import NOISE_STREAM
from emosym.seeds import torch_rng
from emosym.types import GenerationOutput, UnderstandingOutput

PROMPT = "a picture that evokes {}"
NOTHING = "no particular emotion"
# share of an emotion, relative to the largest of its mix: how it is joined to those before it
JOINTS = ((0.75, "and"), (0.25, "with some"), (0.02, "with a touch of"))
# up to which intensity which word stands before the emotions
STRENGTHS = ((0.5, "faint "), (1.25, ""), (2.0, "strong "), (float("inf"), "overwhelming "))
MOST_WORDS = 3

Read = Callable[[Sequence[Image.Image]], list[UnderstandingOutput]]


def emotion_words(space: LabelSpace, weights: Sequence[float], intensity: float) -> str:
    """Return a mix (C,) as words, the strongest three first: "strong awe with some fear".

    Strength: to .5 "faint", to 1.25 nothing, to 2 "strong", above "overwhelming"; 0 is "no
    particular emotion". A part of the mix is joined by its size relative to the largest: from .75
    by "and", from .25 by "with some", from .02 by "with a touch of".
    """
    if intensity == 0:
        return NOTHING
    order = sorted(range(len(space)), key=lambda i: (-weights[i], i))[:MOST_WORDS]
    strength = next(word for most, word in STRENGTHS if intensity <= most)
    words = f"{strength}{space.labels[order[0]]}"
    for i in order[1:]:
        share = weights[i] / weights[order[0]]
        joint = next((joint for least, joint in JOINTS if share >= least), None)
        words += f" {joint} {space.labels[i]}" if joint else ""
    return words


def emotion_prompt(prompt: str, words: str) -> str:
    """Return what the painter is told: {} becomes "a picture that evokes <words>".

    Other text follows or precedes it after a comma; without {} it follows.

    Raises:
        UsageError: when the prompt holds more than one {}.
    """
    if prompt.count(PLACE) > 1:
        raise UsageError(f"A prompt may hold one {PLACE}, got {prompt!r}.")
    before, _, after = prompt.partition(PLACE) if PLACE in prompt else ("", "", prompt)
    parts = (before.strip(" ,"), PROMPT.format(words), after.strip(" ,"))
    return ", ".join(part for part in parts if part)


def words_of(space: LabelSpace, request: PaintRequest) -> str:
    """Return the painter's prompt of a request.

    Raises:
        UsageError: for a picture to be like, or a spread: only a trained model has them.
    """
    if request.weights is None:
        raise UsageError("Zero-shot paints from words; a picture to be like needs a trained model.")
    if request.spread != 1.0:
        raise UsageError("spread is of a trained model's emotion space; zero-shot has none.")
    words = emotion_words(space, request.weights, request.intensity)
    return emotion_prompt(request.prompt, words)


def stock_stream(
    stock: StockPainter,
    read: Read | None,
    prompt: str,
    request: PaintRequest,
    preset: str,
    batch_size: int,
    only: range | None = None,
    before_step: BeforeStep | None = None,
) -> Iterator[GenerationOutput]:
    """Paint a request, or the stretch `only` of it, batch by batch; read each where that works.

    Picture i starts from noise of (seed, i): it does not depend on the batch it is painted in,
    beyond rounding. A withheld picture is black.
    """
    wanted = range(request.num_images) if only is None else only
    for first in range(0, len(wanted), batch_size):
        indices = wanted[first : first + batch_size]
        pictures = paint_text(
            stock,
            prompt,
            request.num_inference_steps,
            request.guidance_scale,
            [torch_rng(request.seed, NOISE_STREAM, index) for index in indices],
            before_step,
        )
        pictures, flags = withhold_unsafe(stock.safety, pictures)
        images = [Image.fromarray(picture) for picture in pictures]
        readings = read(images) if read is not None else [None] * len(images)
        for index, image, reading, flag in zip(indices, images, readings, flags, strict=True):
            described = request.described(index)
            del described["spread"]
            described |= {"zero_shot": preset, "painter_prompt": prompt}
            yield GenerationOutput(image, reading, described, request.seed, flag)
