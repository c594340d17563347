"""What every model is to those who use it: it reads, it paints, and it says what it can.

The command line, the page and the server hold an `EmotionPipeline` and ask it, never what kind it
is. A new kind of model writes `read`, `paint` and what it says of itself; all else follows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from PIL import Image

from emosym.data.images import decode_batches
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.presets import Base
from emosym.pipelines.inputs import (
    Picture,
    Pictures,
    decode_named,
    is_picture,
    named_pictures,
    open_picture,
)
from emosym.pipelines.requests import PaintRequest, paint_request
from emosym.types import (
    BadInput,
    DialogueOutput,
    GenerationOutput,
    Sample,
    UnderstandingOutput,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from emosym.models.painter.sampling import BeforeStep
    from emosym.pipelines.requests import PaintArguments

Takes = Literal["image", "text", "conversation"]


NO_DIALOGUES = "This model was not taught conversations: train one by a recipe of the stage m2se."


@dataclass(frozen=True, slots=True)
class Usual:
    """What a call leaves open: of painting, and how many are read and painted at once.

    `places` and `lights` are the words of a prompt that its painter was trained with, where these
    are few; empty where it knows words of any kind.
    """

    guidance_scale: float
    num_inference_steps: int
    paint_at_once: int
    read_at_once: int
    places: tuple[str, ...] = ()
    lights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What a model is and can do.

    `spaces` are its label spaces, the first one that of its readings; `tasks` what it was taught
    to answer; `takes` what it can be shown and makes sense of; `tells_outside` says whether it
    knows which pictures are unlike all it has seen, `history` whether it reads a turn of a
    conversation with those before it. `reads_by` and `paints_by` tell how a model
    that was not trained on emotions is asked, ready for JSON; of a trained one they are None.
    """

    name: str
    spaces: tuple[str, ...]
    tasks: tuple[str, ...]
    takes: frozenset[Takes]
    can_read: bool
    can_paint: bool
    device: str
    tells_outside: bool = False
    history: bool = True
    reads_by: Mapping[str, Any] | None = None
    paints_by: Mapping[str, Any] | None = None

    @property
    def trained(self) -> bool:
        """Whether it was trained on emotions, so that its confidence can be calibrated."""
        return self.reads_by is None


class EmotionPipeline(Protocol):
    """Inference with one model, from any thread: calls do not see one another."""

    @property
    @abstractmethod
    def space(self) -> LabelSpace:
        """The label space of the readings."""

    @property
    @abstractmethod
    def base(self) -> Base:
        """What the model stands on."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model is."""

    @property
    @abstractmethod
    def abstain_below(self) -> float | None:
        """The confidence below which a reading abstains; None where nothing was fitted."""

    def of_pictures(self) -> EmotionPipeline:
        """Return what answers single pictures as this does, and everything else like them.

        It differs from this where pictures have a label space of their own, beside conversations.
        """
        return self

    @property
    def unknowns(self) -> list[str]:
        """What nobody knows of the readings for want of validation pictures, in sentences."""
        return []

    @property
    @abstractmethod
    def image_size(self) -> int | None:
        """The side of the square that pictures are read at; None where they keep their shape."""

    @abstractmethod
    def check(self, picture: Image.Image, name: str) -> None:
        """Refuse a picture that decodes but that the model cannot take; `name` stands for it.

        Raises:
            UsageError: one sentence that says what is wrong with it.
        """

    @abstractmethod
    def usual(self) -> Usual:
        """Return what a call leaves open."""

    @abstractmethod
    def about(self) -> About:
        """Return what the model is and can do; nothing is opened for it."""

    @abstractmethod
    def why_not(self, part: Literal["reader", "painter"]) -> str | None:
        """Return why there is no reader or painter here, in a sentence; None where there is."""

    @abstractmethod
    def require(self, part: Literal["reader", "painter"]) -> None:
        """Raise UsageError or EmoSymError with the sentence of `why_not`, where there is one."""

    @abstractmethod
    def load(self, part: Literal["reader", "painter"]) -> None:
        """Open a part now, not at the first call; errors as in `require`, or of its files."""

    @abstractmethod
    def read(
        self, pictures: Sequence[Image.Image], explain: bool, batch_size: int
    ) -> list[UnderstandingOutput]:
        """Read RGB pictures in batches; a reading does not depend on its batch."""

    @abstractmethod
    def read_samples(
        self, samples: Sequence[Sample], explain: bool, batch_size: int
    ) -> list[UnderstandingOutput | BadInput]:
        """Read samples that are no single picture (`Sample.is_picture`): words, dialogues, videos.

        What cannot be read is a `BadInput`; a reading does not depend on its batch.
        """

    def read_dialogues(
        self, samples: Sequence[Sample], batch_size: int = 16, explain: bool = False
    ) -> list[DialogueOutput | BadInput]:
        """Read every turn of conversations, in order; one that cannot be read is a `BadInput`.

        With `explain` a turn whose emotion is not neutral comes with a rationale in words.

        Raises:
            UsageError: when the model was not taught conversations, or to say why.
        """
        raise UsageError(NO_DIALOGUES)

    @abstractmethod
    def paint(
        self,
        request: PaintRequest,
        batch_size: int | None = None,
        only: range | None = None,
        before_step: BeforeStep | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint a checked request (`request`), or a stretch of it, one picture at a time.

        `before_step` is called before every step; what it raises ends the painting.

        Raises:
            UsageError: at the call, for a request that this model cannot follow.
            EmoSymError: at the call, when it cannot paint.
        """

    @overload
    def understand(  # type: ignore[overload-overlap]  # a str is one picture, though a sequence
        self, pictures: Picture, explain: bool = ..., batch_size: int | None = ...
    ) -> UnderstandingOutput: ...
    @overload
    def understand(
        self, pictures: Iterable[Picture], explain: bool = ..., batch_size: int | None = ...
    ) -> list[UnderstandingOutput]: ...
    def understand(
        self,
        pictures: Picture | Iterable[Picture],
        explain: bool = False,
        batch_size: int | None = None,
    ) -> UnderstandingOutput | list[UnderstandingOutput]:
        """Read one picture, or several: a list, or anything that gives one after the other.

        A picture is a path, encoded bytes, a PIL image, a numpy array, a tensor or an open file
        (see `inputs.open_picture`). Words, dialogues and several pictures that are read as one
        are a `Sample`; what a model takes says `about()`. A reading does not depend on what else
        is in its batch, beyond floating-point rounding. With `explain` it comes with a rationale in
        words.

        Raises:
            UsageError: when a picture cannot be read; `understand_many` goes on instead.
        """
        size = self._read_at_once(batch_size)
        self.require("reader")
        if is_picture(pictures):
            return self._read_opened([self._opened(pictures)], explain, size)[0]  # type: ignore[arg-type]
        if isinstance(pictures, Mapping):
            raise UsageError("understand takes a list of pictures; understand_many keeps names.")
        left, readings = iter(pictures), list[UnderstandingOutput]()  # type: ignore[arg-type]
        while opened := [self._opened(picture) for picture in islice(left, size)]:
            readings += self._read_opened(opened, explain, size)
        return readings

    def understand_many(
        self,
        pictures: Pictures,
        batch_size: int | None = None,
        workers: int = 2,
        explain: bool = False,
    ) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
        """Yield (name, reading) for any number of pictures, in order; a bad one is a `BadInput`.

        Pictures are as in `understand`; their names are given as pairs (name, picture) or by a
        mapping, else a path is its own name. Memory does not grow with their number: the next
        batch is decoded by `workers` threads while this one is read.
        """
        size = self._read_at_once(batch_size)
        self.require("reader")
        named = named_pictures(pictures)
        for batch in decode_batches(
            named, size, self.image_size, workers, self.check, decode_named
        ):
            good = [found for _, found in batch if not isinstance(found, BadInput)]
            readings = iter(self._read_any(good, explain, size))
            for name, found in batch:
                read = found if isinstance(found, BadInput) else next(readings)
                yield name, replace(read, source=name) if isinstance(read, BadInput) else read

    def request(
        self,
        emotion: str | Mapping[str, float] | None = None,
        **asked: Unpack[PaintArguments],
    ) -> PaintRequest:
        """Return a checked request; its open settings are this model's usual ones.

        Raises:
            UsageError: as `generate`.
        """
        usual = self.usual()
        if asked.get("guidance_scale") is None:
            asked["guidance_scale"] = usual.guidance_scale
        if asked.get("num_inference_steps") is None:
            asked["num_inference_steps"] = usual.num_inference_steps
        return paint_request(self.space, emotion, **asked)

    def generate(
        self,
        emotion: str | Mapping[str, float] | None = None,
        *,
        batch_size: int | None = None,
        **asked: Unpack[PaintArguments],
    ) -> list[GenerationOutput]:
        """Paint pictures that evoke what is asked for; each comes with the model's own reading.

        `emotion` is a label, or a mix such as {"awe": .7, "fear": .3}; what else may be asked for,
        or instead of it, says `requests.PaintArguments`. `batch_size` are painted at once.

        Raises:
            UsageError: unless exactly one of emotion, valence with arousal, and like is given;
                for an unknown emotion, a value out of its range, or what this model cannot do.
            EmoSymError: when the model cannot paint.
        """
        return list(self.paint(self.request(emotion, **asked), batch_size))

    def _read_any(
        self, opened: Sequence[Image.Image | Sample], explain: bool, size: int
    ) -> list[UnderstandingOutput | BadInput]:
        """Read pictures and samples as they come, each kind together."""
        pictures = [one for one in opened if isinstance(one, Image.Image)]
        samples = [one for one in opened if isinstance(one, Sample)]
        read = iter(self.read(pictures, explain, size) if pictures else ())
        told = iter(self.read_samples(samples, explain, size) if samples else ())
        return [next(told) if isinstance(one, Sample) else next(read) for one in opened]

    def _read_opened(
        self, opened: Sequence[Image.Image | Sample], explain: bool, size: int
    ) -> list[UnderstandingOutput]:
        """Read pictures and samples; what cannot be read is a UsageError."""
        readings = []
        for found in self._read_any(opened, explain, size):
            if isinstance(found, BadInput):
                raise UsageError(found.error)
            readings.append(found)
        return readings

    def _opened(self, source: Picture) -> Image.Image | Sample:
        if isinstance(source, Sample) and not source.is_picture:
            return source
        picture = open_picture(source)
        self.check(picture, repr(str(source)) if isinstance(source, str | Path) else "The picture")
        return picture

    def _read_at_once(self, batch_size: int | None) -> int:
        return check_batch_size(batch_size, self.usual().read_at_once)


def check_batch_size(batch_size: int | None, usual: int) -> int:
    """Return a batch size, the usual one where none is given.

    Raises:
        UsageError: when it is below 1.
    """
    size = usual if batch_size is None else batch_size
    if size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {size}.")
    return size
