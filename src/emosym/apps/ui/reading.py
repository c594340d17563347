"""What the tab Read does: pictures a few at a time, a sentence, the turns of a dialogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from emosym.apps.ui import read_view
from emosym.apps.ui.drawing import alert, alike, notice, status
from emosym.apps.ui.home import Going, Home, Stopped, told
from emosym.apps.ui.read_view import Results, Shown
from emosym.errors import UsageError
from emosym.evaluation.report.pictures import shown_frame
from emosym.service.affect_rows import affect_row
from emosym.service.dialogues import dialogue_rows
from emosym.service.rows import reading_row
from emosym.service.texts import read_texts
from emosym.service.words import EACH_ALONE, not_calibrated
from emosym.types import BadInput, Sample, StoredImage, Turn

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace
    from emosym.pipelines.protocol import EmotionPipeline
    from emosym.types import UnderstandingOutput

READ_AT_ONCE = 8
QUICK_SIDE = 128
PATIENCE = 0.5  # seconds that Stop may wait for pictures that are read together
PICTURED = 200  # of so many the page shows the pictures
PICTURE_SIDE = 320
NEAREST = 4
LONGEST_TEXT = 20_000
THUMBNAIL = 128
MOST_NAMES = 3
NO_PICTURE = "Drop a picture first, or choose one."
Update = tuple[Any, ...]
Read: TypeAlias = "Callable[[Sequence[str]], Iterator[tuple[str, Any]]]"
# What reads some uploads, and how many at first; the label space, and the confidence below which
# readings are unsure.
Opened: TypeAlias = "tuple[Read, int, LabelSpace | None, float | None]"
EMPTY = (
    '<div class="empty"><p>What a picture evokes will be shown here: the emotions as bars, how '
    "sure, and why.</p></div>"
)
HOW_DIALOGUE = "One turn a line; the speaker before a colon, as in: Ann: You came back!"


def stopped_after(results: Results | None, going: Going) -> str:
    """Stop reading before the next pictures; returns what is said then."""
    going.stop()
    return status(f"Stopped; {0 if results is None else len(results.readings)} read.")


def read_pictures(
    home: Home, paths: Sequence[str], explain: bool, going: Going
) -> Iterator[Update]:
    """Read uploaded pictures a few at a time; yields what the page shows after each few."""

    def opened() -> Opened:
        session = home.session.of_pictures()

        def read(some: Sequence[str]) -> Iterator[tuple[str, Any]]:
            return session.understand_many(stored(some), len(some), explain=explain)

        size = first_size(session.about().trained, session.pipeline.image_size)
        return read, size, session.space, session.pipeline.abstain_below

    def show(name: str, found: Any, picture: str) -> Shown:
        near = nearest_entries(home, found) if picture else ()
        return Shown(reading_row(name, found), name, picture, near)

    return few_at_a_time(paths, opened, show, going)


def read_photographs(home: Home, paths: Sequence[str], going: Going) -> Iterator[Update]:
    """Read uploaded photographs by the preset `photo`; yields as `read_pictures`."""

    def opened() -> Opened:
        reader = home.photos()
        return lambda some: reader.understand_many(stored(some), len(some)), 1, None, None

    def show(name: str, found: Any, picture: str) -> Shown:
        return Shown(affect_row(name, found), name, picture)

    return few_at_a_time(paths, opened, show, going)


def few_at_a_time(
    paths: Sequence[str],
    opened: Callable[[], Opened],
    show: Callable[[str, Any, str], Shown],
    going: Going,
) -> Iterator[Update]:
    """Read by what `opened` gives; `show` makes of a name, its reading and its picture a row.

    As many pictures are read together as take a moment, so that Stop need not wait longer. The
    picture of one that is not among the first `PICTURED` is "".
    """
    say: list[str] = []
    if not paths:
        yield alert(NO_PICTURE), EMPTY, "", None
        return
    total, go_on = len(paths), going.begin()
    yield status("Reading", 0, total), EMPTY, "", None
    readings: list[Shown] = []
    space: LabelSpace | None = None
    below: float | None = None
    with told(say), suppress(Stopped):
        read, size, space, below = opened()
        while len(readings) < total:
            go_on()
            some, begun = paths[len(readings) : len(readings) + size], time.monotonic()
            for (name, found), path in zip(read(some), some, strict=True):
                first = len(readings) < PICTURED
                picture = shown_frame(Path(path), PICTURE_SIDE).data if first else ""
                readings.append(show(name, found, picture))
            go_on()
            size = next_size(len(some), time.monotonic() - begun)
            done = len(readings)
            if done < total:
                line = status(f"Reading: {done} of {total}", done, total)
                yield line, *views(readings, space, below)
    if say:
        yield alert(say[0]), EMPTY, "", None
    elif len(readings) == total:  # who stops it says so
        yield status(read_view.tally(readings)), *views(readings, space, below)


def first_size(trained: bool, side: int | None) -> int:
    """Return how many pictures to read together at first: nothing is known of their time yet.

    What is trained on squares of few pixels (`side`; None: pictures of any size) is quick, and read
    together it gives the shell's numbers to the last digit.
    """
    return READ_AT_ONCE if trained and side is not None and side <= QUICK_SIDE else 1


def next_size(size: int, seconds: float) -> int:
    """Return how many pictures to read together, where so many took so many seconds."""
    if 2 * seconds <= PATIENCE:
        return min(2 * size, READ_AT_ONCE)
    return max(1, size if seconds <= PATIENCE else size // 2)


def stored(paths: Sequence[str]) -> list[StoredImage]:
    """Return uploads by their names alone: where they lie is nobody's business."""
    return [StoredImage(Path(path).name, Path(path).read_bytes) for path in paths]


def views(
    readings: Sequence[Shown], space: LabelSpace | None, below: float | None
) -> tuple[str, str, Results]:
    """Return the first reading as a card, several as a table, and what the page holds of them."""
    first = read_view.card(readings[0], space, below)
    many = read_view.table(readings, 0) if len(readings) > 1 else ""
    return first, many, Results(space, below, list(readings))


def nearest_entries(
    home: Home, reading: UnderstandingOutput | BadInput
) -> tuple[tuple[str, str], ...]:
    """Return (picture, words) of the bank's entries most like a reading; none without a bank."""
    from emosym.memory.places import open_bank

    if isinstance(reading, BadInput) or reading.outside or not home.bank.is_dir():
        return ()
    say: list[str] = []
    with told(say):  # a bank of another model has latents of another size: nothing is near
        bank = open_bank(home.bank)
        return tuple(
            (
                shown_frame(entry.image, THUMBNAIL).data,
                f"asked for {entry.intent}, {alike(cosine)}",
            )
            for entry, cosine in bank.nearest(reading.emotion_latent, NEAREST)
        )
    return ()


def read_once(read: Callable[[], Update]) -> Iterator[Update]:
    """Yield that words are read, then what was read of them, or why they were not."""
    yield status("Reading", None, 1), EMPTY, "", None
    say: list[str] = []
    with told(say):
        yield read()
    if say:
        yield alert(say[0]), EMPTY, "", None


def said_of(pipeline: EmotionPipeline) -> str:
    """Return that words were read, and what their confidence is worth where nobody trained it."""
    about = pipeline.about()
    return status("Read." if about.trained else f"Read. {not_calibrated(about.name)}")


def sentence_read(home: Home, text: str) -> Update:
    """Read one sentence; errors as in `Home.texts`, or where it cannot be read."""
    pipeline = home.texts()
    ((source, found),) = read_texts(pipeline, [text], 1)
    if isinstance(found, BadInput):
        raise UsageError(found.error)
    one = Shown(reading_row(source, found), text.strip())
    return said_of(pipeline), *views([one], pipeline.space, pipeline.abstain_below)


def dialogue_read(home: Home, text: str) -> Update:
    """Read every turn of a dialogue; errors as in `Home.texts`, or where it cannot be read."""
    turns = turns_of(text)
    pipeline = home.texts()
    sample = Sample("dialogue", tuple(Turn(who or None, words) for who, words in turns))
    (found,) = pipeline.read_dialogues([sample])
    if isinstance(found, BadInput):
        raise UsageError(found.error)
    rows = list(dialogue_rows("dialogue", found))
    readings = [Shown(row, f"turn {number}") for number, row in enumerate(rows, 1)]
    drawn = read_view.dialogue(turns, rows)
    results = Results(pipeline.space, pipeline.abstain_below, readings)
    alone = "" if pipeline.about().history else notice(EACH_ALONE)
    return said_of(pipeline) + alone, drawn, "", results


def turns_of(text: str) -> list[tuple[str, str]]:
    """Return (speaker or "", words) of each line that is not empty.

    What stands before a colon is a speaker where it is at most three words.

    Raises:
        UsageError: when there is no line.
    """
    turns = []
    for line in filter(None, map(str.strip, text.splitlines())):
        who, colon, words = line.partition(":")
        named = bool(colon and words.strip() and 0 < len(who.split()) <= MOST_NAMES)
        turns.append((who.strip(), words.strip()) if named else ("", line))
    if not turns:
        raise UsageError(f"There is no turn to read. {HOW_DIALOGUE}")
    return turns
