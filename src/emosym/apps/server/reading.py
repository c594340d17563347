"""From what is asked to rows: pictures decoded apart, then read with those of other callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from emosym.apps.server.bodies import Asked, PictureAsked, TurnAsked
from emosym.apps.server.decoding import Decoders
from emosym.apps.server.limits import Budget, Limits, Refused
from emosym.apps.server.metrics import Metrics
from emosym.apps.server.served import AFFECT, DIALOGUES, PICTURES, TEXTS, Served
from emosym.data.images import square
from emosym.errors import UsageError, unknown_name
from emosym.service.affect_rows import no_words
from emosym.service.batching import Full
from emosym.service.dialogues import dialogue_rows
from emosym.service.rows import Row, reading_row
from emosym.service.texts import EMPTY
from emosym.types import BadInput, DialogueOutput, Sample, Turn

Value = TypeVar("Value")
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """All that reads: models by name, the first one preferred."""

    models: Mapping[str, Served]
    decoders: Decoders
    limits: Limits
    metrics: Metrics
    pixels: Budget

    def pick(self, kind: str, name: str | None) -> Served:
        """Return the model that reads a kind of input: the one named, or the first that can.

        Raises:
            UsageError: when there is none of that name, or none that can.
        """
        wanted = list(self.models.values()) if name is None else [self.named(name)]
        for served in wanted:
            if served.takes(kind):
                return served
        others = [served.name for served in self.models.values() if served.takes(kind)]
        hint = f"ask for {', '.join(others)}" if others else "serve one that does: --model FOLDER"
        which = "No model here reads" if name is None else f"The model {name!r} does not read"
        raise UsageError(f"{which} {kind}: {hint}.")

    def named(self, name: str) -> Served:
        """Return a model by its name; errors as in `pick`."""
        if name not in self.models:
            raise unknown_name("model", name, self.models)
        return self.models[name]

    async def understand(self, asked: Asked) -> dict[str, Any]:
        """Return the rows of all inputs, and which models read them.

        Raises:
            UsageError: when the only input cannot be read, no model reads its kind, or `explain`
                is asked of a model that has no words for why.
            Refused: when there is no room, or the decoding process died.
        """
        kinds = ((PICTURES, asked.pictures), (TEXTS, asked.texts), (DIALOGUES, asked.dialogues))
        models = {kind: self.pick(kind, asked.model) for kind, some in kinds if some}
        if asked.explain and PICTURES in models and models[PICTURES].tells == AFFECT:
            raise UsageError(no_words(models[PICTURES].name, "'explain'"))
        held: list[int] = []
        try:
            parts = await together([self._read(kind, models[kind], asked, held) for kind in models])
        finally:
            self.pixels.give(sum(held))
        for kind, part in zip(models, parts, strict=True):
            bad = sum(row["error"] is not None for row in part)
            self.metrics.inputs.labels(kind, "read").inc(len(part) - bad)
            self.metrics.inputs.labels(kind, "bad").inc(bad)
        rows = [row for part in parts for row in part]
        if asked.inputs == 1 and rows[0]["error"] is not None:
            raise UsageError(rows[0]["error"])
        return {"rows": rows, "models": {kind: one.name for kind, one in models.items()}}

    async def open_picture(
        self, asked: PictureAsked, served: Served, square_too: bool, held: list[int]
    ) -> Image.Image | BadInput:
        """Return a decoded picture that a model takes, or why there is none."""
        if asked.error is not None:
            return BadInput(asked.name, asked.error)
        side = served.side if square_too else None
        try:
            image = await self.decoders.decode(asked.data, repr(asked.name), side)
            if side is None or image.size != (side, side):
                await asyncio.to_thread(served.check, image, repr(asked.name))
                image = image if side is None else square(image, side)
        except UsageError as error:
            return BadInput(asked.name, str(error))
        count = image.width * image.height * CHANNELS
        self.pixels.take(count)
        held.append(count)
        return image

    async def _read(self, kind: str, served: Served, asked: Asked, held: list[int]) -> list[Row]:
        if kind == PICTURES:
            return await self._pictures(served, asked, held)
        if kind == TEXTS:
            return await self._texts(served, asked.texts)
        return await self._dialogues(served, asked, held)

    async def _pictures(self, served: Served, asked: Asked, held: list[int]) -> list[Row]:
        with served.batcher.coming():
            opened = await together(
                [self.open_picture(one, served, True, held) for one in asked.pictures]
            )
            good = [one for one in opened if isinstance(one, Image.Image)]
            read = self._submit(served, (PICTURES, asked.explain), good)
        found = iter(await gathered(read))
        names = [one.name for one in asked.pictures]
        return [
            served.row(name, one if isinstance(one, BadInput) else next(found))
            for name, one in zip(names, opened, strict=True)
        ]

    async def _texts(self, served: Served, texts: Sequence[str]) -> list[Row]:
        good = [Sample(text, (Turn(text=text),)) for text in texts if text.strip()]
        found = iter(await gathered(self._submit(served, TEXTS, good)))
        return [
            reading_row(text, next(found) if text.strip() else BadInput(text, EMPTY))
            for text in texts
        ]

    async def _dialogues(self, served: Served, asked: Asked, held: list[int]) -> list[Row]:
        with served.batcher.coming():
            opened = await together(
                [self._sample(name, turns, served, held) for name, turns in asked.dialogues]
            )
            good = [one for one in opened if isinstance(one, Sample)]
            read = self._submit(served, DIALOGUES, good)
        found = iter(await gathered(read))
        rows: list[Row] = []
        for (name, _), one in zip(asked.dialogues, opened, strict=True):
            told: DialogueOutput | BadInput = one if isinstance(one, BadInput) else next(found)
            rows += dialogue_rows(name, told)
        return rows

    async def _sample(
        self, name: str, turns: Sequence[TurnAsked], served: Served, held: list[int]
    ) -> Sample | BadInput:
        """Return a dialogue with its pictures decoded; one that cannot be read spoils it."""
        made = []
        for turn in turns:
            frames: tuple[Image.Image, ...] = ()
            if turn.picture is not None:
                found = await self.open_picture(turn.picture, served, False, held)
                if isinstance(found, BadInput):
                    return BadInput(name, found.error)
                frames = (found,)
            made.append(Turn(turn.speaker, turn.text, frames))
        return Sample(name, tuple(made))

    def _submit(self, served: Served, kind: Hashable, items: Sequence[Any]) -> list[Any]:
        try:
            return list(served.batcher.submit(kind, items))
        except Full as full:
            raise Refused(429, "Too many inputs wait: try again.", full.seconds) from None


async def gathered(futures: Sequence[Any]) -> list[Any]:
    """Wait for futures of a batcher; to be cancelled cancels them."""
    if len(futures) == 1:
        return [await asyncio.wrap_future(futures[0])]
    return list(await asyncio.gather(*(asyncio.wrap_future(future) for future in futures)))


async def together(work: Sequence[Coroutine[Any, Any, Value]]) -> list[Value]:
    """Run coroutines at once; when one fails, the others are ended before its error goes on."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_time(
    work: Coroutine[Any, Any, Value], seconds: float, gone: Callable[[], Coroutine[Any, Any, None]]
) -> Value:
    """Return what `work` gives, unless it takes too long, or the caller is `gone` before.

    Raises:
        Refused: 504 or 499.
    """
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        done, _ = await asyncio.wait(
            {task, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if task in done:
            return task.result()
    finally:
        task.cancel()
        left.cancel()
        await asyncio.gather(task, left, return_exceptions=True)
    if left in done:
        raise Refused(499, "The caller left before the answer.")
    raise Refused(504, f"This was not answered within {seconds:g} s: send less, or try again.", 1)
