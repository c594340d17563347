from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tests.memory.makers import entry, provenance

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.memory.schema import (
    arrow_schema,
    check_entry,
    entries_of,
    entropy,
    make_entry,
    to_row,
    utc,
)


def test_scores_follow_from_the_reading() -> None:
    made = entry(0, intent=1, share=0.65)
    assert made.intent == "awe"
    assert made.confidence == pytest.approx(0.65)
    assert made.agreement == pytest.approx(0.65)
    by_hand = -0.65 * math.log(0.65) - 0.35 * math.log(0.05)
    assert made.informativeness == pytest.approx(by_hand, abs=1e-6)
    assert entropy(np.array([1.0, 0.0])) == 0.0


def test_agreement_with_a_mixture_is_the_overlap() -> None:
    mixed = make_entry(
        Image.new("L", (4, 4)),
        {"awe": 3, "fear": 1},
        [0, 0.5, 0, 0, 0, 0, 0.5, 0],
        np.ones(6),
        np.ones((2, 6)),
        np.ones(3),
        provenance(),
        MIKELS8,
    )
    assert mixed.intent == "awe"
    assert mixed.agreement == pytest.approx(0.5 + 0.25)


def test_the_picture_and_the_row_come_back_unchanged() -> None:
    import pyarrow as pa

    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    made = replace(entry(3, picture=pixels, round=2), policies=("admission=published",))
    table = pa.Table.from_pylist([to_row(entry(1)), to_row(made)], schema=arrow_schema(made))
    back = entries_of(table)[1]
    assert (back.width, back.height) == (6, 4)
    np.testing.assert_array_equal(back.pixels(), pixels)
    assert back.context_latents.shape == (2, 6)
    for name in ("emotion_latent", "context_latents", "feature", "probabilities"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
    assert back.policies == made.policies
    assert back.provenance == replace(made.provenance, created="2026-01-02T03:04:05.000000+00:00")


def test_painting_the_same_again_gives_the_same_id() -> None:
    first = entry(0, id=None)
    assert entry(0, id=None, created="2027-01-01T00:00:00Z").id == first.id
    assert entry(0, id=None, round=1).id != first.id


def test_text_order_of_times_is_time_order() -> None:
    assert utc("2026-01-01T01:00:00+02:00") == "2025-12-31T23:00:00.000000+00:00"
    assert utc("2026-01-01T01:00:00Z") > utc("2026-01-01T01:00:00.5+01:00")
    for wrong in ("yesterday", "2026-01-01T00:00:00"):
        with pytest.raises(UsageError, match=wrong):
            utc(wrong)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"id": "../x"}, "id"),
        ({"id": ""}, "id"),
        ({"intent": "joy"}, "amusement"),
        ({"image": b"\x89PNG changed"}, "SHA-256"),
        ({"probabilities": np.full(8, 0.2, np.float32)}, "sum to 1"),
        ({"probabilities": np.full(8, np.nan, np.float32)}, "sum to 1"),
        ({"intent_weights": np.ones(1, np.float32)}, "intent weights"),
        ({"emotion_latent": np.ones(5, np.float32)}, "different widths"),
        ({"context_latents": np.ones(6, np.float32)}, "(K, H)"),
        ({"feature": np.array([np.inf], np.float32)}, "finite"),
        ({"feature": np.zeros(0, np.float32)}, "not empty"),
        ({"confidence": 1.5}, "confidence"),
        ({"agreement": float("nan")}, "agreement"),
        ({"informativeness": float("inf")}, "informativeness"),
        ({"provenance": provenance(created="noon")}, "ISO 8601"),
    ],
)
def test_what_cannot_be_stored_is_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_entry(replace(entry(0), **changes), MIKELS8)  # type: ignore[arg-type]
    assert word in str(caught.value)


def test_names_that_are_no_utf8_are_kept_as_text() -> None:
    made = entry(1, checkpoint="runs/caf\udce9", prompt="a \ud83d", run="\udcff")
    row = to_row(made)
    assert (row["checkpoint"], row["prompt"], row["run"]) == (
        r"runs/caf\udce9",
        r"a \ud83d",
        r"\udcff",
    )
    pa.Table.from_pylist([row], schema=arrow_schema(made))
    old = replace(made, provenance=replace(made.provenance, prompt="\ud83d"))
    assert to_row(old)["prompt"] == r"\ud83d"
