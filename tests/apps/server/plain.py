"""A small model of its own kind, and servers around it: what is tested is all but the networks."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from emosym.apps.listening import bind
from emosym.apps.server.app import Service, create_app
from emosym.apps.server.keys import Keys
from emosym.apps.server.limits import Limits
from emosym.apps.server.running import configured
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.pipelines.protocol import About, EmotionPipeline, Usual
from emosym.pipelines.requests import PaintRequest
from emosym.service.session import Session
from emosym.types import (
    BadInput,
    DialogueOutput,
    GenerationOutput,
    Sample,
    UnderstandingOutput,
)

SPACE = LabelSpace("plain", ("joy", "sadness"))
NO_LATENT = np.zeros(0)


def told(share: float, why: str | None = None) -> UnderstandingOutput:
    """The reading of something that is joyful to a share."""
    shares = {"joy": share, "sadness": 1 - share}
    emotion = max(shares, key=shares.__getitem__)
    none = (None,) * 5
    return UnderstandingOutput(
        emotion, shares, shares[emotion], *none, None, NO_LATENT, NO_LATENT, why
    )


class PlainPipeline(EmotionPipeline):
    """Bright pictures and texts with a "!" are joyful; it paints evenly. `hold` is called first."""

    def __init__(self, hold: Callable[[int], None] = lambda count: None) -> None:
        """Remember the sizes of batches."""
        self.hold = hold
        self.batches: list[int] = []
        self.painted = 0

    space = SPACE
    base: Any = None
    device = "cpu"
    abstain_below = None
    image_size = 32

    def check(self, picture: Image.Image, name: str) -> None:
        """Refuse strips."""
        if max(picture.size) > 50 * min(picture.size):
            raise UsageError(f"{name} is a strip.")

    def usual(self) -> Usual:
        """Read eight at once."""
        return Usual(3.0, 10, 4, 8)

    def about(self) -> About:
        """It takes everything."""
        takes = frozenset({"image", "text", "conversation"})
        return About("plain", ("plain",), (), takes, True, True, "cpu")  # type: ignore[arg-type]

    def why_not(self, part: Any) -> str | None:
        """It can do both."""
        return None

    def require(self, part: Any) -> None:
        """It can do both."""

    def load(self, part: Any) -> None:
        """It is open."""

    def read(
        self, pictures: Sequence[Image.Image], explain: bool, batch_size: int
    ) -> list[UnderstandingOutput]:
        """Read brightness."""
        self._begin(len(pictures))
        why = "It is bright or not." if explain else None
        return [told(float(np.asarray(p).mean()) / 255, why) for p in pictures]

    def read_samples(
        self, samples: Sequence[Sample], explain: bool, batch_size: int
    ) -> list[UnderstandingOutput | BadInput]:
        """Read exclamations."""
        self._begin(len(samples))
        return [told(0.9 if "!" in (s.turns[0].text or "") else 0.2) for s in samples]

    def read_dialogues(
        self, samples: Sequence[Sample], batch_size: int = 16
    ) -> list[DialogueOutput | BadInput]:
        """Read exclamations of turns."""
        self._begin(len(samples))
        return [
            DialogueOutput(tuple(told(0.9 if "!" in (t.text or "") else 0.2) for t in s.turns), ())
            for s in samples
        ]

    def paint(
        self,
        request: PaintRequest,
        batch_size: int | None = None,
        only: range | None = None,
        before_step: Callable[[], None] | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint even pictures."""
        for index in range(request.num_images):
            self._begin(1)
            if before_step is not None:
                before_step()
            self.painted += 1
            image = Image.new("RGB", (8, 8), (10 * request.seed % 256, index, 0))
            yield GenerationOutput(image, told(0.5), request.described(index), request.seed)

    def _begin(self, count: int) -> None:
        self.batches.append(count)
        self.hold(count)


def png(level: int = 200, size: tuple[int, int] = (40, 30)) -> bytes:
    """Return an even picture as PNG."""
    stream = io.BytesIO()
    Image.new("L", size, level).save(stream, "PNG")
    return stream.getvalue()


def service_of(
    pipeline: EmotionPipeline | None = None, keys: Keys | None = None, **limits: Any
) -> Service:
    """Return a service with one decoding process; times are long for slow machines."""
    made = Limits(**({"deadline": 120.0, "decode_seconds": 60.0} | limits))
    return Service({"plain": Session(pipeline or PlainPipeline())}, made, keys, decoders=1)


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve on a free port, in a thread, and yield the address; the end is graceful."""
    listening = bind("127.0.0.1", 0)
    server = configured(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until = time.monotonic() + 60
        while not service.ready:
            assert thread.is_alive() and time.monotonic() < until
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


__all__ = ["PlainPipeline", "create_app", "png", "service_of", "serving"]
