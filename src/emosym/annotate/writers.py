"""Who writes rationales: attributes, a model in this process, a server. Jobs in, outcomes out."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image

from emosym.annotate.answers import Outcome, Verdict, judge_answer
from emosym.annotate.attributes import NOTHING_SAID, blind_attributes, describe_attributes
from emosym.annotate.prompts import reminder
from emosym.data.images import ImageSource, load_image
from emosym.errors import EmoSymError, UsageError

GRACE_SECONDS = 5.0
Speak = Callable[[Sequence[Image.Image], str], list[str]]


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to ask about: `sha256` is that of its file, `index` its place in the run."""

    index: int
    id: str
    image: ImageSource
    sha256: str
    prompt: str


Result = tuple[Job, Outcome]
Writer = Callable[[Iterable[Job]], Iterator[Result]]


def attribute_prompt(attributes: dict[str, Any]) -> str:
    """Return attributes as the text that `write_from_attributes` reads back."""
    return json.dumps(attributes, sort_keys=True, default=str)


def write_from_attributes(jobs: Iterable[Job]) -> Iterator[Result]:
    """Write rationales without a model; a job's prompt is its picture's attributes."""
    for job in jobs:
        text = describe_attributes(blind_attributes(json.loads(job.prompt)))
        if text == NOTHING_SAID:
            reason = "it has no attributes to write from"
            yield job, Outcome(Verdict("refused", None, reason))
        else:
            yield job, Outcome(Verdict("ok", text))


def local_writer(
    speak: Speak,
    batch_size: int,
    workers: int,
    blind: bool = True,
    labels: Sequence[str] = (),
    accept: Callable[[Image.Image, str], None] | None = None,
) -> Writer:
    """Return a writer that shows pictures to `speak(images, prompt) -> texts` in batches.

    A picture that `accept` refuses with a UsageError is unreadable. What cannot be used is asked
    for once more, with what was wrong.
    """

    def answer(shown: list[tuple[Job, Image.Image]]) -> Iterator[Result]:
        asked = [job.prompt for job, _ in shown]
        verdicts = {
            i: judge_answer(said, blind, labels) for i, said in _say(speak, shown, asked).items()
        }
        again = {i: v for i, v in verdicts.items() if v.status in ("malformed", "emotion_word")}
        for i, verdict in again.items():
            asked[i] = reminder(shown[i][0].prompt, str(verdict.reason))
        said_again = _say(speak, shown, asked, list(again))
        verdicts |= {i: judge_answer(said, blind, labels) for i, said in said_again.items()}
        for i, (job, _) in enumerate(shown):
            yield job, Outcome(verdicts[i])

    def write(jobs: Iterable[Job]) -> Iterator[Result]:
        left = iter(jobs)
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            while batch := list(islice(left, batch_size)):
                pictures = list(pool.map(lambda job: _open(job, accept), batch))
                shown = []
                for job, picture in zip(batch, pictures, strict=True):
                    if isinstance(picture, Verdict):
                        yield job, Outcome(picture)
                    else:
                        shown.append((job, picture))
                yield from answer(shown)

    return write


def _say(
    speak: Speak,
    shown: list[tuple[Job, Image.Image]],
    asked: Sequence[str],
    rows: Sequence[int] | None = None,
) -> dict[int, str]:
    """Return what is said of the chosen rows, by row: one call for each different prompt."""
    rows = range(len(shown)) if rows is None else rows
    said: dict[int, str] = {}
    for prompt in dict.fromkeys(asked[i] for i in rows):
        chosen = [i for i in rows if asked[i] == prompt]
        said |= zip(chosen, speak([shown[i][1] for i in chosen], prompt), strict=True)
    return said


def _open(
    job: Job, accept: Callable[[Image.Image, str], None] | None = None
) -> Image.Image | Verdict:
    try:
        picture = load_image(job.image)
        if accept is not None:
            accept(picture, repr(str(job.image)))
        return picture
    except UsageError as error:
        return Verdict("unreadable", None, str(error))


def server_writer(
    ask: Callable[[int, Image.Image, str], Outcome], concurrency: int, stop: threading.Event
) -> Writer:
    """Return a writer that asks about `concurrency` pictures at once, in no fixed order.

    At most that many are open at any time. An error of `ask` ends the run: `stop` is set, answers
    that are on their way are waited for a few seconds, and the error is raised here. The threads
    do not keep a process alive.
    """

    def serve(
        todo: queue.Queue[Job | None], done: queue.Queue[Result | EmoSymError | None]
    ) -> None:
        while (job := todo.get()) is not None:
            found: Result | EmoSymError | None = None  # stays None only for a bug of ours
            try:
                picture = _open(job)
                if isinstance(picture, Verdict):
                    found = job, Outcome(picture)
                else:
                    found = job, ask(job.index, picture, job.prompt)
            except EmoSymError as error:
                found = error
            finally:
                done.put(found)

    def write(jobs: Iterable[Job]) -> Iterator[Result]:
        todo: queue.Queue[Job | None] = queue.Queue()
        done: queue.Queue[Result | EmoSymError | None] = queue.Queue()
        threads = [
            threading.Thread(target=serve, args=(todo, done), daemon=True, name=f"annotate-{i}")
            for i in range(concurrency)
        ]
        left, open_jobs = iter(jobs), 0
        trouble: EmoSymError | None = None
        for thread in threads:
            thread.start()
        try:
            for job in islice(left, concurrency):
                todo.put(job)
                open_jobs += 1
            while open_jobs:
                try:
                    result = done.get(timeout=GRACE_SECONDS if trouble else None)
                except queue.Empty:
                    break
                open_jobs -= 1
                if result is None:
                    raise RuntimeError("a thread of the annotator died; its traceback is above")
                if isinstance(result, EmoSymError):
                    trouble = trouble or result
                    stop.set()
                    continue
                if trouble is None:
                    for job in islice(left, 1):
                        todo.put(job)
                        open_jobs += 1
                yield result
        finally:
            stop.set()
            for _ in threads:
                todo.put(None)
        if trouble is not None:
            raise trouble

    return write
