"""What reads any number of pictures into rows, whether it tells emotions or valence and arousal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from emosym.service.affect_rows import affect_row, no_words
from emosym.service.rows import Row, reading_row

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace
    from emosym.pipelines.inputs import NamedPicture, Pictures
    from emosym.service.wanted import Wanted

Many: TypeAlias = "Pictures | Iterable[NamedPicture]"
ReadMany: TypeAlias = "Callable[[Any, int], Iterator[tuple[str, Any]]]"


@dataclass(frozen=True, slots=True)
class PictureReader:
    """An opened model: `read_many(pictures, workers)` yields (name, reading), in order.

    `row` makes a row of a reading; `space` is the label space of the rows, None for those of
    valence and arousal. It reads `at_once` pictures together.
    """

    read_many: ReadMany
    row: Callable[[str, Any], Row]
    space: LabelSpace | None
    at_once: int

    def rows(self, pictures: Many, workers: int = 2) -> Iterator[Row]:
        """Yield a row a picture, in order; a bad one has its reason in `error`."""
        for name, reading in self.read_many(pictures, workers):
            yield self.row(name, reading)


def open_picture_reader(
    wanted: Wanted, explain: bool = False, at_once: int | None = None
) -> PictureReader:
    """Open a model now.

    Raises:
        UsageError: as `open_session` and `PhotoReader.from_pretrained`, when its reader is not on
            this machine, or for `explain` of a model without words for why.
        EmoSymError: as those.
    """
    from emosym.errors import UsageError
    from emosym.models.photo.names import reads_photographs

    if reads_photographs(wanted.model):
        from emosym.pipelines.photo import AT_ONCE, PhotoReader

        if explain:
            raise UsageError(no_words(f"The model {wanted.model}", "explain"))
        reader, size = PhotoReader.from_pretrained(str(wanted.model), wanted.device), at_once
        return PictureReader(
            lambda pictures, workers: reader.understand_many(pictures, size or AT_ONCE, workers),
            affect_row,
            None,
            size or AT_ONCE,
        )
    from emosym.service.session import open_session

    session = open_session(wanted).of_pictures()
    session.pipeline.require("reader")
    session.pipeline.load("reader")
    many = at_once or session.usual().read_at_once
    return PictureReader(
        lambda pictures, workers: session.understand_many(pictures, many, workers, explain),
        reading_row,
        session.space,
        many,
    )
