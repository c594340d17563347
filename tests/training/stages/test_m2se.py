"""Conversations end to end at toy size: every turn's emotion and its cause, from one pass."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.makers import recipe_of
from tests.training.stages.test_text_reader import CONFIGS

from emosym.config.load import dump_recipe
from emosym.data.action_units import UNIT_SPACE
from emosym.data.dataset import Dataset
from emosym.emotions import LabelSpace
from emosym.errors import StoppedEarly, UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base, write_base
from emosym.models.reader.pointer import FARTHEST
from emosym.models.reader.talks import (
    Talk,
    TalkReading,
    alike,
    read_all_turns,
    sentiment_truth,
    stretch,
    talks_of,
    unit_truth,
)
from emosym.models.tokenizer import train_tokenizer
from emosym.models.turn_windows import Span
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_dialogue import read_dialogues
from emosym.tasks.question import QUESTIONS
from emosym.training.stages.finish import write_stage
from emosym.training.stages.losses import class_weights, weighted_cross_entropy
from emosym.training.stages.m2se import (
    add_side_heads,
    set_trainable,
    train_m2se,
)
from emosym.training.stages.talk_loss import batch_loss
from emosym.training.stages.talk_values import cause_scores, held_out
from emosym.types import (
    ECPE,
    FER,
    MER,
    MSA,
    BadInput,
    CausePair,
    DialogueOutput,
    Sample,
    Turn,
    UnderstandingOutput,
)

SPACE = LabelSpace("moods", ("glee", "dread", "none"), neutral="none")
THINGS = {"glee": ("sun", "party", "gift"), "dread": ("storm", "ghost", "knife")}
TASKS = [MER, ECPE, MSA, FER]
FILLERS = ("Well.", "I see.", "Hm.")


def dialogue(number: int) -> tuple[tuple[Turn, ...], list[str], list[CausePair]]:
    """A thing is named, perhaps something is said between, then someone feels it."""
    rng = np.random.default_rng(number)
    label = ("glee", "dread")[number % 2]
    thing = THINGS[label][int(rng.integers(3))]
    turns, labels = [Turn("Ann", f"Look, the {thing}.")], ["none"]
    for _ in range(int(rng.integers(3))):
        turns.append(Turn("Cy", FILLERS[int(rng.integers(3))]))
        labels.append("none")
    turns.append(Turn("Bo", "Oh!"))
    labels.append(label)
    return tuple(turns), labels, [CausePair(len(turns) - 1, label, 0)]


def talk_data(split: str, first: int, count: int) -> Dataset:
    told = [dialogue(number) for number in range(first, first + count)]
    places = [(i, t) for i, (turns, _, _) in enumerate(told) for t in range(len(turns))]
    return Dataset(
        root=Path("nowhere"),
        split=split,
        space=SPACE,
        codes=np.array([SPACE.index(told[i][1][t]) for i, t in places], dtype=np.int16),
        names=tuple(f"{split} {i} {t}" for i, t in places),
        images=(),
        annotations=(None,) * len(places),
        task=MER,
        targets=tuple({ECPE: tuple(p for p in told[i][2] if p.turn == t)} for i, t in places),
        conversations=tuple(turns for turns, _, _ in told),
        places=np.array(places),
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talks") / "base"
    texts = [turn.text or "" for number in range(24) for turn in dialogue(number)[0]]
    tokenizer = train_tokenizer([*texts, *QUESTIONS.values(), "Ann: Bo: Cy:"] * 4, 320)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        import transformers

        model = transformers.AutoModelForCausalLM.from_config(CONFIGS["llama"](len(tokenizer)))
    model.save_pretrained(folder / "reader")
    tokenizer.save_pretrained(folder / "reader")
    write_base(folder, 64, {"seed": 1})
    return folder


def opened(base: Path) -> EmoSymModel:
    found = resolve_base(str(base), painter="none")
    model = new_model(found, 1, True, "turns", 0, SPACE)
    model.reader.reasoner.add_pointer(SPACE, 0)
    return replace(model, causes=SPACE)


def plan(out: Path, steps: int, **changes: Any) -> Any:
    """A recipe that computes a whole batch at once, as a toy can."""
    optim = {"steps": steps, "batch_size": 16, "checkpoint_every": 10, "lr": 5e-3}
    given = {"tasks": [MER, ECPE], "evaluate_every": 20, "rows_at_once": 64, **changes}
    return recipe_of("m2se", out, optim=optim, **given)


def adapted(model: EmoSymModel, recipe: Any) -> EmoSymModel:
    from emosym.training.stages.start import use_lora

    use_lora(model, recipe)
    return model


def with_others(data: Dataset) -> Dataset:
    """Glee is good and smiles, dread is bad; every fifth turn tells nothing."""
    score, units = {"glee": 2.5, "dread": -2.0, "none": 0.0}, {"glee": ("AU06", "AU12")}
    told = []
    for row, code in enumerate(data.codes):
        label = SPACE.labels[code]
        known = {MSA: score[label], FER: units.get(label, ())} if row % 5 else {}
        told.append({**data.targets[row], **known})
    return replace(data, targets=tuple(told))


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory):
    recipe = plan(tmp_path_factory.mktemp("m2se"), 60, tasks=TASKS)
    model = adapted(opened(base), recipe)
    train = talks_of(model.reader, with_others(talk_data("train", 0, 96)), TASKS)
    val = talks_of(model.reader, with_others(talk_data("val", 500, 24)), TASKS)
    add_side_heads(model, train, recipe)
    rounds = train_m2se(model, train, val, recipe, progress=False).rounds
    held = held_out(model.reader, val)
    told = {SPACE: (held.logits, held.truth)}
    return write_stage(model, recipe, dump_recipe(recipe), told, held.values), rounds


@pytest.mark.slow  # a model learns from nothing
def test_it_learns_what_only_the_turns_before_tell(done) -> None:
    result, rounds = done
    assert [r.step for r in rounds] == [20, 40, 60]
    assert result.values["accuracy"] > 0.95 and result.values["macro_f1"] > 0.9
    assert result.values["causes_given_f1"] > 0.9
    assert result.values["causes_found_f1"] > 0.8
    # the cause is never the turn itself, and seldom the one before
    assert result.values["self_previous_given_f1"] < 0.5
    best = max(r.values["weighted_f1"] for r in rounds)
    assert result.values["weighted_f1"] == pytest.approx(best)


def test_without_history_the_feeling_turn_cannot_be_told(base, tmp_path) -> None:
    recipe = plan(tmp_path, 40, history=False, w_causes=0)
    model = replace(opened(base), causes=None)
    model.reader.reasoner.pointer = None
    model = replace(model, reader=replace(model.reader, history=False))
    train, val = (
        talks_of(model.reader, data)
        for data in (talk_data("train", 0, 64), talk_data("val", 500, 32))
    )
    assert all(len(talk.sample.turns) == 1 for talk in train)
    train_m2se(adapted(model, recipe), train, val, recipe, progress=False)
    held = held_out(model.reader, val)
    felt = held.truth != SPACE.index("none")
    assert 0.3 < (held.logits.argmax(1) == held.truth)[felt].mean() < 0.7
    assert "causes_given_f1" not in held.values


def test_the_checkpoint_reads_a_turn_as_training_did(done) -> None:
    result, _ = done
    pipeline = EmoSymPipeline(load_checkpoint(result.checkpoint))
    assert pipeline.about().tasks == tuple(TASKS)
    turns, labels, _ = dialogue(501)
    samples = [Sample(f"t{i}", turns, focus=i) for i in range(len(turns))]
    read = pipeline.understand(samples)
    assert all(isinstance(reading, UnderstandingOutput) for reading in read)
    (talk,) = talks_of(pipeline.model.reader, talk_data("val", 501, 1))
    (whole,) = read_all_turns(pipeline.model.reader, [talk])
    for reading, row in zip(read, whole.emotion, strict=True):
        np.testing.assert_allclose(reading.emotion_latent, row, atol=1e-4)
    one = pipeline.understand(samples[-1])
    assert one.probabilities == pytest.approx(read[-1].probabilities, abs=1e-5)
    found = [SPACE.index(reading.emotion) for reading in read]
    assert whole.logits.argmax(1).tolist() == found
    assert (
        np.mean([reading.emotion == label for reading, label in zip(read, labels, strict=True)])
        > 0.5
    )


def test_a_dialogue_is_read_whole_with_its_causes(done, tmp_path) -> None:
    result, _ = done
    model = load_checkpoint(result.checkpoint)
    turns, labels, causes = dialogue(503)
    long = Sample("long", turns * 20)  # in several stretches
    whole, empty, many = read_dialogues(model, [Sample("d", turns), Sample("none"), long])
    assert isinstance(empty, BadInput) and "no turn" in empty.error
    assert isinstance(whole, DialogueOutput) and isinstance(many, DialogueOutput)
    assert [reading.emotion for reading in whole.readings] == labels
    assert [pair for pair, _ in whole.causes] == causes
    assert all(0.5 <= chance <= 1 for _, chance in whole.causes)
    pipeline = EmoSymPipeline(model)
    for place in (0, len(turns) - 1, 55):
        alone = pipeline.understand(Sample("one", long.turns, focus=place))
        assert many.readings[place].probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert len(many.readings) == len(long.turns)


def test_every_trainable_weight_moves_and_no_other(base, tmp_path) -> None:
    recipe = plan(tmp_path, 3, evaluate_every=3, balance=0.5, focal=1.0)
    model = adapted(opened(base), recipe)
    reasoner = model.reader.reasoner
    before = {n: p.detach().clone() for n, p in reasoner.named_parameters()}
    set_trainable(model)
    trained = {n for n, p in reasoner.named_parameters() if p.requires_grad}
    train = talks_of(model.reader, talk_data("train", 0, 24))
    train_m2se(model, train, train[:8], recipe, progress=False)
    moved = {n for n, p in reasoner.named_parameters() if not torch.equal(p, before[n])}
    assert moved == trained
    assert {n.split(".")[0] for n in trained} == {"backbone", "latent_tokens", "heads", "pointer"}


def test_a_stopped_run_goes_on_to_the_same_numbers(base, tmp_path, monkeypatch) -> None:
    def run(out: Path, deadline: float | None = None):
        recipe = plan(out, 12, evaluate_every=4)
        recipe = recipe.model_copy(
            update={"optim": recipe.optim.model_copy(update={"checkpoint_every": 4})}
        )
        model = adapted(opened(base), recipe)
        train, val = (
            talks_of(model.reader, data)
            for data in (talk_data("train", 0, 24), talk_data("val", 500, 8))
        )
        trained = train_m2se(model, train, val, recipe, False, deadline)
        logits = held_out(model.reader, val).logits
        if trained.best is not None:  # what the weights that were kept say, read once only
            np.testing.assert_array_equal(trained.best[SPACE].logits, logits)
        return trained, logits

    whole, logits = run(tmp_path / "whole")
    assert whole.best is not None
    with pytest.raises(StoppedEarly):
        run(tmp_path / "stopped", time.time())
    again, resumed = run(tmp_path / "stopped")
    assert again.rounds == whole.rounds
    np.testing.assert_array_equal(resumed, logits)
    # a finished one trains no more
    once_more, same = run(tmp_path / "whole")
    assert once_more.rounds == whole.rounds and once_more.best is None
    np.testing.assert_array_equal(same, logits)


def test_it_stops_when_nothing_gets_better(base, tmp_path) -> None:
    recipe = plan(tmp_path, 20, evaluate_every=2, patience=1)
    recipe = recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"lr": 1e-12})})
    model = adapted(opened(base), recipe)
    train = talks_of(model.reader, talk_data("train", 0, 16))
    rounds = train_m2se(model, train, train[:4], recipe, progress=False).rounds
    assert [r.step for r in rounds] == [2, 4]


def test_a_sentiment_lies_between_two_scores() -> None:
    for score, wanted in ((-3.0, [1, 0]), (-2.75, [0.75, 0.25]), (-9.0, [1, 0])):
        space, truth = sentiment_truth(score)
        assert space.name == "sentiment7"
        np.testing.assert_allclose(truth, [*wanted, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(sentiment_truth(3.0)[1], [0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(sentiment_truth(0.0)[1], [0, 0, 0, 1, 0, 0, 0])
    space, truth = sentiment_truth("Negative")
    assert space.name == "sentiment3" and truth.tolist() == [1, 0, 0]
    units, shown = unit_truth(("AU12", "AU06"))
    assert units.several and shown.sum() == 2 and shown[units.index("au06")] == 1


def test_sentiment_and_action_units_have_heads_of_their_own(done, base, tmp_path) -> None:
    result, _ = done
    assert result.values["msa_mae"] < 0.6 and result.values["msa_pearson"] > 0.7
    assert result.values["fer_micro_f1"] > 0.7  # saying both units always: about .3
    again = load_checkpoint(result.checkpoint)
    assert [space.name for space in again.spaces] == ["moods", "action_units", "sentiment7"]
    assert {space.name: space.several for space in again.spaces}["action_units"]
    (whole,) = read_dialogues(again, [Sample("d", dialogue(501)[0])])
    last = whole.others[-1]
    assert sum(last["sentiment7"].values()) == pytest.approx(1)
    assert {unit for unit, share in last["action_units"].items() if share > 0.5} <= {"au06", "au12"}
    model, data = opened(base), talk_data("train", 0, 2)
    recipe = plan(tmp_path, 1, tasks=[MER, FER])
    with pytest.raises(UsageError, match="tell nothing of the task 'fer'"):
        add_side_heads(model, talks_of(model.reader, data, [FER]), recipe)


def test_a_batch_is_its_conversations(base, tmp_path) -> None:
    recipe, model = plan(tmp_path, 1, rows_at_once=2), opened(base)
    model.reader.reasoner.eval()
    talks = talks_of(model.reader, talk_data("train", 0, 6))
    weights = torch.ones(3)
    with torch.no_grad():
        whole = batch_loss(model, talks, recipe, weights)["emotion"]
        each = [batch_loss(model, [talk], recipe, weights)["emotion"] for talk in talks]
    sizes = torch.tensor([float(len(talk.labels)) for talk in talks])
    torch.testing.assert_close(whole, (torch.stack(each) * sizes).sum() / sizes.sum())
    assert sorted(i for group in alike(talks, 4) for i in group) == list(range(6))


def test_a_stretch_knows_nothing_of_its_history() -> None:
    turns, labels = tuple(Turn("Ann", str(number)) for number in range(6)), np.arange(6) % 3
    known = {UNIT_SPACE: np.ones((6, len(UNIT_SPACE)), dtype=np.float32)}
    whole = Talk(Sample("d", turns), labels, np.eye(6, dtype=bool), np.arange(6), known)
    part = stretch(whole, Span(2, 4, 6))
    assert part.sample.turns == turns[2:] and part.first == 2
    assert part.rows.tolist() == [-1, -1, 4, 5] and part.labels.tolist() == [-1, -1, 1, 2]
    np.testing.assert_array_equal(part.causes, np.eye(4, dtype=bool))
    assert np.isnan(part.others[UNIT_SPACE][:2]).all() and (part.others[UNIT_SPACE][2:] == 1).all()


def test_what_cannot_be_trained(base) -> None:
    data = talk_data("train", 0, 4)
    whole = replace(data, places=np.array([(0, -1)] * len(data)))
    with pytest.raises(UsageError, match="needs a data set of dialogues"):
        talks_of(opened(base).reader, whole)


def test_weights_of_rare_classes() -> None:
    counts = torch.tensor([8, 2, 0])
    torch.testing.assert_close(class_weights(counts, 0.0), torch.tensor([1.0, 1.0, 0.0]))
    rare = torch.tensor([4, 1, 1])  # one sample is enough not to be left out
    torch.testing.assert_close(class_weights(rare, 1.0), torch.tensor([0.5, 2.0, 2.0]))
    # 1 / n each, times 10 / 2, so that the mean over the ten samples is 1
    torch.testing.assert_close(class_weights(counts, 1.0), torch.tensor([0.625, 2.5, 0.0]))
    logits, truth = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    weights = torch.tensor([1.0, 3.0])
    loss = weighted_cross_entropy(logits, truth, weights).mean()
    assert float(loss) == pytest.approx(2 * np.log(2))
    focal = weighted_cross_entropy(logits, truth, weights, focus=2.0).mean()
    assert float(focal) == pytest.approx(2 * np.log(2) / 4)


def test_causes_are_scored_beside_a_fixed_answer(base) -> None:
    model = opened(base)
    causes = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    labels = np.array([2, 0, 1])  # none, glee, dread
    talk = Talk(Sample("s", (Turn("A", "x"),) * 3), labels, causes, np.arange(3))
    nothing = np.zeros((3, 32), dtype=np.float32), np.zeros((3, 1, 32), dtype=np.float32)
    with torch.no_grad():  # a pointer that always points to the turn before
        pointer = model.reader.reasoner.pointer
        for parameter in pointer.parameters():
            parameter.zero_()
        pointer.near.weight.fill_(-9.0)[FARTHEST - 1] = 9.0
    values = cause_scores(model.reader, [talk], [TalkReading(np.eye(3)[labels], *nothing)])
    for name in ("given", "found"):
        assert values[f"self_previous_{name}_f1"] == pytest.approx(2 * 2 / (4 + 2))
    # (1, glee, 0) is right, (2, dread, 1) is not; (2, dread, 2) is missed
    assert values["causes_given_f1"] == values["causes_found_f1"] == pytest.approx(2 / 4)
    wrong = cause_scores(model.reader, [talk], [TalkReading(np.eye(3)[[2, 1, 1]], *nothing)])
    assert wrong["causes_given_f1"] == pytest.approx(2 / 4) and wrong["causes_found_f1"] == 0.0
    assert wrong["self_previous_given_f1"] == pytest.approx(2 * 2 / (4 + 2))
    assert wrong["self_previous_found_f1"] == pytest.approx(2 * 1 / (4 + 2))  # (2, dread, 2)
    assert cause_scores(model.reader, [replace(talk, causes=None)], [None]) == {}
    history = replace(talk, rows=np.array([-1, 1, 2]))  # of which neither emotion nor cause counts
    felt = cause_scores(model.reader, [history], [TalkReading(np.eye(3)[[1, 0, 1]], *nothing)])
    assert felt["causes_found_f1"] == pytest.approx(2 / 4)


def test_conversations_keep_their_template(tmp_path) -> None:
    named = plan(tmp_path, 1, latents={"num_context_tokens": 1})
    assert named.latents.template == plan(tmp_path, 1).latents.template == "turns"
    with pytest.raises(UsageError, match="have the template 'turns', not 'emosym'"):
        plan(tmp_path, 1, latents={"template": "emosym"})


def test_evaluations_fall_on_lines_of_the_log(tmp_path) -> None:
    lines = {"steps": 40, "log_every": 20, "checkpoint_every": 20}
    with pytest.raises(UsageError, match=r"evaluate_every \(30\) must be a multiple of log_every"):
        recipe_of("m2se", tmp_path, optim=lines, tasks=[MER], evaluate_every=30)
    once = recipe_of("m2se", tmp_path, optim=lines, tasks=[MER], evaluate_every=50)
    assert once.evaluate_every == 50  # at the end alone
