"""`ZeroShotPipeline`: a stock reader and a stock painter, asked in words; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from emosym.device import best_device
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.odd_shapes import check_shape
from emosym.models.once import Once
from emosym.models.presets import Base, how_to_get
from emosym.models.reader.backbone import open_chat, reads_pictures
from emosym.models.snapshots import locate
from emosym.pipelines.protocol import About, EmotionPipeline, Takes, Usual, check_batch_size
from emosym.pipelines.requests import PaintRequest
from emosym.pipelines.trained_painting import own_words
from emosym.pipelines.zero_shot_reading import (
    ZeroShotReader,
    question_for,
    read_words,
    reader_of,
)
from emosym.pipelines.zero_shot_source import ZeroShotSource, find_source, own_labels
from emosym.pipelines.zero_shot_text import open_text_reader, prompt_of, read_texts
from emosym.types import BadInput, GenerationOutput, Sample, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.models.painter.sampling import BeforeStep
    from emosym.models.painter.stock import StockPainter

PRESET = "qwen2.5-vl-3b"
BATCH_SIZE = 8
PAINT_BATCH_SIZE = 4
GUIDANCE, STEPS = 7.5, 30  # of Stable Diffusion
OWN_GUIDANCE, OWN_STEPS = 3.0, 10  # of this package's own painter
Part = Literal["reader", "painter"]


class ZeroShotPipeline(EmotionPipeline):
    """Reading by the likelihood of emotion words, and painting from them, with stock models.

    Both models are opened when first used.
    """

    def __init__(
        self, source: ZeroShotSource, space: LabelSpace, device: str = "cpu", four_bit: bool = False
    ) -> None:
        """Remember what to open; see `from_pretrained`."""
        self.source, self._space, self._device = source, space, device
        chat = Once(lambda: open_chat(self.base, device, four_bit))
        self._reader = Once(lambda: reader_of(chat(), space))
        self._text_reader = Once(lambda: open_text_reader(chat(), space))
        self._stock = Once(self._open_stock)

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
            raise UsageError(neither_here(source.base))
        return pipeline

    @property
    def unknowns(self) -> list[str]:
        """Nothing: a zero-shot reader never knows how sure it is, and its card says so."""
        return []

    @property
    def abstain_below(self) -> None:
        """No confidence: nothing was fitted that could say which."""
        return None

    @property
    def base(self) -> Base:
        """Where the models are."""
        return self.source.base

    def why_not(self, part: Part) -> str | None:
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
            locate(path, f"{part} of {self.base.name}", how_to_get(self.base.name, path))
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

    def require(self, part: Part) -> None:
        """Raise UsageError when there is no such part on this machine; says what to do."""
        reason = self.why_not(part)
        if reason is not None:
            raise UsageError(reason)

    def load(self, part: Part) -> None:
        """Open a part now; errors as in `require`, `load_backbone` and `open_stock_painter`."""
        if part == "painter":
            _ = self.stock
        elif self.can_read and "image" not in self._takes():
            _ = self.text_reader
        else:
            _ = self.reader

    @property
    def space(self) -> LabelSpace:
        """The labels to choose from."""
        return self._space

    @property
    def device(self) -> str:
        """Where the models are."""
        return self._device

    @property
    def reader(self) -> ZeroShotReader:
        """The reader, opened when first asked for; errors as in `require` and `load_backbone`."""
        self.require("reader")
        return self._reader()

    @property
    def text_reader(self) -> ZeroShotReader:
        """The same model asked of text, opened when first asked for; errors as in `reader`."""
        self.require("reader")
        return self._text_reader()

    def understand_texts(
        self, texts: Iterable[str | Sample], batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
        """Yield (text, reading) for texts, or (id, reading) for samples whose turns have words.

        A reading is of what the speaker feels, of a sample the one of the turn in question. What
        is empty or too long is a `BadInput`; the order is kept.

        Raises:
            UsageError: when there is no reader.
        """
        size = check_batch_size(batch_size, BATCH_SIZE)
        waiting = iter(texts)
        while batch := list(islice(waiting, size)):
            prompts: list[str | BadInput] = []
            names = [text if isinstance(text, str) else text.id for text in batch]
            for name, text in zip(names, batch, strict=True):
                try:
                    prompts.append(prompt_of(self.text_reader, text))
                except UsageError as error:
                    prompts.append(BadInput(name, str(error)))
            good = [prompt for prompt in prompts if isinstance(prompt, str)]
            readings = iter(read_texts(self.text_reader, good))
            for name, found in zip(names, prompts, strict=True):
                yield name, found if isinstance(found, BadInput) else next(readings)

    @property
    def stock(self) -> StockPainter:
        """The painter, opened when first asked for; errors as in `open_stock_painter`."""
        self.require("painter")
        return self._stock()

    @property
    def image_size(self) -> int | None:
        """The side of the square that pictures are read at."""
        return self.reader.chat.image_size

    def check(self, picture: Image.Image, name: str) -> None:
        """Refuse a picture whose shape the model's processor cannot take; see `check_shape`."""
        check_shape(self.reader.chat.shaping, picture, name)

    def _painter_folder(self) -> Path:
        return locate(self.base.painter, f"painter of {self.base.name}")

    def _open_stock(self) -> StockPainter:
        from emosym.models.painter.stock import open_stock_painter

        return open_stock_painter(self._painter_folder(), self.base.torch_dtype(), self.device)

    def about(self) -> About:
        """Return what the models are and can do, and how they are asked."""
        from emosym.pipelines.zero_shot_painting import PROMPT

        return About(
            name=self.base.name,
            spaces=(self.space.name,),
            tasks=("image_emotion",),
            takes=self._takes(),
            can_read=self.can_read,
            can_paint=self.can_paint,
            device=self.device,
            reads_by={
                "preset": self.base.name,
                "question": question_for(self.space),
                "max_pixels": self.base.max_pixels,
                "prior": "mean share over a grey picture and one of noise",
            },
            paints_by={"preset": self.base.name, "prompt": PROMPT},
        )

    def _takes(self) -> frozenset[Takes]:
        """Return what the reader can be shown; its weights are not opened."""
        if not self.can_read:
            return frozenset()
        words: frozenset[Takes] = frozenset({"text", "conversation"})
        try:
            pictures = reads_pictures(self.base.reader_folder(), self.base)
        except UsageError:  # it will be said when the model is opened
            return frozenset()
        return words | {"image"} if pictures else words

    def usual(self) -> Usual:
        """Return what a call leaves open: 7.5 and 30, of this package's own painter 3 and 10."""
        from emosym.models.painter.stock import is_own_painter

        own = self.can_paint and is_own_painter(self._painter_folder())
        scale, steps = (OWN_GUIDANCE, OWN_STEPS) if own else (GUIDANCE, STEPS)
        places, lights = own_words() if own else ((), ())
        return Usual(scale, steps, PAINT_BATCH_SIZE, BATCH_SIZE, places, lights)

    def read(
        self, pictures: Sequence[Image.Image], explain: bool = False, batch_size: int = BATCH_SIZE
    ) -> list[UnderstandingOutput]:
        """Read RGB pictures in batches; with `explain` the model says why, naming its answer."""
        readings: list[UnderstandingOutput] = []
        for start in range(0, len(pictures), batch_size):
            readings += read_words(self.reader, pictures[start : start + batch_size], explain)
        return readings

    def read_samples(
        self, samples: Sequence[Sample], explain: bool = False, batch_size: int = BATCH_SIZE
    ) -> list[UnderstandingOutput | BadInput]:
        """Read the words of samples without pictures, as `understand_texts`; without a why.

        A stock model is asked about one picture, or words: a sample of both is a `BadInput`.
        """
        words = [sample for sample in samples if not sample.images]
        told = (found for _, found in self.understand_texts(words, batch_size))
        refused = "A stock model reads one picture, or words without pictures: give it one of them."
        return [BadInput(s.id, refused) if s.images else next(told) for s in samples]

    def paint(
        self,
        request: PaintRequest,
        batch_size: int | None = None,
        only: range | None = None,
        before_step: BeforeStep | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint a checked request, or a stretch of it, one picture at a time.

        Raises:
            UsageError: at the call, for a request that words cannot say (`like`, `spread`), or
                without a painter.
        """
        from emosym.pipelines.zero_shot_painting import stock_stream, words_of

        size = check_batch_size(batch_size, PAINT_BATCH_SIZE)
        words = words_of(self.space, request)
        self.require("painter")

        def read(images: Sequence[Image.Image]) -> list[UnderstandingOutput]:
            return read_words(self.reader, images)

        reading = read if self.can_read else None
        stream = stock_stream(
            self.stock, reading, words, request, self.base.name, size, only, before_step
        )
        return stream


def neither_here(base: Base) -> str:
    """Say that no model of a base is on this machine, and how to get what."""
    parts = [f"to read, {how_to_get(base.name, base.reader)}"] if base.reader else []
    parts += [f"to paint, {how_to_get(base.name, base.painter)}"] if base.painter else []
    return (
        f"No model of {base.name} is on this machine, and nothing is fetched unasked. Run: "
        f"{'; '.join(parts)}. Or name a folder that holds them in EMOSYM_MODELS; or try the preset "
        "storybook-base, which is here."
    )
