"""Bandit feedback: what one number says, by hand; nobody but the desk knows a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.makers import ADAPTED, HEAD, TOKENS, metrics, moved, recipe_of, snapshot
from tests.training.makers import tiny_feed as feed_of

from emosym.config.recipes import BanditSection
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.reader.reasoner import Thought
from emosym.processes import Processes
from emosym.training.stages.bandit import (
    Bandit,
    Desk,
    bandit_loss,
    believed,
    clipped_gain,
    confidence_of,
    f1_of_sets,
    hits_in,
    latents_log_probability,
    queries_of,
    set_log_probabilities,
    word_sets,
)
from emosym.training.stages.rl import train_rl

P = torch.tensor([[0.5, 0.3, 0.2]])


def test_answers_their_scores_and_their_chances_by_hand() -> None:
    assert word_sets(3).int().tolist() == [
        *([1, 0, 0], [0, 1, 0], [0, 0, 1]),
        *([1, 1, 0], [1, 0, 1], [0, 1, 1]),
    ]
    third = 2 / 3
    assert f1_of_sets(3)[3:].tolist() == [
        pytest.approx([third, third, 0]),
        pytest.approx([third, 0, third]),
        pytest.approx([0, third, third]),
    ]
    chances = set_log_probabilities(P.log()).exp()
    assert chances[0].tolist() == pytest.approx([0.25, 0.09, 0.04, 0.3, 0.2, 0.12])
    assert (
        float(set_log_probabilities(torch.randn(5, 8)).exp().sum(dim=1).sub(1).abs().max()) < 1e-5
    )
    assert confidence_of(P.log().expand(2, -1), torch.tensor([0, 5])).tolist() == pytest.approx(
        [0.5, 0.5]
    )


def test_what_the_desk_says_by_hand_and_what_it_means() -> None:
    desk = Desk(np.array([0, 2]), 3, 0.0, 1.0, 0)
    answers, sure = torch.tensor([0, 3]), torch.tensor([0.5, 0.8])
    said = desk.answer(0, np.array([0, 1]), answers, sure)
    assert said.tolist() == pytest.approx([1 + 1 - 0.25, 0 + 1 - 0.64])
    assert hits_in(said, answers, sure, 3, 1.0).tolist() == [1.0, 0.0]
    every = torch.arange(6)
    for weight in (0.5, 1.0):
        for true in range(3):
            other = Desk(np.array([true]), 3, 0.0, weight, 0)
            sure = torch.linspace(0.05, 0.95, 6)
            numbers = other.answer(0, np.zeros(6, int), every, sure)
            found = hits_in(numbers, every, sure, 3, weight)
            assert found.tolist() == word_sets(3)[:, true].float().tolist()


def test_a_fifth_of_the_answers_is_about_a_wrong_label() -> None:
    truth = np.arange(8).repeat(1000)
    desk, rows = Desk(truth, 8, 0.2, 1.0, 3), np.arange(8000)
    heard = desk.heard(0, rows)
    assert (heard != truth).mean() == pytest.approx(0.2, abs=0.02)
    counts = np.bincount(heard[(heard != truth) & (truth == 2)], minlength=8)
    assert counts[2] == 0 and counts.sum() > 150 and (np.delete(counts, 2) > 10).all()
    assert (desk.heard(0, rows) == heard).all() and (desk.heard(1, rows) != heard).any()


def test_what_may_be_believed_by_hand() -> None:
    prior = torch.full((1, 3), 1 / 3)
    one = believed(prior, torch.tensor([[0]]), torch.ones(1, 1), 0.2)
    assert one[0].tolist() == pytest.approx([0.8, 0.1, 0.1])
    # {0, 1} missed: were 0 or 1 true, noise alone says so: 1 - (.8 + .2 / 2) = .1; of 2: .8
    pair = believed(prior, torch.tensor([[3]]), torch.zeros(1, 1), 0.2)
    assert pair[0].tolist() == pytest.approx([0.1, 0.1, 0.8])
    both = believed(prior, torch.tensor([[0, 0]]), torch.ones(1, 2), 0.2)
    assert both[0].tolist() == pytest.approx([0.64 / 0.66, 0.01 / 0.66, 0.01 / 0.66])


def test_latents_count_in_full_and_ratios_are_clipped_by_hand() -> None:
    shape = (2, 2, 3)
    nothing = torch.empty(0)
    thought = Thought(torch.ones(shape), torch.zeros(shape), nothing, None, nothing, nothing, 0)  # type: ignore[arg-type]
    assert latents_log_probability(thought, 0.5).tolist() == [pytest.approx(-0.5 * 6 * 4)] * 2
    ratio, gain = torch.tensor([1.5, 0.5]), torch.tensor([1.0, -1.0])
    assert float(clipped_gain(ratio, gain, 0.2)) == pytest.approx((1.2 - 0.8) / 2)


def test_a_table_of_logits_learns_from_numbers_alone() -> None:
    torch.manual_seed(0)
    truth = np.arange(8)
    desk = Desk(truth, 8, 0.2, 1.0, 1)
    logits = torch.zeros(8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for turn in range(60):
        wide = logits.repeat_interleave(8, dim=0)
        sets = set_log_probabilities(wide)
        with torch.no_grad():
            answers = torch.multinomial(sets.exp(), 1)[:, 0]
            sure = confidence_of(wide, answers)
            numbers = desk.answer(turn, truth.repeat(8), answers, sure)
            hits = hits_in(numbers, answers, sure, 8, 1.0)
            belief = believed(logits.softmax(-1), answers.view(8, 8), hits.view(8, 8), 0.2)
            worth = belief @ f1_of_sets(8).T
        loss = -(set_log_probabilities(logits).exp() * worth).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits.argmax(dim=1).numpy() == truth).sum() >= 7


@pytest.fixture
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.mark.parametrize("learner", ["grpo", "exact", "random", "star", "revealed", "labels"])
def test_every_learner_learns_something_from_as_many_queries_as_are_counted(
    model: EmoSymModel,
    tiny_pictures,
    tmp_path: Path,
    learner: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, own = [], Desk.heard

    def heard(desk: Desk, turn: int, rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return own(desk, turn, rows)

    monkeypatch.setattr(Desk, "heard", heard)  # counts, and answers as before
    feed = feed_of(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    section = {"learner": "grpo", "exact": True} if learner == "exact" else {"learner": learner}
    recipe = recipe_of(
        "rl", tmp_path, objective="bandit", bandit=section, num_generations=4, inner_steps=2
    )
    before = snapshot(model)
    train_rl(model, feed, recipe, progress=False)
    assert sum(asked) == queries_of(recipe) and (learner == "labels") == (not asked)
    rows = metrics(tmp_path)
    assert abs(rows[0]["kl"]) < 1e-6
    changed = moved(before, model)
    if learner == "star" and all(row["kept"] == 0 for row in rows):
        return  # nothing was taken for right, so nothing but the reference is learned from
    assert {*ADAPTED, *TOKENS, *HEAD} >= changed >= {*HEAD}
    if learner in ("grpo", "exact", "random"):
        assert rows[0]["ratio"] == pytest.approx(1.0, abs=1e-4)
        assert rows[0]["heard"] == rows[1]["heard"]  # asked once for two steps
    if learner == "random":
        assert 0 <= rows[0]["heard"] <= 1


def test_what_latents_gain_is_weighed(tiny_checkpoint: Path, tiny_pictures, tmp_path: Path) -> None:
    losses, weights = [], []
    for weight in (1.0, 0.0):
        model = load_checkpoint(tiny_checkpoint)
        feed = feed_of(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
        recipe = recipe_of(
            "rl",
            tmp_path / str(weight),
            objective="bandit",
            bandit={"w_latents": weight},
            num_generations=4,
        )
        train_rl(model, feed, recipe, progress=False)
        losses.append(metrics(tmp_path / str(weight))[0]["loss"])
        weights.append(model.reader.tokens.context_embeds.detach().clone())
    assert losses[0] == pytest.approx(
        losses[1], abs=1e-5
    )  # the ratio is 1, the advantages sum to 0
    assert not torch.equal(*weights)  # but their gradients are not


def test_what_cannot_learn_is_a_sentence(tiny_base: Path) -> None:
    plain = new_model(str(tiny_base), 2, False, "emosym", 0).reader.reasoner
    desk = Desk(np.zeros(4, int), 8, 0.2, 1.0, 0)
    with pytest.raises(UsageError, match="needs recurrent context tokens"):
        bandit_loss(
            Bandit(plain, "mikels8", desk, BanditSection(), 0.1, 4, 2, 0.2, 0.1), Processes()
        )
