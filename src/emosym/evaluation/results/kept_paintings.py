"""Paintings kept on disk as they are made: a stopped evaluation paints only what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emosym.errors import UsageError
from emosym.files import read_json, write_atomic, write_json
from emosym.pipelines.requests import PaintRequest
from emosym.types import GenerationOutput

if TYPE_CHECKING:
    from emosym.pipelines.protocol import EmotionPipeline

log = logging.getLogger(__name__)
ASKED = "asked.json"
WITHHELD = "withheld"


def claim(folder: Path, asked: Mapping[str, Any]) -> None:
    """Make `folder` that of the paintings `asked` for; more of the same may be added.

    Raises:
        UsageError: when it holds paintings of another model or of other settings.
    """
    path = folder / ASKED
    if path.is_file():
        held = read_json(path, "paintings' settings")
        if held != dict(asked):
            apart = sorted(k for k in {*held, *asked} if held.get(k) != asked.get(k))
            raise UsageError(
                f"{folder} holds paintings made with another {', '.join(apart)}. Choose another "
                "--out, or remove that folder."
            )
    else:
        write_json(path, dict(asked))


def paint_and_keep(
    pipeline: EmotionPipeline,
    request: PaintRequest,
    folder: Path,
    batch_size: int,
    progress: Callable[[int], None],
) -> list[GenerationOutput]:
    """Return the paintings of a request, painting those that are not in `folder` yet.

    Painting i is folder/NNNNN.png. A batch that is not all there is painted again as a whole: with
    the same batches, a stopped evaluation ends in the very pictures of one that was not. What is
    kept is read again by the model, as paintings are when they are made.
    """
    outputs: list[GenerationOutput] = []
    for first in range(0, request.num_images, batch_size):
        indices = range(first, min(first + batch_size, request.num_images))
        kept = [_kept(folder, request, index) for index in indices]
        held = [output for output in kept if output is not None]
        if len(held) == len(indices):
            outputs.extend(_read_again(pipeline, held, batch_size))
            progress(len(indices))
            continue
        for index, output in zip(
            indices, pipeline.paint(request, batch_size, indices), strict=True
        ):
            _keep(output, _path(folder, index))
            outputs.append(output)
            progress(1)
    return outputs


def _kept(folder: Path, request: PaintRequest, index: int) -> GenerationOutput | None:
    """Return a painting that was kept, not read yet; None where there is none that opens."""
    path = _path(folder, index)
    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            withheld = WITHHELD in getattr(image, "text", {})
            picture = image.convert("RGB")
    except (OSError, SyntaxError):  # what Pillow raises for a damaged PNG
        log.warning("%s is damaged; painting it again.", path)
        return None
    return GenerationOutput(picture, None, request.described(index), request.seed, withheld)


def _path(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.png"


def _keep(output: GenerationOutput, path: Path) -> None:
    info = PngInfo()
    if output.withheld:
        info.add_text(WITHHELD, "yes")
    write_atomic(path, lambda temporary: output.image.save(temporary, pnginfo=info))


def _read_again(
    pipeline: EmotionPipeline, kept: list[GenerationOutput], batch_size: int
) -> list[GenerationOutput]:
    """Return kept paintings with the model's readings, where it reads."""
    if pipeline.why_not("reader") is not None:
        return kept
    readings = pipeline.understand([output.image for output in kept], batch_size=batch_size)
    return [replace(o, reading=reading) for o, reading in zip(kept, readings, strict=True)]
