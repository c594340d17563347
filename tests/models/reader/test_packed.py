"""Comments in one row are read as each would be in a row of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.training.stages.test_m2se import SPACE, base

from emosym.models.emosym_model import new_model
from emosym.models.presets import resolve_base
from emosym.models.reader import packed
from emosym.models.reader.talks import Talk, read_all_turns, read_talks
from emosym.types import Sample, Turn

__all__ = ("base",)
COMMENTS = ("Look, the sun.", "Oh!", "A ghost. I see.", "Look, the sun. Look, the storm.", "Oh!")


def comment(text: str) -> Talk:
    return Talk(Sample(text, (Turn(text=text),)), np.zeros(1, dtype=int), None, np.zeros(1))


@pytest.mark.parametrize(("recurrent", "tokens"), [(False, 1024), (True, 1024), (False, 70)])
def test_no_comment_sees_another(base: Path, recurrent: bool, tokens: int, monkeypatch) -> None:
    monkeypatch.setattr(packed, "TOKENS", tokens)
    model = new_model(resolve_base(str(base), painter="none"), 2, recurrent, "turns", 0, SPACE)
    reader, talks = model.reader, [comment(text) for text in COMMENTS]
    assert packed.can_pack(reader.chat, [talk.sample for talk in talks])
    assert not packed.can_pack(reader.chat, [talks[0].sample])  # nothing is shared
    two = Sample("two", (Turn("A", "Oh!"), Turn("B", "Hm.")))
    assert not packed.can_pack(reader.chat, [talks[0].sample, two])
    together = read_all_turns(reader, talks)
    for talk, found in zip(talks, together, strict=True):
        (alone,) = read_all_turns(reader, [talk])
        np.testing.assert_allclose(found.logits, alone.logits, atol=1e-5)
        np.testing.assert_allclose(found.emotion, alone.emotion, atol=1e-5)
        np.testing.assert_allclose(found.context, alone.context, atol=1e-5)
    assert np.abs(together[0].emotion - together[2].emotion).max() > 1e-3
    there, latents = read_talks(reader, talks)
    assert there.shape == (5, 1) and latents.context.shape[:3] == (5, 1, 2)


def test_rows_share_their_beginning_once(base: Path) -> None:
    model = new_model(resolve_base(str(base), painter="none"), 1, False, "turns", 0, SPACE)
    rows = [[7, 8, 9, 10], [7, 8, 9, 10], [7, 8, 9, 11, 12]]
    turns = packed.read_packed(model.reader.reasoner, rows)
    # 7 8 9, then 10, 10, and 11 12
    assert turns.until[0].int().tolist() == [
        *([1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 0, 1, 1]),
    ]
    assert turns.positions.tolist() == [[4, 4, 5]] and bool(turns.there.all())
    assert list(map(len, packed.packs([[1] * 600, [1] * 500, [1] * 3000, [1]]))) == [1, 1, 1, 1]
