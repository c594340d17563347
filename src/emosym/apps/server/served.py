"""What the server asks of an opened model, whether it tells emotions or valence and arousal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from emosym.apps.server.limits import Limits
from emosym.apps.server.metrics import Metrics
from emosym.pipelines.photo import AT_ONCE, PhotoReader
from emosym.pipelines.protocol import About, Takes
from emosym.service.affect_rows import affect_row
from emosym.service.batching import Batcher
from emosym.service.rows import Row, reading_row
from emosym.service.session import Session

PICTURES, TEXTS, DIALOGUES = "pictures", "texts", "dialogues"
NEEDS: Mapping[str, Takes] = {PICTURES: "image", TEXTS: "text", DIALOGUES: "conversation"}
EMOTIONS, AFFECT = "emotions", "valence and arousal"


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """One opened model behind the server, and the batcher before it.

    `name` is what callers know it by, and `arguments` the options that name it in the shell.
    It `tells` emotions, among `labels`, or valence and arousal. `side` is that of the square that
    its pictures are cut to (None: they keep their shape), `check` refuses one that it cannot take,
    and `row` makes a row of a reading. `session` paints; None where nothing does.
    """

    name: str
    about: About
    tells: str
    labels: tuple[str, ...]
    side: int | None
    check: Callable[[Image.Image, str], None]
    row: Callable[[str, Any], Row]
    batcher: Batcher[Any, Any]
    session: Session | None
    arguments: tuple[str, ...]

    def takes(self, kind: str) -> bool:
        """Return whether the model reads inputs of a kind; dialogues only where it was taught."""
        taught = kind != DIALOGUES or self.about.trained
        return self.about.can_read and NEEDS[kind] in self.about.takes and taught

    def tell(self) -> dict[str, Any]:
        """Return what it is and can do, ready for JSON; no path of this machine is in it."""
        about = self.about
        return {
            "name": self.name,
            "takes": sorted(about.takes) if about.can_read else [],
            "paints": about.can_paint,
            "tells": self.tells,
            "labels": list(self.labels),
            "tells_outside": about.tells_outside,
            "trained": about.trained,
            "image_size": self.side,
        }

    def why_not_paint(self) -> str | None:
        """Return why it paints nothing, in a sentence; None where it paints."""
        if self.session is None:
            return f"The model {self.name!r} reads photographs and paints nothing."
        return self.session.pipeline.why_not("painter")


def served_session(
    name: str,
    session: Session,
    limits: Limits,
    metrics: Metrics,
    arguments: Sequence[str] | None = None,
) -> Served:
    """Return a session behind the server."""
    pictures, about = session.of_pictures().pipeline, session.about()
    size = session.usual().read_at_once

    def read(kind: Hashable, items: list[Any]) -> Sequence[Any]:
        if kind == TEXTS:
            return session.pipeline.read_samples(items, False, size)
        if kind == DIALOGUES:
            return session.pipeline.read_dialogues(items)
        return pictures.read(items, kind == (PICTURES, True), size)

    return Served(
        name,
        about,
        EMOTIONS,
        session.space.labels,
        pictures.image_size if about.can_read and "image" in about.takes else None,
        pictures.check,
        reading_row,
        Batcher(read, size, most=limits.waiting, seen=metrics.batch(name)),
        session,
        tuple(arguments or ("--model", name)),
    )


def served_photographs(name: str, reader: PhotoReader, limits: Limits, metrics: Metrics) -> Served:
    """Return a reader of photographs behind the server."""
    return Served(
        name,
        reader.about(name),
        AFFECT,
        (),
        None,
        lambda image, shown: None,  # it takes every shape
        affect_row,
        Batcher(
            lambda kind, items: reader.read(items),
            AT_ONCE,
            most=limits.waiting,
            seen=metrics.batch(name),
        ),
        None,
        ("--model", name),
    )
