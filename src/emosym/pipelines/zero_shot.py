"""`ZeroShotPipeline`: a stock reader and a stock painter, asked in words; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL import Image

from emosym.data.images import Given, ImageSource, decode_batches, load_image
from emosym.device import best_device
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.odd_shapes import check_shape
from emosym.models.painter.text_encoder import PLACE
from emosym.models.presets import Base
from emosym.models.snapshots import locate
from emosym.pipelines.requests import PaintRequest, paint_request
from emosym.pipelines.zero_shot_reading import (
    ZeroShotReader,
    open_reader,
    question_for,
    read_words,
)
from emosym.pipelines.zero_shot_source import ZeroShotSource, find_source, own_labels
from emosym.types import BadInput, GenerationOutput, StoredImage, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.models.painter.stock import StockPainter

PRESET = "qwen2.5-vl-3b"
BATCH_SIZE = 8
PAINT_BATCH_SIZE = 4
GUIDANCE, STEPS = 7.5, 30  # of Stable Diffusion
OWN_GUIDANCE, OWN_STEPS = 3.0, 10  # of this package's own painter


class ZeroShotPipeline:
    """Reading by the likelihood of emotion words, and painting from them, with stock models.

    Both models are opened when first used.
    """

    def __init__(
        self, source: ZeroShotSource, space: LabelSpace, device: str = "cpu", four_bit: bool = False
    ) -> None:
        """Remember what to open; see `from_pretrained`."""
        self.source, self.space, self.device, self.four_bit = source, space, device, four_bit
        self._reader: ZeroShotReader | None = None
        self._stock: StockPainter | None = None

    @classmethod
    def from_pretrained(
        cls,
        preset: str | Path = PRESET,
        labels: Sequence[str] | LabelSpace | None = None,
        device: str | None = None,
        *,
        painter: str | None = None,
        max_pixels: int | None = None,
        four_bit: bool = False,
    ) -> ZeroShotPipeline:
        """Find a preset, a base folder, or one model's folder or hub id; nothing is downloaded.

        Args:
            preset: A folder in transformers' layout reads, one in diffusers' layout paints.
            labels: 2 to 64 words to choose from; unset, the eight emotions of `mikels8`.
            device: auto, cuda, mps or cpu.
            painter: A text-to-image folder or hub id instead of the preset's.
            max_pixels: Pictures are read at so many pixels at most.
            four_bit: Hold the reader's weights in 4 bits (needs the 4bit extra).

        Raises:
            UsageError: for an unknown preset, no model on this machine, or labels that are no
                list of different words.
            EmoSymError: when a shipped base is incomplete or was changed.
        """
        source = find_source(preset, painter, max_pixels)
        space = own_labels(labels)
        pipeline = cls(source, space, str(best_device(device or "auto")), four_bit)
        if not pipeline.can_read and not pipeline.can_paint:
            raise UsageError(
                f"Neither part of {source.base.name} is on this machine, and nothing is fetched "
                f"unasked. Run `hf download {source.base.reader}` to read and `hf download "
                f"{source.base.painter}` to paint, or name a folder that holds them in "
                "EMOSYM_MODELS; or try the preset storybook-base, which is here."
            )
        return pipeline

    @property
    def abstain_below(self) -> None:
        """No confidence: nothing was fitted that could say which."""
        return None

    @property
    def base(self) -> Base:
        """Where the models are."""
        return self.source.base

    def why_not(self, part: str) -> str | None:
        """Return why there is no "reader" or "painter" here, in a sentence; None where there is."""
        meant, path = (
            (self.source.reads, self.base.reader)
            if part == "reader"
            else (self.source.paints, self.base.painter)
        )
        if not meant:
            other = "it reads only" if part == "painter" else "it paints only"
            return f"{self.base.name} has no {part}: {other}. Give a preset, or another folder."
        try:
            locate(path, f"{part} of {self.base.name}")
        except UsageError as error:
            return f"{error} Or try the preset storybook-base, which is here."
        return None

    @property
    def can_read(self) -> bool:
        """Whether there is a reader on this machine."""
        return self.why_not("reader") is None

    @property
    def can_paint(self) -> bool:
        """Whether there is a painter on this machine."""
        return self.why_not("painter") is None

    def require(self, part: str) -> Path:
        """Return the folder of the "reader" or "painter".

        Raises:
            UsageError: when it is not here; says what to do.
        """
        reason = self.why_not(part)
        if reason is not None:
            raise UsageError(reason)
        return locate(getattr(self.base, part), f"{part} of {self.base.name}")

    def require_painter(self) -> None:
        """Raise UsageError when there is no painter on this machine."""
        self.require("painter")

    @property
    def reader(self) -> ZeroShotReader:
        """The reader, opened when first asked for; errors as in `require` and `load_backbone`."""
        if self._reader is None:
            self.require("reader")
            self._reader = open_reader(self.base, self.space, self.device, self.four_bit)
        return self._reader

    @property
    def stock(self) -> StockPainter:
        """The painter, opened when first asked for; errors as in `open_stock_painter`."""
        if self._stock is None:
            from emosym.models.painter.stock import open_stock_painter

            folder = self.require("painter")
            self._stock = open_stock_painter(folder, self.base.torch_dtype(), self.device)
        return self._stock

    def about_reading(self) -> dict[str, Any]:
        """Return what decides this pipeline's readings, ready for JSON."""
        return {
            "preset": self.base.name,
            "question": question_for(self.space),
            "max_pixels": self.base.max_pixels,
            "prior": "mean share over a grey picture and one of noise",
        }

    def about_painting(self) -> dict[str, Any]:
        """Return what decides this pipeline's paintings beside the request, ready for JSON."""
        from emosym.pipelines.zero_shot_painting import PROMPT

        return {"preset": self.base.name, "prompt": PROMPT}

    @overload
    def understand(  # type: ignore[overload-overlap]  # a str is one picture, though a sequence
        self, images: ImageSource, explain: bool = ..., batch_size: int = ...
    ) -> UnderstandingOutput: ...
    @overload
    def understand(
        self, images: Sequence[ImageSource], explain: bool = ..., batch_size: int = ...
    ) -> list[UnderstandingOutput]: ...
    def understand(
        self,
        images: ImageSource | Sequence[ImageSource],
        explain: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> UnderstandingOutput | list[UnderstandingOutput]:
        """Read one picture or a list of them; a picture is a path, encoded bytes or a PIL image.

        A reading does not depend on what else is in its batch, beyond floating-point rounding.
        With `explain` the model says in words why the picture might evoke the emotion it chose.

        Raises:
            UsageError: when a picture cannot be read, or there is no reader.
        """
        _check_batch_size(batch_size)
        if isinstance(images, str | bytes | Path | StoredImage | Image.Image):
            return read_words(self.reader, [load_image(images)], explain)[0]
        readings: list[UnderstandingOutput] = []
        for start in range(0, len(images), batch_size):
            pictures = [load_image(image) for image in images[start : start + batch_size]]
            readings += read_words(self.reader, pictures, explain)
        return readings

    def understand_many(
        self,
        paths: Iterable[Given],
        batch_size: int = BATCH_SIZE,
        workers: int = 2,
        explain: bool = False,
    ) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
        """Yield (path, reading) for any number of files, in order; a bad file is a `BadInput`.

        Memory does not grow with the number of files: the next batch is decoded by `workers`
        threads while this one is read.
        """
        chat = self.reader.chat
        accept = partial(check_shape, chat)
        for batch in decode_batches(paths, batch_size, chat.image_size, workers, accept):
            pictures = [found for _, found in batch if isinstance(found, Image.Image)]
            readings = iter(read_words(self.reader, pictures, explain))
            for source, found in batch:
                yield source, found if isinstance(found, BadInput) else next(readings)

    def painting_defaults(self) -> tuple[float, int]:
        """Return the guidance scale and number of steps that a request leaves open."""
        from emosym.models.painter.stock import is_own_painter

        own = is_own_painter(self.require("painter"))
        return (OWN_GUIDANCE, OWN_STEPS) if own else (GUIDANCE, STEPS)

    def generate(
        self,
        emotion: str | Mapping[str, float] | None = None,
        *,
        valence: float | None = None,
        arousal: float | None = None,
        prompt: str = PLACE,
        intensity: float = 1.0,
        num_images: int = 1,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        seed: int = 0,
        batch_size: int = PAINT_BATCH_SIZE,
    ) -> list[GenerationOutput]:
        """Paint pictures from an emotion in words; each is read where there is a reader.

        As `EmoSymPipeline.generate`, but for what words cannot say (`like`, `spread`). Unset
        guidance and steps: 7.5 and 30, of this package's own painter 3 and 10.

        Raises:
            UsageError: for an unknown emotion, a value out of its range, or no painter.
        """
        usual = self.painting_defaults()
        request = paint_request(
            self.space,
            emotion,
            valence=valence,
            arousal=arousal,
            prompt=prompt,
            intensity=intensity,
            num_images=num_images,
            guidance_scale=usual[0] if guidance_scale is None else guidance_scale,
            num_inference_steps=usual[1] if num_inference_steps is None else num_inference_steps,
            seed=seed,
        )
        return list(self.paint(request, batch_size))

    def paint(
        self,
        request: PaintRequest,
        batch_size: int = PAINT_BATCH_SIZE,
        only: range | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint a checked request (`paint_request`), or a stretch of it, one picture at a time.

        Raises:
            UsageError: at the call, for a request that words cannot say, or without a painter.
        """
        from emosym.pipelines.zero_shot_painting import stock_stream, words_of

        _check_batch_size(batch_size)
        words = words_of(self.space, request)
        self.require("painter")

        def read(images: Sequence[Image.Image]) -> list[UnderstandingOutput]:
            return read_words(self.reader, images)

        reading = read if self.can_read else None
        return stock_stream(self.stock, reading, words, request, self.base.name, batch_size, only)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {batch_size}.")
