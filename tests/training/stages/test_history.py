"""Whether turns are read with those before them: learned, kept with the model, and followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.training.stages.test_m2se import SPACE, base, dialogue, opened, talk_data

from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.reader.talks import talks_of
from emosym.pipelines.trained import EmoSymPipeline
from emosym.training.stages.sets import TalkSet, reads_history
from emosym.types import Sample

__all__ = ("base",)


def test_taught_single_turns_it_reads_single_turns_for_ever(base: Path, tmp_path: Path) -> None:
    """Saved and opened too: in a dialogue, and for a turn in focus."""
    model = opened(base)
    one, two = (talk_data("train", 0, count) for count in (1, 2))
    single = [
        replace(t, sample=replace(t.sample, turns=t.sample.turns[:1]))
        for t in talks_of(model.reader, one)
    ]
    whole = TalkSet(SPACE, (), talks_of(model.reader, two), ())
    assert reads_history(model.reader, [whole])
    assert not reads_history(model.reader, [replace(whole, train=tuple(single))])
    assert reads_history(model.reader, [whole, replace(whole, train=tuple(single))])
    assert reads_history(model.reader, [replace(whole, train=())])
    taught = replace(model, reader=replace(model.reader, history=False))
    assert not reads_history(taught.reader, [whole])
    save_checkpoint(taught, tmp_path / "taught")
    pipeline = EmoSymPipeline(load_checkpoint(tmp_path / "taught"))
    assert not pipeline.about().history and EmoSymPipeline(model).about().history
    turns, _, _ = dialogue(501)
    (found,) = pipeline.read_dialogues([Sample("all", turns)])
    each = pipeline.read_dialogues([Sample("one", (turn,)) for turn in turns])
    focused = pipeline.understand([Sample("f", turns, focus=n) for n in range(len(turns))])
    (before,) = EmoSymPipeline(model).read_dialogues([Sample("all", turns)])
    for number, reading in enumerate(found.readings):
        wanted = each[number].readings[0].probabilities
        assert reading.probabilities == pytest.approx(wanted, abs=1e-5)
        assert focused[number].probabilities == pytest.approx(wanted, abs=1e-5)
    last = before.readings[-1].probabilities
    assert last != pytest.approx(found.readings[-1].probabilities, abs=1e-4)
