"""One session and many threads: each gets what it would get alone, to the last bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emosym.errors import UsageError
from emosym.models import emosym_model
from emosym.models.painter import painter as painter_module
from emosym.service.session import Session, open_session
from emosym.service.wanted import Wanted
from emosym.types import GenerationOutput, UnderstandingOutput

THREADS = 8


@pytest.fixture(scope="module")
def pictures(tiny_pictures) -> list[Image.Image]:
    return [Image.fromarray(picture) for picture in tiny_pictures.pictures[:6]]


def exact(reading: UnderstandingOutput | None) -> Any:
    assert reading is not None
    return (
        reading.emotion,
        dict(reading.probabilities),
        dict(reading.raw_probabilities),
        reading.in_domain,
        reading.rationale,
        reading.emotion_latent.tobytes(),
        reading.context_latents.tobytes(),
    )


def exact_painting(painting: GenerationOutput) -> Any:
    return painting.image.tobytes(), dict(painting.request), exact(painting.reading)


def work_of(session: Session, pictures: list[Image.Image]) -> list[Callable[[], Any]]:
    """Return calls of every kind: reading, speaking, and painting four ways."""

    def paint(*emotion: Any, **asked: Any) -> Callable[[], Any]:
        def call() -> Any:
            request = session.request(*emotion, num_images=2, num_inference_steps=3, **asked)
            return [exact_painting(painting) for painting in session.paint(request)]

        return call

    return [
        lambda: exact(session.understand(pictures[0])),
        paint("awe", seed=1),
        lambda: exact(session.understand(pictures[1], explain=True)),
        paint({"fear": 0.6, "anger": 0.4}, seed=2, prompt="a {} street", intensity=1.5),
        lambda: [exact(reading) for reading in session.understand_all(pictures[2:])],
        paint(like=pictures[3], seed=3, prompt="{} a city street"),
        lambda: [exact(reading) for _, reading in session.understand_many(pictures, 4)],  # type: ignore[arg-type]
        paint(valence=2.0, arousal=6.0, seed=4, guidance_scale=1.0),
    ]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run calls in as many threads, which begin together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_eight_threads_get_what_one_gets(tiny_checkpoint, pictures) -> None:
    session = open_session(model=str(tiny_checkpoint), device="cpu")
    calls = work_of(session, pictures)
    assert len(calls) == THREADS
    alone = [call() for call in calls]
    for _ in range(3):
        assert at_once(calls) == alone
    turned = calls[3:] + calls[:3]  # and each kind beside itself
    assert at_once([call for call in turned[:4] for _ in range(2)]) == [
        found for found in (alone[3:] + alone[:3])[:4] for _ in range(2)
    ]


def test_zero_shot_threads_get_what_one_gets(tiny_base, pictures) -> None:
    wanted = Wanted(zero_shot=True, preset=str(tiny_base), labels=["joy", "dread"], device="cpu")

    def calls_of(session: Session) -> list[Callable[[], Any]]:
        def paint(emotion: str, seed: int) -> Callable[[], Any]:
            def call() -> Any:
                request = session.request(emotion, seed=seed, num_inference_steps=2)
                return [exact_painting(painting) for painting in session.paint(request)]

            return call

        def read(index: int, explain: bool) -> Callable[[], Any]:
            return lambda: exact(session.understand(pictures[index], explain))

        return [call for i in range(2) for call in (read(i, False), read(i, True), paint("joy", i))]

    first, second = open_session(wanted), open_session(wanted)
    # of the second, all threads come first: it opens its models while they ask
    assert at_once(calls_of(second)) == [call() for call in calls_of(first)]


def test_simultaneous_first_calls_load_once(tiny_checkpoint, pictures, monkeypatch) -> None:
    loaded = []
    real = painter_module.load_painter

    def counted(*arguments: Any, **named: Any) -> Any:
        loaded.append(threading.get_ident())
        return real(*arguments, **named)

    monkeypatch.setattr(painter_module, "load_painter", counted)
    session = open_session(model=str(tiny_checkpoint), device="cpu")
    calls = work_of(session, pictures)
    assert loaded == []
    together = at_once(calls)
    assert len(loaded) == 1
    assert together == [call() for call in calls]


def test_a_first_call_that_fails_leaves_the_next_one_a_chance(tmp_path) -> None:
    tries = []

    def make() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not now")
        return "part"

    part = emosym_model.Once(make)
    with pytest.raises(OSError, match="not now"):
        part()
    assert part.opened is None
    assert part() == part() == part.opened == "part"
    assert len(tries) == 2


def test_what_clashes_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        Wanted(model="storybook", zero_shot=True)
    for name, value in (("preset", "x"), ("labels", ["a"]), ("max_pixels", 4), ("painter", "x")):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} goes with"):
            Wanted(**{name: value})
    with pytest.raises(UsageError, match="Did you mean 'storybook'"):
        open_session(model="storybok")


def test_a_session_says_what_it_can(tiny_checkpoint, tiny_base) -> None:
    trained = open_session(model=str(tiny_checkpoint), device="cpu").about()
    assert trained.trained and trained.can_paint and trained.tells_outside
    assert trained.spaces == ("mikels8",) and trained.takes == {"image"}
    stock = open_session(zero_shot=True, preset=str(tiny_base), device="cpu")
    about = stock.about()
    assert not about.trained and about.can_read and not about.tells_outside
    assert "Which of these emotions" in str(about.reads_by)
    assert (stock.usual().guidance_scale, stock.usual().num_inference_steps) in (
        (3.0, 10),
        (7.5, 30),
    )
    assert np.isfinite(stock.usual().guidance_scale)
