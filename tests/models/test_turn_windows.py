"""Where long conversations are cut: by hand, for any sizes, and with real tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.reader.test_text_models import SMALL, write_model
from transformers import LlamaConfig

from emosym.models.reader.backbone import open_chat
from emosym.models.render_turns import render_turns
from emosym.models.turn_windows import HISTORY, MOST_TURNS, Span, fit, spans_of, until_focus
from emosym.types import Sample, Turn

ASKED = "What does each speaker feel?"


def test_spans_by_hand() -> None:
    assert spans_of([], 10) == ()
    assert spans_of([3, 3, 3], 10) == (Span(0, 0, 3),)
    # room 10, so 3 for history: one turn of it, and two new ones
    assert spans_of([3, 3, 3, 3, 3, 3], 10) == (Span(0, 0, 3), Span(2, 3, 5), Span(4, 5, 6))
    # a turn that is larger than the room is read alone
    assert spans_of([20, 1, 20], 10) == (Span(0, 0, 1), Span(1, 1, 2), Span(1, 2, 3))
    many = spans_of([0] * (MOST_TURNS + 5), 10)
    assert many[1] == Span(MOST_TURNS - HISTORY, MOST_TURNS, MOST_TURNS + 5)


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_every_turn_is_new_once_and_later_ones_do_not_matter(sizes: list[int], room: int) -> None:
    spans = spans_of(sizes, room)
    new = [turn for span in spans for turn in range(span.new, span.stop)]
    assert new == list(range(len(sizes)))
    for span in spans:
        assert span.stop - span.first <= MOST_TURNS and span.new - span.first <= HISTORY
        assert sum(sizes[span.first : span.stop]) <= room or span.stop == span.new + 1
    for count in range(len(sizes)):
        cut = spans_of(sizes[: count + 1], room)[-1]
        whole = next(span for span in spans if span.new <= count < span.stop)
        assert (cut.first, cut.new) == (whole.first, whole.new)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("windows") / "reader"
    return open_chat(write_model(folder, LlamaConfig(**{**SMALL, "max_position_embeddings": 160})))


def test_every_stretch_fits_the_model(chat) -> None:
    turns = tuple(Turn("Ann", f"joy and fear {number}") for number in range(40))
    spare = 10
    fitted = fit(chat, Sample("d", turns), ASKED, spare)
    assert fitted.cut == 0 and len(fitted.spans) > 2
    for span in fitted.spans:
        part = Sample("d", fitted.sample.turns[span.first : span.stop])
        width = render_turns(chat, [part], ASKED).inputs["input_ids"].shape[1]
        assert width <= 160 - spare
    for focus in (0, 20, 39, None):
        alone = until_focus(fit(chat, Sample("d", turns, focus), ASKED, spare))
        last = 39 if focus is None else focus
        assert alone.turns[-1] == turns[last]
        assert render_turns(chat, [alone], ASKED).inputs["input_ids"].shape[1] <= 160 - spare


def test_the_beginning_of_a_long_turn_is_read(chat) -> None:
    long = Sample("d", (Turn("Ann", "fear " * 30_000), Turn("Bo", "joy")))
    fitted = fit(chat, long, ASKED, 10)
    assert fitted.cut == 1 and fitted.sample.turns[1] == long.turns[1]
    kept = str(fitted.sample.turns[0].text)
    assert str(long.turns[0].text).startswith(kept) and 10 < len(kept) < 400
    part = replace(fitted.sample, turns=fitted.sample.turns[:1])
    assert render_turns(chat, [part], ASKED).inputs["input_ids"].shape[1] <= 150
