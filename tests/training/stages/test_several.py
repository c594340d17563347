"""Several labels at once, end to end at toy size: comments that name things, each with a mood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.training.makers import recipe_of
from tests.training.stages.test_m2se import THINGS, adapted, base, plan

from emosym.config.load import dump_recipe
from emosym.data.dataset import Dataset
from emosym.emotions import LABEL_SPACES, LabelSpace
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.talks import label_marks, read_all_turns, stretch, talks_of
from emosym.models.turn_windows import Span
from emosym.pipelines.trained import EmoSymPipeline
from emosym.training.stages.finish import write_stage
from emosym.training.stages.m2se import add_side_heads, train_m2se
from emosym.training.stages.start import exclusive, space_of_section
from emosym.training.stages.talk_loss import balanced_weights
from emosym.training.stages.talk_values import held_out
from emosym.types import ECPE, MER, TEXT_EMOTION, Turn

__all__ = ("base",)
SPACE = LabelSpace("feelings", ("glee", "dread", "none"), neutral="none", several=True)


def comment(number: int) -> tuple[str, tuple[str, ...]]:
    """One thing of a mood, or one of each, or nothing that is felt."""
    rng = np.random.default_rng(number)
    glee, dread = (THINGS[mood][int(rng.integers(3))] for mood in ("glee", "dread"))
    said = {
        ("glee",): f"Look, the {glee}.",
        ("dread",): f"Look, the {dread}.",
        ("glee", "dread"): f"Look, the {glee}. Look, the {dread}.",
        ("none",): "I see. Hm.",
    }
    labels = list(said)[number % 4]
    return said[labels], labels


def comments(split: str, first: int, count: int) -> Dataset:
    told = [comment(number) for number in range(first, first + count)]
    return Dataset(
        root=Path("nowhere"),
        split=split,
        space=SPACE,
        codes=np.array([SPACE.index(labels[0]) for _, labels in told], dtype=np.int16),
        names=tuple(f"{split} {i}" for i in range(count)),
        images=(),
        annotations=(None,) * count,
        task=TEXT_EMOTION,
        targets=tuple({TEXT_EMOTION: labels} if len(labels) > 1 else {} for _, labels in told),
        conversations=tuple((Turn(text=text),) for text, _ in told),
        places=np.array([(i, 0) for i in range(count)]),
    )


def opened(base: Path) -> EmoSymModel:
    return new_model(resolve_base(str(base), painter="none"), 1, False, "turns", 0, SPACE)


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("several")
    recipe = plan(out, 40, tasks=[TEXT_EMOTION], balance=0.5, rows_at_once=16)
    model = adapted(opened(base), recipe)
    train = talks_of(model.reader, comments("train", 0, 64))
    val = talks_of(model.reader, comments("val", 500, 32))
    rounds = train_m2se(model, train, val, recipe, progress=False).rounds
    held = held_out(model.reader, val)
    told = {SPACE: (held.logits, held.truth)}
    return write_stage(model, recipe, dump_recipe(recipe), told, held.values), rounds, held


@pytest.mark.slow  # a model learns from nothing
def test_both_moods_of_one_comment_are_learned(done) -> None:
    result, rounds, held = done
    assert held.truth.shape == (32, 3) and held.truth.sum(axis=0).tolist() == [16, 16, 8]
    assert [r.step for r in rounds] == [20, 40]
    assert result.values["macro_f1"] == max(r.values["macro_f1"] for r in rounds)
    # one label a comment, the best that an exclusive head could do: glee or dread right, not both
    assert result.values["macro_f1"] > 0.9 and result.values["mean_average_precision"] > 0.9


def test_the_checkpoint_says_all_labels_above_their_thresholds(done) -> None:
    result, _, held = done
    model = load_checkpoint(result.checkpoint)
    assert model.space.several and model.calibration.method == "platt"
    assert model.calibration.n == model.validation["feelings"] == 32
    pipeline = EmoSymPipeline(model)
    data = comments("val", 500, 8)
    readings = pipeline.understand([replace(sample, targets={}) for sample in data])
    by, plus = np.array(model.calibration.scale), np.array(model.calibration.bias)
    shares = 1 / (1 + np.exp(-(held.logits[:8] * by + plus)))
    for reading, row, number in zip(readings, shares, range(500, 508), strict=True):
        assert list(reading.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-4)
        reached = row >= model.calibration.thresholds
        assert set(reading.labels) == {w for w, r in zip(SPACE.labels, reached, strict=True) if r}
        assert reading.emotion == (reading.labels or (SPACE.labels[int(row.argmax())],))[0]
        assert reading.confidence == reading.probabilities[reading.emotion]
        assert set(reading.labels) == set(comment(number)[1])
    nothing = replace(model.calibration, thresholds=(1.0, 1.0, 1.0))
    low = EmoSymPipeline(replace(model, calibrations={"feelings": nothing}))
    one = low.understand(data[0])
    assert one.labels == () and one.emotion == "glee"  # the most probable, which is not said


def test_truths_of_a_turn() -> None:
    assert label_marks(("none", "glee"), 2, SPACE).tolist() == [1, 0, 1]
    assert label_marks("dread", 0, SPACE).tolist() == [0, 1, 0]
    assert label_marks(None, 2, SPACE).tolist() == [0, 0, 1]


def test_truths_stay_beside_their_turns(base) -> None:
    data = comments("train", 0, 4)
    unknown = replace(data, codes=np.array([0, -1, 0, 2], dtype=np.int16))
    joined = replace(
        unknown,
        conversations=(tuple(turns[0] for turns in data.conversations),),
        places=np.array([(0, i) for i in range(4)]),
    )
    reader = opened(base).reader
    (talk,) = talks_of(reader, joined)
    np.testing.assert_array_equal(talk.marks, [[1, 0, 0], [np.nan] * 3, [1, 1, 0], [0, 0, 1]])
    part = stretch(talk, Span(1, 3, 4))
    np.testing.assert_array_equal(part.marks, [[np.nan] * 3, [np.nan] * 3, [0, 0, 1]])
    assert read_all_turns(reader, [part])[0].logits.shape == (3, 3)
    # 2 of 3 glee, 1 of 3 dread and none: (2 / 1) ** 1 where they are true
    assert balanced_weights(SPACE, [talk], 1.0).tolist() == pytest.approx([1.0, 2.0, 2.0])


def test_what_cannot_be_trained(base, tmp_path) -> None:
    model = opened(base)
    train = talks_of(model.reader, comments("train", 0, 4))
    for task in (MER, ECPE):
        with pytest.raises(UsageError, match="train the task 'text_emotion' on them"):
            add_side_heads(model, train, plan(tmp_path, 1, tasks=[task]))
    add_side_heads(model, train, plan(tmp_path, 1, tasks=[TEXT_EMOTION]))
    with pytest.raises(UsageError, match="only the stage m2se trains them"):
        exclusive(SPACE)


def test_a_recipe_names_its_label_space(tmp_path) -> None:
    def space(**data: object) -> LabelSpace | None:
        given = {"source": "goemotions", **data}
        return space_of_section(recipe_of("m2se", tmp_path, data=given).data)

    assert space() == LABEL_SPACES["goemotions28"] and space().several
    assert space(space="goemotions7") == LABEL_SPACES["goemotions7"]
    assert space(space="meld7") == LABEL_SPACES["meld7"]
    with pytest.raises(UsageError, match="Did you mean 'goemotions7'"):
        space(space="goemotion7")
    with pytest.raises(UsageError, match=r"leave out data\.labels"):
        space(space="goemotions7", labels=["a", "b"])
