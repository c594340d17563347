"""What the tabs of the page share: the opened model, and where banks, runs and downloads are."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from emosym.apps.sentences import sentence_of
from emosym.errors import EmoSymError, UsageError
from emosym.service.rows import Row
from emosym.service.sinks import TEXTS
from emosym.service.wanted import Wanted

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace
    from emosym.pipelines.photo import PhotoReader
    from emosym.pipelines.protocol import EmotionPipeline
    from emosym.service.session import Session

ACT = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-act]');
  if (button && element.contains(button)) trigger('act', {...button.dataset});
});"""


@dataclass(frozen=True, slots=True)
class Home:
    """One page: its model and `wanted`, by which it was opened; where its files are.

    `texts` opens what reads words and `photos` what reads photographs, at the first use; their
    errors are sentences. `bank` is where
    paintings are kept, made with the first one; `runs` holds run folders; `scratch` is a folder
    of this page alone, for what is downloaded. Without `may_keep` nobody can change the bank.
    """

    session: Session
    wanted: Wanted
    texts: Callable[[], EmotionPipeline]
    photos: Callable[[], PhotoReader]
    bank: Path
    runs: Path
    scratch: Path
    may_keep: bool = True

    def require_keeping(self) -> None:
        """Refuse to change the bank of a page that anyone may enter.

        Raises:
            UsageError: in one sentence.
        """
        if not self.may_keep:
            raise UsageError("This page lets anyone in, so nothing is kept here or taken away.")

    def new_folder(self) -> Path:
        """Return a new empty folder for downloads."""
        return Path(mkdtemp(dir=self.scratch))

    def rows_files(self, rows: Sequence[Row], space: LabelSpace | None) -> tuple[str, str]:
        """Write rows as the shell does; returns the paths of readings.csv and readings.json."""
        folder = self.new_folder()
        paths = [folder / f"readings.{kind}" for kind in ("csv", "json")]
        for path in paths:
            with ExitStack() as stack:
                stream = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
                sink = TEXTS[path.suffix[1:]](stream, lambda: space, stack)
                for row in rows:
                    sink(row)
        return str(paths[0]), str(paths[1])

    def zipped(self, folder: Path, name: str) -> str:
        """Return the path of a new archive of a folder's files, under `name`."""
        path = self.new_folder() / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder).as_posix())
        return str(path)


class Stopped(Exception):  # noqa: N818 - asked for, not a fault
    """Somebody pressed Stop, or began anew."""


@dataclass
class Going:
    """What a run of one visitor and the button that stops it share: the number of the last run.

    Gradio ends a run that is cancelled only where it yields; this ends it before its next step.
    """

    number: int = 0

    def begin(self) -> Callable[[], None]:
        """Begin a run; what is returned raises `Stopped` once it is not the last one any more."""
        self.number += 1
        mine = self.number

        def go_on() -> None:
            if self.number != mine:
                raise Stopped

        return go_on

    def stop(self) -> None:
        """End the run that goes on, if any."""
        self.number += 1


@contextmanager
def told(say: list[str]) -> Iterator[None]:
    """Put the sentence of an error that the user can mend into `say`; a bug keeps its traceback."""
    try:
        yield
    except (EmoSymError, MemoryError, OSError) as error:
        found = sentence_of(error)
        if found is None:
            raise
        say.append(found[0])


def with_event(gr: Any, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a handler's last argument, `event`, as what the browser tells of a click."""
    handler.__annotations__ = {"event": gr.EventData}
    return handler


def acting(gr: Any, **settings: Any) -> Any:
    """Return HTML whose buttons (`data-act`) send what stands in their data- attributes."""
    return gr.HTML(js_on_load=ACT, **settings)
