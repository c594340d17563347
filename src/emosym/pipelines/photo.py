"""Photographs: their valence and arousal with intervals, and which rated pictures are like them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from emosym.data.images import decode_batches
from emosym.device import best_device
from emosym.errors import EmoSymError
from emosym.models.photo.encoder import Encoder, encoder_folder, open_encoder
from emosym.models.photo.head import COVERAGE, RARE, AffectHead, Predicted, predict
from emosym.models.photo.names import PHOTO, photo_folder
from emosym.models.photo.store import Stored, load_head
from emosym.models.snapshots import fingerprint
from emosym.pipelines.inputs import Picture, Pictures, decode_named, named_pictures, open_picture
from emosym.pipelines.protocol import About
from emosym.types import AffectOutput, BadInput, RatedPicture

LOWEST, HIGHEST = 1.0, 7.0  # of the raters' scale
NEAREST = 3
AT_ONCE = 16


class PhotoReader:
    """Reads the valence and arousal of photographs; claims no emotion."""

    def __init__(
        self, head: AffectHead, encoder: Encoder, stored: Stored, device: str = "cpu"
    ) -> None:
        """Hold what predicts, what it predicts from and where, and how it is described."""
        self.head, self.encoder, self.stored, self.device = head, encoder, stored, device

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path = PHOTO, device: str | None = None
    ) -> PhotoReader:
        """Open the reader of this package, or a folder of `emosym train photo`; errors in words.

        Raises:
            UsageError: when the folder holds no such reader, or its encoder is not here.
            EmoSymError: when something is damaged, or the encoder is another one.
        """
        folder = photo_folder(name_or_folder)
        stored, head = load_head(folder)
        place = encoder_folder(stored.encoder)
        if fingerprint(place) != stored.encoder_fingerprint:
            raise EmoSymError(
                f"{folder} was made with other weights than the {stored.encoder} on this machine."
            )
        where = str(best_device(device or "auto"))
        return cls(head, open_encoder(place, where), stored, where)

    def about(self, name: str = PHOTO) -> About:
        """Return what the reader, called `name`, is and can do."""
        return About(
            name=name,
            spaces=(),
            tasks=("valence and arousal",),
            takes=frozenset({"image"}),
            can_read=True,
            can_paint=False,
            device=self.device,
            tells_outside=True,
        )

    def understand(self, picture: Picture) -> AffectOutput:
        """Read one picture.

        Raises:
            UsageError: when it cannot be read.
        """
        return self.read([open_picture(picture)])[0]

    def understand_many(
        self, pictures: Pictures, batch_size: int = AT_ONCE, workers: int = 2
    ) -> Iterator[tuple[str, AffectOutput | BadInput]]:
        """Yield (name, reading) for any number of pictures, in order; a bad one is a `BadInput`."""
        named = named_pictures(pictures)
        for batch in decode_batches(named, batch_size, None, workers, None, decode_named):
            good = [found for _, found in batch if isinstance(found, Image.Image)]
            readings = iter(self.read(good) if good else ())
            for name, found in batch:
                if isinstance(found, Image.Image):
                    yield name, next(readings)
                elif isinstance(found, BadInput):
                    yield name, found
                else:
                    told = "this model reads single pictures, and it is a conversation."
                    yield name, BadInput(name, f"{name!r} cannot be read: {told}")

    def read(self, pictures: Sequence[Image.Image]) -> list[AffectOutput]:
        """Read RGB pictures; a reading does not depend on its batch, beyond rounding."""
        return outputs_of(self.head, predict(self.head, self.encoder.read(pictures)))


def outputs_of(head: AffectHead, found: Predicted) -> list[AffectOutput]:
    """Return predictions as readings, on the raters' scale and with their nearest pictures."""
    return [_output(head, found, row) for row in range(len(found.ratings))]


def _output(head: AffectHead, found: Predicted, row: int) -> AffectOutput:
    ratings, margins = found.ratings[row], found.margins[row]
    values, low, high = (
        np.clip(some, LOWEST, HIGHEST).tolist()
        for some in (ratings, ratings - margins, ratings + margins)
    )
    order = np.argsort(found.distance[row], kind="stable")[:NEAREST].tolist()
    nearest = []
    for place in order:
        valence, arousal = head.ratings[place].tolist()
        distance = float(found.distance[row, place])
        nearest.append(RatedPicture(head.names[place], valence, arousal, distance))
    share = float(found.in_domain[row])
    return AffectOutput(
        valence=values[0],
        valence_low=low[0],
        valence_high=high[0],
        arousal=values[1],
        arousal_low=low[1],
        arousal_high=high[1],
        coverage=COVERAGE,
        in_domain=share,
        outside=share < RARE,
        nearest=tuple(nearest),
    )
