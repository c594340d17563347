"""A session: one model, opened once by whatever names it, and called from any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from emosym.pipelines.inputs import Picture, Pictures
from emosym.pipelines.protocol import About, EmotionPipeline, Usual
from emosym.pipelines.requests import PaintRequest
from emosym.service.wanted import SHIPPED_MODEL, Wanted

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from emosym.emotions import LabelSpace
    from emosym.models.painter.sampling import BeforeStep
    from emosym.pipelines.requests import PaintArguments
    from emosym.types import BadInput, GenerationOutput, UnderstandingOutput


class Session:
    """One opened model.

    Calls may come from any number of threads at once and do not see one another: each gets what it
    would get alone, to the last bit. Requests of several callers become one batch, where that is
    wanted, between `understand` and the pipeline's `read`: nothing else reads.
    """

    def __init__(self, pipeline: EmotionPipeline) -> None:
        """Hold an opened pipeline."""
        self.pipeline = pipeline

    @property
    def space(self) -> LabelSpace:
        """The label space of the readings."""
        return self.pipeline.space

    def of_pictures(self) -> Session:
        """Return the session that answers single pictures; see `EmotionPipeline.of_pictures`."""
        return Session(self.pipeline.of_pictures())

    def about(self) -> About:
        """Return what the model is and can do."""
        return self.pipeline.about()

    def usual(self) -> Usual:
        """Return what a call leaves open."""
        return self.pipeline.usual()

    def understand(self, picture: Picture, explain: bool = False) -> UnderstandingOutput:
        """Read one picture; errors as in `EmotionPipeline.understand`."""
        return self.pipeline.understand(picture, explain)

    def understand_all(
        self, pictures: Iterable[Picture], explain: bool = False
    ) -> list[UnderstandingOutput]:
        """Read several pictures; errors as in `EmotionPipeline.understand`."""
        return self.pipeline.understand(list(pictures), explain)

    def understand_many(
        self,
        pictures: Pictures,
        batch_size: int | None = None,
        workers: int = 2,
        explain: bool = False,
    ) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
        """Yield (name, reading) for any number of pictures, as `EmotionPipeline` does."""
        return self.pipeline.understand_many(pictures, batch_size, workers, explain)

    def request(
        self, emotion: str | Mapping[str, float] | None = None, **asked: Unpack[PaintArguments]
    ) -> PaintRequest:
        """Return a checked request to paint; errors as in `EmotionPipeline.request`."""
        return self.pipeline.request(emotion, **asked)

    def paint(
        self,
        request: PaintRequest,
        batch_size: int | None = None,
        only: range | None = None,
        before_step: BeforeStep | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint a request, or a stretch of it, as `EmotionPipeline.paint`; errors as there."""
        return self.pipeline.paint(request, batch_size, only, before_step)


def open_session(wanted: Wanted | None = None, **options: Any) -> Session:
    """Open what `Wanted` names; `options` are its fields. Nothing is downloaded.

    A trained reader is opened now, everything else at the first use, once for all threads.

    Raises:
        UsageError: for an unknown name, a folder that holds no model, or options that do not go
            together.
        EmoSymError: when weights are missing or a checksum is wrong.
    """
    asked = wanted or Wanted(**options)
    if not asked.zero_shot:
        from emosym.pipelines.trained import EmoSymPipeline

        model = asked.model or SHIPPED_MODEL
        return Session(EmoSymPipeline.from_pretrained(model, asked.device))
    from emosym.pipelines.zero_shot import PRESET, ZeroShotPipeline

    return Session(
        ZeroShotPipeline.from_pretrained(
            asked.preset or PRESET,
            asked.labels,
            asked.device,
            painter=asked.painter,
            max_pixels=asked.max_pixels,
        )
    )
