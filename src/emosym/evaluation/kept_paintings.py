"""Paintings kept on disk as they are made: a stopped evaluation paints only what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emosym.errors import UsageError
from emosym.files import read_json, write_atomic, write_json
from emosym.pipelines.requests import PaintRequest
from emosym.types import GenerationOutput, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.pipelines.emosym_pipeline import EmoSymPipeline
    from emosym.pipelines.zero_shot import ZeroShotPipeline

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
    pipeline: EmoSymPipeline | ZeroShotPipeline,
    request: PaintRequest,
    folder: Path,
    batch_size: int,
    progress: Callable[[int], None],
) -> list[GenerationOutput]:
    """Return the paintings of a request, painting those that are not in `folder` yet.

    Painting i is folder/NNNNN.png, and depends on the request and i alone. What is there already
    is read again by the model, as paintings are when they are made.
    """
    made: dict[int, GenerationOutput] = {}
    missing = []
    for index in range(request.num_images):
        path = _path(folder, index)
        if path.is_file():
            with Image.open(path) as image:
                withheld = WITHHELD in getattr(image, "text", {})
                picture = image.convert("RGB")
            made[index] = GenerationOutput(
                picture, None, request.described(index), request.seed, withheld
            )
        else:
            missing.append(index)
    if made:
        log.info("%s has %d of %d paintings.", folder, len(made), request.num_images)
        made = _read_again(pipeline, made, batch_size)
        progress(len(made))
    for stretch in _stretches(missing):
        for index, output in zip(
            stretch, pipeline.paint(request, batch_size, stretch), strict=True
        ):
            _keep(output, _path(folder, index))
            made[index] = output
            progress(1)
    return [made[index] for index in range(request.num_images)]


def _path(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.png"


def _keep(output: GenerationOutput, path: Path) -> None:
    info = PngInfo()
    if output.withheld:
        info.add_text(WITHHELD, "yes")
    write_atomic(path, lambda temporary: output.image.save(temporary, pnginfo=info))


def _stretches(indices: list[int]) -> list[range]:
    """Return ascending indices as ranges of neighbours."""
    found: list[range] = []
    for index in indices:
        if found and found[-1].stop == index:
            found[-1] = range(found[-1].start, index + 1)
        else:
            found.append(range(index, index + 1))
    return found


def _read_again(
    pipeline: EmoSymPipeline | ZeroShotPipeline,
    made: Mapping[int, GenerationOutput],
    batch_size: int,
) -> dict[int, GenerationOutput]:
    """Return kept paintings with the model's readings, where it reads."""
    from emosym.pipelines.zero_shot import ZeroShotPipeline

    readings: list[UnderstandingOutput | None] = [None] * len(made)
    if not isinstance(pipeline, ZeroShotPipeline) or pipeline.can_read:
        images = [output.image for output in made.values()]
        readings = list(pipeline.understand(images, batch_size=batch_size))
    return {
        index: GenerationOutput(o.image, reading, o.request, o.seed, o.withheld)
        for (index, o), reading in zip(made.items(), readings, strict=True)
    }
