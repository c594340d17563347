"""Several data sets in one run of `m2se`: pictures beside conversations, each with its own head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.data.dialogue_makers import meld
from tests.training.makers import recipe_of
from tests.training.stages.test_m2se import SPACE, base, opened, plan, talk_data

from emosym.data.dataset import Dataset
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.data.storybook.writer import write_storybook
from emosym.emotions import MIKELS8, LabelSpace, label_space, own_space
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import answering_in, new_model, of_pictures
from emosym.models.reader.reader import prepare_samples
from emosym.models.reader.talks import UNKNOWN, Talk, alike, read_all_turns, read_talks, talks_of
from emosym.pipelines.trained import EmoSymPipeline, space_named
from emosym.training.run import run_recipe
from emosym.training.stages.m2se import Evaluated, deciding, score
from emosym.training.stages.sets import (
    TalkSet,
    as_further,
    check_sets,
    mixed_rows,
    open_set,
    truth_of,
)
from emosym.training.stages.talk_loss import batch_loss, learns_labels
from emosym.training.stages.talk_values import held_out_sets
from emosym.types import ECPE, FER, IMAGE_EMOTION, MER, MSA, TEXT_EMOTION, Sample, Turn

__all__ = ("base",)
MELD7 = label_space("meld7")
MOODS = own_space(["calm", "stirred", "none"])
PICTURES = {"source": "storybook"}


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from([1.0, 2.0, 5.0]),
    st.integers(0, 3),
)
def test_every_row_of_a_set_comes_once_before_any_comes_again(
    counts: list[int], temperature: float, seed: int
) -> None:
    sizes = {f"set {i}": size for i, size in enumerate(counts)}
    rows = mixed_rows(sizes, temperature, seed, 300)
    np.testing.assert_array_equal(mixed_rows(sizes, temperature, seed, 90), rows[:90])
    first = 0
    for size in counts:
        own = rows[(rows >= first) & (rows < first + size)]
        for start in range(0, len(own), size):
            some = own[start : start + size]
            assert len(set(some.tolist())) == len(some)
        first += size
    assert first > rows.max()


def test_sets_are_drawn_by_the_root_of_their_sizes() -> None:
    rows = mixed_rows({"talks": 900, "pictures": 100}, 2.0, 0, 8000)
    assert (rows < 900).mean() == pytest.approx(0.75, abs=0.02)  # 30 to 10
    even = mixed_rows({"talks": 900, "pictures": 100}, 1.0, 0, 8000)
    assert (even < 900).mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"also": [PICTURES]}, r"\[mer, image_emotion\]: name image_emotion in `tasks`"),
        ({"tasks": [MER, IMAGE_EMOTION]}, "no data set holds single pictures: add one"),
        ({"data": PICTURES}, "main data of m2se are conversations, and storybook holds single"),
        (
            {"data": PICTURES, "tasks": [IMAGE_EMOTION], "also": [{"source": "meld"}]},
            "main data of m2se are conversations",
        ),
        (
            {"also": [PICTURES], "tasks": [IMAGE_EMOTION]},
            r"The main data \(meld\) are conversations, and of them no task is named",
        ),
        ({"also": [{"source": "ecf"}]}, "Two data sets of one run have the label space 'meld7'"),
        (
            {"also": [{"source": "oasis"}], "tasks": [MER, IMAGE_EMOTION]},
            "oasis has ratings and no emotions",
        ),
        (
            {"also": [{**PICTURES, "held_out": "x"}], "tasks": [MER, IMAGE_EMOTION]},
            "held_out is for conversations; storybook holds single pictures",
        ),
        (
            {"also": [{**PICTURES, "frames": 2}], "tasks": [MER, IMAGE_EMOTION]},
            "frames is for conversations",
        ),
        (
            {"also": [{"source": "mosei"}], "tasks": [MER, MSA]},
            "The task msa has a head of sentiment3 already",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    given_too = {"data": {"source": "meld", "root": "nowhere"}, "init": "nowhere", **changes}
    recipe = recipe_of("m2se", tmp_path, **given_too)
    with pytest.raises(UsageError, match=told):
        run_recipe(recipe, progress=False)
    good = {**given_too, "also": [{"source": "emorynlp"}], "tasks": [MER, MSA]}
    if "data" not in changes:
        check_sets(recipe_of("m2se", tmp_path, **good))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_dialogues(folder / "talks", {"train": 6, "val": 12, "test": 3}, seed=3, workers=1)
    write_storybook(folder / "pictures", {"train": 12, "val": 44, "test": 9}, 64, 5)
    return folder


def both(drawn: Path, out: Path, base: Path, **changes: Any) -> Any:
    told = {
        "init": str(base),
        "data": {"source": "storybook-dialogues", "root": str(drawn / "talks")},
        "also": [{"source": "storybook", "root": str(drawn / "pictures")}],
        "tasks": [MER, MSA, FER, IMAGE_EMOTION],
        "latents": {"num_context_tokens": 1},
        **changes,
    }
    return recipe_of("m2se", out, **told)


@pytest.fixture(scope="module")
def trained(drawn: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = both(drawn, tmp_path_factory.mktemp("both") / "run", tiny_base)
    return run_recipe(recipe, progress=False)[0]


def test_one_checkpoint_answers_pictures_and_conversations(trained: Path, drawn: Path) -> None:
    values = json.loads((trained.parent / "finished.json").read_text())
    assert {"accuracy", "weighted_f1", "msa_accuracy", "fer_micro_f1"} <= set(values)
    assert {f"{name}_f1 in mikels8" for name in ("weighted", "macro")} <= set(values)
    model = load_checkpoint(trained)
    assert (model.space, model.pictures) == (MELD7, MIKELS8)
    assert {"meld7", "mikels8"} <= set(model.calibrations)
    assert model.validation["mikels8"] == 44 and model.domain is not None
    pipeline = EmoSymPipeline(model)
    assert pipeline.about().takes == {"image", "text", "conversation"}
    place = sorted((drawn / "pictures").rglob("*.png"))[0]
    alone = pipeline.understand(place)
    assert tuple(alone.probabilities) == MIKELS8.labels
    asked = EmoSymPipeline(answering_in(model, MIKELS8)).understand(place)
    assert asked.probabilities == alone.probabilities
    assert pipeline.of_pictures().space == of_pictures(model).space == MIKELS8
    turns = (Turn("Ann", "The kite is lost."), Turn("Bo", "Oh.", frames=(place,)))
    (whole,) = pipeline.read_dialogues([Sample("d", turns)])
    assert [tuple(reading.probabilities) for reading in whole.readings] == [MELD7.labels] * 2
    # a session, whatever it is given, answers each kind by its own head
    mixed = list(pipeline.understand_many([place, Sample("d", turns), place]))
    found = [tuple(reading.probabilities) for _, reading in mixed]
    assert found == [MIKELS8.labels, MELD7.labels, MIKELS8.labels]
    assert space_named(trained, "storybook", drawn) == MIKELS8
    assert space_named(trained, "folder", drawn / "pictures") == MIKELS8
    assert space_named(trained, "storybook-dialogues", drawn) == MELD7
    assert space_named(trained, "storybook", drawn, MELD7.name) == MELD7
    with pytest.raises(UsageError, match=r"label space of this model 'mikels7'.*'mikels8'"):
        space_named(trained, "storybook", drawn, "mikels7")


def test_a_picture_is_trained_on_as_it_is_read(trained: Path, drawn: Path, tmp_path: Path) -> None:
    model = load_checkpoint(trained)
    reader = replace(model.reader, space=MIKELS8)
    recipe = both(drawn, tmp_path, trained)
    one = open_set(reader, recipe, recipe.also[0], further=True)
    assert all(talk.picture and talk.features is not None for talk in one.train)
    assert one.train[0].others[MIKELS8].sum() == 1 and one.train[0].labels.tolist() == [UNKNOWN]
    seen = read_all_turns(reader, one.train[:3])
    bare = read_all_turns(reader, [replace(talk, features=None) for talk in one.train[:3]])
    paths = [talk.sample.images[0] for talk in one.train[:3]]
    for found in (seen, bare):
        for reading, row in zip(EmoSymPipeline(model).understand(paths), found, strict=True):
            np.testing.assert_allclose(reading.emotion_latent, row.emotion[0], atol=1e-4)


def test_a_turn_with_picture_and_words_is_no_picture(trained: Path, drawn: Path) -> None:
    model = load_checkpoint(trained)
    place = sorted((drawn / "pictures").rglob("*.png"))[0]
    turn = Turn("Ann", "My kite!", frames=(place,))
    asked, picture = Sample("t", (turn,), focus=0), Sample("p", (turn,))
    assert picture.is_picture and not asked.is_picture
    pipeline = EmoSymPipeline(model)
    (whole,) = pipeline.read_dialogues([Sample("d", (turn,))])
    read = pipeline.understand([asked, picture])
    assert read[0].probabilities == pytest.approx(whole.readings[0].probabilities, abs=1e-5)
    assert tuple(read[1].probabilities) == MIKELS8.labels
    assert read[1].probabilities == pytest.approx(pipeline.understand(place).probabilities)
    # a data set's own turns, one of them with a picture and words, train as they are read
    data = talk_data("val", 0, 2)
    stored = replace(turn, frames=(Path(place.name),))
    said = ((stored,), (stored, Turn("Bo", "No.")))
    data = replace(data, root=place.parent, space=MELD7, conversations=said)
    data = replace(data, places=np.array([(0, 0), (1, 0), (1, 1)])).subset(range(3))
    talks = talks_of(model.reader, data)
    assert [talk.picture for talk in talks] == [False, False]
    (first, _) = read_all_turns(model.reader, talks)
    np.testing.assert_allclose(first.emotion[0], read[0].emotion_latent, atol=1e-4)
    with pytest.raises(UsageError, match="asked about in other words"):
        prepare_samples(model.reader, [asked, picture])


def test_pictures_and_conversations_share_no_group() -> None:
    talks = [
        Talk(Sample(str(i), (Turn("A", "word " * i),)), np.array([0]), None, np.array([0]))
        for i in range(6)
    ]
    mixed = [replace(talk, picture=bool(i % 2)) for i, talk in enumerate(talks)]
    groups = alike(mixed, 2)
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert all(len({mixed[i].picture for i in group}) == 1 for group in groups)


def moods(split: str, count: int) -> Dataset:
    """The same dialogues under other labels."""
    data = talk_data(split, 0, count)
    codes = np.array([2, 0, 1], dtype=np.int16)[data.codes - 1]
    return replace(data, space=MOODS, codes=codes)


def test_a_set_counts_by_its_rows(base: Path, tmp_path: Path) -> None:
    model, recipe = opened(base), plan(tmp_path, 1, rows_at_once=2)
    model.reader.reasoner.add_head(MOODS, 0)
    model.reader.reasoner.eval()
    main, data = talks_of(model.reader, talk_data("train", 0, 3)), moods("train", 2)
    read = talks_of(replace(model.reader, space=MOODS), data)
    further = [as_further(talk, truth_of(talk, MOODS), MOODS) for talk in read]
    weights = torch.ones(3)
    with torch.no_grad():
        torch.manual_seed(0)
        alone = batch_loss(model, main, recipe, weights)
        told = batch_loss(model, further, recipe, weights)
        torch.manual_seed(0)
        mixed = batch_loss(model, [*main, *further], recipe, weights)
    assert set(told) == {"loss", MOODS.name}
    torch.testing.assert_close(mixed[MOODS.name], told[MOODS.name])
    torch.testing.assert_close(mixed["emotion"], alone["emotion"])
    wanted = 0.6 * (mixed["emotion"] + mixed["causes"]) + 0.4 * mixed[MOODS.name]
    torch.testing.assert_close(mixed["loss"], wanted)
    _, found = read_talks(model.reader, further)
    truth = torch.from_numpy(np.concatenate([data.codes])).long()
    rows = torch.cat([found.emotion[i, : len(t.labels)] for i, t in enumerate(further)])
    loss = torch.nn.functional.cross_entropy(model.reader.reasoner.logits(rows, MOODS), truth)
    torch.testing.assert_close(told[MOODS.name], loss)


def test_what_is_known_of_a_further_set(base: Path) -> None:
    talk = Talk(Sample("d", (Turn(),) * 3), np.array([UNKNOWN, 2, 0]), None, np.arange(3))
    truth = truth_of(talk, MOODS)
    assert np.isnan(truth[0]).all() and truth[1:].tolist() == [[0, 0, 1], [1, 0, 0]]
    moved = as_further(talk, truth, MOODS)
    assert moved.of == MOODS and moved.labels.tolist() == [UNKNOWN] * 3 and moved.causes is None
    assert moved.others[MOODS] is truth and truth_of(moved, MOODS)[1:].size
    # several labels at once
    model = opened(base)
    several = replace(MOODS, name="at_once", several=True)
    model.reader.reasoner.add_head(several, 0)
    data = replace(moods("val", 3), space=several, task=TEXT_EMOTION)
    targets = ({TEXT_EMOTION: several.labels[:2]}, *[{}] * (len(data) - 1))
    reader = replace(model.reader, space=several)
    talks = talks_of(reader, replace(data, targets=targets))
    assert truth_of(talks[0], several)[0].tolist() == [1, 1, 0]
    (held,) = held_out_sets(model.reader, [TalkSet(several, (), (), talks)]).values()
    assert held.logits.shape == held.truth.shape == (len(data), 3)
    assert held.truth[0].tolist() == [1, 1, 0] and "macro_f1" in held.values


def test_the_best_weights_are_best_in_what_is_learned(tmp_path: Path) -> None:
    values = {"weighted_f1": 0.5, "msa_accuracy": 0.9, "fer_micro_f1": 0.7}
    values |= {"weighted_f1 in mikels8": 0.9, "macro_f1 in at_once": 0.1}
    done, several = Evaluated(20, values), replace(MOODS, name="at_once", several=True)

    def found(also: list[LabelSpace], **told: Any) -> float:
        return score(done, deciding(plan(tmp_path, 20, **told), MOODS, also))

    assert found([], tasks=[MER, MSA]) == 0.5
    assert found([], tasks=[MSA, FER]) == pytest.approx(0.8)
    assert found([], tasks=[], spoken={"eri": 1}) == 20
    assert found([MIKELS8, several]) == pytest.approx(0.5)
    assert not learns_labels(plan(tmp_path, 20, tasks=[ECPE]))
    assert learns_labels(plan(tmp_path, 20, data=PICTURES, tasks=[IMAGE_EMOTION]))


def test_tasks_without_the_emotion_leave_its_head_alone(base: Path, tmp_path: Path) -> None:
    model, recipe = opened(base), plan(tmp_path, 1, tasks=[ECPE])
    talks = talks_of(model.reader, talk_data("train", 0, 4))
    model.reader.reasoner.requires_grad_(True)
    losses = batch_loss(model, talks, recipe, torch.ones(3))
    assert set(losses) == {"loss", "causes"}
    losses["loss"].backward()
    assert all(p.grad is None for p in model.reader.reasoner.head(SPACE).parameters())


def test_pictures_alone(drawn: Path, tiny_base: Path, tmp_path: Path) -> None:
    data = {"source": "storybook", "root": str(drawn / "pictures")}
    recipe = both(drawn, tmp_path / "run", tiny_base, data=data, also=[], tasks=[IMAGE_EMOTION])
    model = load_checkpoint(run_recipe(recipe, progress=False)[0])
    assert (model.space, model.pictures) == (MIKELS8, None) and "mikels8" in model.calibrations
    # conversations that come later leave pictures their label space
    again = both(drawn, tmp_path / "again", tmp_path / "run/checkpoint", also=[], tasks=[MER])
    later = load_checkpoint(run_recipe(again, progress=False)[0])
    assert (later.space, later.pictures) == (MELD7, MIKELS8)


def test_a_mixed_run_that_stopped_goes_on_to_the_same_numbers(
    drawn: Path, tiny_base: Path, tmp_path: Path
) -> None:
    import time

    from emosym.errors import StoppedEarly

    optim = {"steps": 4, "checkpoint_every": 2}
    whole, parts = (
        both(
            drawn,
            tmp_path / name,
            tiny_base,
            optim=optim,
            evaluate_every=2,
            tasks=[MER, IMAGE_EMOTION],
        )
        for name in ("whole", "parts")
    )
    _, values = run_recipe(whole, progress=False)
    with pytest.raises(StoppedEarly):
        run_recipe(parts, False, time.time())
    assert run_recipe(parts, progress=False)[1] == values


def test_new_models_answer_pictures_like_anything_else(tiny_base: Path) -> None:
    model = new_model(str(tiny_base), 1, False, "turns", 0, MIKELS8)
    assert of_pictures(model) is model and EmoSymPipeline(model).of_pictures().model is model


def test_turns_whose_clip_cannot_be_shown_are_counted(
    tmp_path: Path, tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = meld(tmp_path)
    meld(root, name="dev_sent_emo.csv")
    (root / "dia0_utt1.mp4").write_bytes(b"damaged")
    data = {"source": "meld", "root": str(root), "frames": 1, "workers": 2}
    recipe = recipe_of("m2se", tmp_path / "run", data=data, tasks=[MER])
    reader = new_model(str(tiny_base), 1, False, "turns", seed=1, space=MELD7).reader
    found = open_set(reader, recipe, recipe.data)
    # of both splits; the other turns' clips are not there, so nothing is asked of them
    assert found.failed == {"damaged": 2}
    assert "Clips of meld that cannot be shown: 2 damaged." in caplog.text
