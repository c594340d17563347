"""Texts as shell and page read them: which model does, and one reading a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from emosym.errors import UsageError
from emosym.types import BadInput, Sample, Turn, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.pipelines.protocol import EmotionPipeline
    from emosym.service.wanted import Wanted

TEXT_PRESET = "smollm2-135m"
EMPTY = "The text is empty: there is nothing to read."


def of_words(wanted: Wanted) -> Wanted:
    """Return what is wanted where words are to be read: with no model named, the shipped one."""
    from emosym.pipelines.trained import TEXT_MODEL, shipped_models

    named = wanted.zero_shot or wanted.model is not None
    return (
        wanted if named or TEXT_MODEL not in shipped_models() else replace(wanted, model=TEXT_MODEL)
    )


def open_text_reader(wanted: Wanted) -> EmotionPipeline:
    """Open a model that reads text: a trained one, or a stock one that is asked in words.

    Raises:
        UsageError: when the trained model reads pictures only.
    """
    from emosym.service.session import SHIPPED_MODEL, open_session

    told = (
        "Text is read by a model that was trained on text (--model FOLDER), or by a stock one: "
        f"add --zero-shot, with --preset {TEXT_PRESET} or another one."
    )
    wanted = of_words(wanted)
    if not wanted.zero_shot and wanted.model in (None, SHIPPED_MODEL):
        raise UsageError(f"The shipped model reads pictures. {told}")
    preset = (wanted.preset or TEXT_PRESET) if wanted.zero_shot else None
    pipeline = open_session(replace(wanted, preset=preset)).pipeline
    if not wanted.zero_shot and "text" not in pipeline.about().takes:
        raise UsageError(f"The model {wanted.model} reads pictures. {told}")
    pipeline.require("reader")
    return pipeline


def read_texts(
    pipeline: EmotionPipeline, texts: Sequence[str], batch_size: int
) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
    """Yield (text, reading) of texts, in order; an empty one is a `BadInput`."""
    for start in range(0, len(texts), batch_size):
        some = texts[start : start + batch_size]
        good = [Sample(text, (Turn(text=text),)) for text in some if text.strip()]
        read = iter(pipeline.read_samples(good, False, batch_size))
        for text in some:
            yield text, next(read) if text.strip() else BadInput(text, EMPTY)
