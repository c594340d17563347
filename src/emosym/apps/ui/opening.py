"""What the page stands on, opened: its model, the reader of texts, a folder for downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from emosym.errors import UsageError
from emosym.models.presets import PRESETS
from emosym.service.wanted import Wanted

if TYPE_CHECKING:
    from emosym.apps.ui.home import Home
    from emosym.apps.ui.serving import Door
    from emosym.pipelines.protocol import EmotionPipeline

HOW_TEXTS = (
    "The model of this page reads pictures. Words are read once `emosym models get smollm2-135m` "
    "has fetched what emosym-text stands on, or where the page was opened with --text-model: the "
    "folder of a model that was trained on text."
)


def text_wanted(name: str | None, wanted: Wanted) -> Wanted:
    """Return what reads words: a preset that is asked in words, a trained model, or the page's."""
    if name is None:
        return wanted
    labels = wanted.labels if wanted.zero_shot else None
    if name in PRESETS and PRESETS[name].shipped is None:
        return Wanted(zero_shot=True, preset=name, labels=labels, device=wanted.device)
    return Wanted(model=name, device=wanted.device)


@contextmanager
def opened(
    wanted: Wanted, text_model: str | None, bank: Path, runs: Path, may_keep: bool = True
) -> Iterator[Home]:
    """Open the model; what was uploaded or made for download is gone at the end.

    Raises:
        UsageError: as `open_session`.
        EmoSymError: as `open_session`.
    """
    from emosym.apps.ui.home import Home
    from emosym.models.once import Once
    from emosym.models.photo.names import PHOTO
    from emosym.pipelines.photo import PhotoReader
    from emosym.service.session import open_session
    from emosym.service.texts import open_text_reader

    session = open_session(wanted)
    words = text_wanted(text_model, wanted)

    def open_texts() -> EmotionPipeline:
        try:
            return open_text_reader(words)
        except UsageError as error:
            if text_model is not None or words.zero_shot:
                raise
            raise UsageError(HOW_TEXTS) from error

    photos = Once(lambda: PhotoReader.from_pretrained(PHOTO, wanted.device))
    with TemporaryDirectory(prefix="emosym-ui-") as scratch:
        yield Home(session, wanted, Once(open_texts), photos, bank, runs, Path(scratch), may_keep)


def open_page(
    wanted: Wanted,
    text_model: str | None,
    bank: Path,
    runs: Path,
    at: Door,
    open_browser: bool,
    say: Callable[[str], object],
) -> None:
    """Open the model and serve the page until it is stopped; `say` is told where it is.

    Raises:
        UsageError: as `opened`.
        EmoSymError: as `opened`.
    """
    from emosym.apps.ui.serving import serve

    with opened(wanted, text_model, bank, runs, not at.anyone) as home:
        name = f"[{at.host}]" if ":" in at.host else at.host
        say(f"The page is at http://{name}:{at.port} (Ctrl+C ends it).")
        serve(home, at, open_browser)
