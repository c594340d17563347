from __future__ import annotations

from dataclasses import replace

import numpy as np

from emosym.service.rows import UNSURE, reading_row, selective
from emosym.service.words import in_words
from emosym.types import BadInput, UnderstandingOutput

NOTHING = np.zeros(0)
READING = UnderstandingOutput(
    *("awe", {"awe": 0.4, "fear": 0.35, "sadness": 0.25}, 0.4, "positive", None, None, None),
    *(None, None, NOTHING, NOTHING),
    rationale="A wide sky.",
    abstains=True,
)


def test_an_unsure_reading_names_nothing_and_keeps_its_shares() -> None:
    row = selective(reading_row("sea.jpg", READING))
    assert row["emotion"] is row["polarity"] is row["rationale"] is None
    assert row["reason"] == UNSURE and row["abstains"] and row["probabilities"]["awe"] == 0.4
    lines = in_words(row, 0.6)
    assert lines[0] == "no answer: 40 % sure; unsure (below 60 %)"
    assert lines[1] == "likeliest: awe 40 %, fear 35 %, sadness 25 %"


def test_other_rows_stay_as_they_are() -> None:
    for abstains in (False, None):
        row = reading_row("sea.jpg", replace(READING, abstains=abstains))
        assert selective(row) == row
    bad = reading_row("x", BadInput("x", "no picture"))
    assert selective(bad) == bad
