"""Stage 2: the reference is numbers, the first step is on it, and each objective is its formula."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.makers import (
    ADAPTED,
    HEAD,
    TOKENS,
    count_calls,
    metrics,
    moved,
    recipe_of,
    snapshot,
    tiny_feed,
)

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.reader.prefix import language_model
from emosym.models.reader.reasoner import EmotionReasoner, think
from emosym.models.reader.recompute import CheckpointedLayer
from emosym.processes import Processes
from emosym.rewards.labels import combined_reward
from emosym.training.stages import latent_policy, rl
from emosym.training.stages.feed import Feed
from emosym.training.stages.latent_policy import (
    Actions,
    draw_actions,
    group_scorer,
    log_probability,
)
from emosym.training.stages.objectives import GroupScores, group_advantages
from emosym.training.stages.read_all import read_all
from emosym.training.stages.rl import loss_of_recipe, run_rl, train_rl, with_shuffled_labels

OBJECTIVES = ("expected", "parity", "grpo", "supervised")
KINDS = {"num_generations": 4, "inner_steps": 2}


@pytest.fixture
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    return tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_moves_and_where_it_starts(
    model: EmoSymModel, feed: Feed, tmp_path: Path, objective: str, bf16: bool
) -> None:
    recipe = recipe_of(
        "rl", tmp_path, objective=objective, optim={"steps": 4, "bf16": bf16}, **KINDS
    )
    calls: list[str] = []
    count_calls(model.reader.reasoner.backbone.model.visual, calls, "vision")
    before = snapshot(model)
    train_rl(model, feed, recipe, progress=False)
    assert moved(before, model) == {*ADAPTED, *TOKENS, *HEAD}
    assert calls == []
    assert not any(p.requires_grad for p in model.reader.reasoner.parameters())
    rows = metrics(tmp_path)
    # the rows of a batch stand in another order than when the reference was read: rounding
    assert abs(rows[0]["kl"]) < (1e-5 if bf16 else 1e-7)
    assert rows[-1]["kl"] > 1e-5
    if objective == "grpo":
        ratios = [row["ratio"] for row in rows]
        assert ratios[0] == ratios[2] == pytest.approx(1.0, abs=1e-6)  # drawn anew
        assert abs(ratios[1] - 1.0) > 1e-6  # the policy moved away from where it drew
        assert rows[0]["reward"] == rows[1]["reward"]  # the same actions
        assert [row["step"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_reference_is_a_table_of_numbers_and_never_a_second_model(
    model: EmoSymModel, feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    def reasoners() -> int:
        return sum(issubclass(type(o), EmotionReasoner) for o in gc.get_objects())

    gc.collect()
    alive, seen = reasoners(), []
    wanted = read_all(feed).logits
    real = rl.loss_of_recipe

    def watched(recipe, given, train, reference, *more):
        assert given is model.reader
        loss_fn = real(recipe, given, train, reference, *more)

        def inner(step: int, indices: np.ndarray):
            losses = loss_fn(step, indices)
            seen.append((reference, reasoners()))
            return losses

        return inner

    monkeypatch.setattr(rl, "loss_of_recipe", watched)
    recipe = recipe_of("rl", tmp_path, objective=objective, optim={"steps": 2}, **KINDS)
    train_rl(model, feed, recipe, progress=False)
    assert len(seen) == 2
    for reference, count in seen:
        assert reference.shape == (8, 8) and not reference.requires_grad
        torch.testing.assert_close(reference, wanted, atol=1e-5, rtol=1e-4)  # and it stays
        assert count == alive


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_on_the_references_own_batch_kl_is_exactly_0(
    model: EmoSymModel, feed: Feed, tmp_path: Path, objective: str
) -> None:
    recipe = recipe_of("rl", tmp_path, objective=objective, **KINDS)
    reference = read_all(feed, 4).logits
    losses = loss_of_recipe(recipe, model.reader, feed, reference, Processes())(0, np.arange(4))
    assert float(losses["kl"].detach()) == 0.0


def loss_of(objective: str, model: EmoSymModel, feed: Feed, tmp_path: Path, **changes):
    """The losses of one batch, with a reference that is not the policy."""
    recipe = recipe_of("rl", tmp_path, objective=objective, **{**KINDS, **changes})
    reference = read_all(feed).logits.roll(1, dims=1)
    loss_fn = loss_of_recipe(recipe, model.reader, feed, reference, Processes())
    indices = np.array([5, 1, 6])
    probabilities = read_all(feed).logits[indices].double().softmax(-1).numpy()
    kl = (probabilities * (np.log(probabilities) - np.log(np.roll(probabilities, 1, 1)))).sum(1)
    return loss_fn(0, indices), probabilities, feed.truth[indices], kl.mean()


def test_expected_is_its_formula(model: EmoSymModel, feed: Feed, tmp_path: Path) -> None:
    """What the probabilities themselves earn, in the published blend, is held fixed."""
    rewards = {"vad": 1.0, "accuracy": 0.5, "parity_blend": 2.0}
    changes = {"rewards": rewards, "proper_weight": 0.7, "beta": 0.3}
    losses, p, truth, kl = loss_of("expected", model, feed, tmp_path, **changes)
    norms = np.array(MIKELS8.norms())
    gaps = np.linalg.norm(norms[:, None] - norms[None], axis=-1)
    earned = (1 - gaps / gaps.max() + (0.5 + 2 * 0.3) * np.eye(8))[truth] + 2 * 0.7 * p
    gain = (p * earned).sum(1).mean()
    brier = ((p - np.eye(8)[truth]) ** 2).sum(1).mean()
    assert float(losses["reward"]) == pytest.approx(gain, rel=1e-4)
    assert float(losses["kl"]) == pytest.approx(kl, rel=1e-3)
    assert float(losses["loss"]) == pytest.approx(-gain + 0.7 * brier + 0.3 * kl, rel=1e-4)


def test_parity_is_the_published_formula(model: EmoSymModel, feed: Feed, tmp_path: Path) -> None:
    losses, p, truth, kl = loss_of("parity", model, feed, tmp_path)
    chosen = p[np.arange(3), truth]
    blend = 0.3 * (p.argmax(1) == truth) + 0.7 * chosen
    beta = 0.05 if kl > 0.5 else 0.2 if kl < 0.1 else 0.1
    wanted = -np.log(chosen).mean() - (blend * chosen).mean() + beta * kl
    assert float(losses["loss"]) == pytest.approx(wanted, rel=1e-4)


def test_supervised_is_cross_entropy(model: EmoSymModel, feed: Feed, tmp_path: Path) -> None:
    losses, p, truth, kl = loss_of("supervised", model, feed, tmp_path)
    assert float(losses["loss"]) == pytest.approx(-np.log(p[np.arange(3), truth]).mean(), rel=1e-4)
    assert float(losses["kl"]) == pytest.approx(kl, rel=1e-3)


def test_shuffled_labels_are_those_of_other_pictures(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    wrong = with_shuffled_labels(feed, 3)
    assert sorted(wrong.truth) == sorted(feed.truth) and (wrong.truth != feed.truth).any()
    assert np.array_equal(wrong.targets.argmax(1).numpy(), wrong.truth)
    assert np.array_equal(with_shuffled_labels(feed, 3).truth, wrong.truth)
    seen: list[np.ndarray] = []
    kept = rl.loss_of_recipe

    def watched(recipe, reader, train, *more):
        seen.append(train.truth)
        return kept(recipe, reader, train, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl, "loss_of_recipe", watched)
        train_rl(model, feed, recipe_of("rl", tmp_path, shuffled_labels=True, seed=3), False)
    assert np.array_equal(seen[0], wrong.truth)


def test_grpo_is_its_formula_at_the_first_inner_step(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    """All ratios are 1, so the policy term is -mean(advantage), which is 0 in every group."""
    changes = {"proper_weight": 0.7, "beta": 0.3}
    torch.manual_seed(0)
    losses, p, truth, kl = loss_of("grpo", model, feed, tmp_path, **changes)
    brier = ((p - np.eye(8)[truth]) ** 2).sum(1).mean()
    assert float(losses["ratio"]) == pytest.approx(1.0, abs=1e-6)
    assert float(losses["loss"]) == pytest.approx(0.7 * brier + 0.3 * kl, rel=1e-3)


def test_expected_reward_rises(model: EmoSymModel, feed: Feed, tmp_path: Path) -> None:
    optim = {"steps": 15, "batch_size": 8, "lr": 3e-3, "checkpoint_every": 15}
    train_rl(model, feed, recipe_of("rl", tmp_path, optim=optim), progress=False)
    rows = metrics(tmp_path)
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.05
    assert rows[-1]["brier"] < rows[0]["brier"]


@torch.no_grad()
def test_drawn_actions_given_back_have_the_probability_they_were_drawn_with(
    model: EmoSymModel, feed: Feed
) -> None:
    reasoner = model.reader.reasoner
    rows = torch.arange(3).repeat_interleave(4)
    prefix = feed.prefix(np.arange(3)).select(rows)
    truth = torch.from_numpy(feed.truth[:3])[rows]
    torch.manual_seed(1)
    actions = draw_actions(
        reasoner,
        prefix,
        truth,
        "mikels8",
        partial(combined_reward, {"accuracy": 1.0}, space=MIKELS8),
        sigma=0.3,
        group_size=4,
        processes=Processes(),
        total=3,
    )
    assert torch.equal(actions.rewards, (actions.answers == truth).float())
    assert torch.equal(actions.advantages, group_advantages(actions.rewards, 4))
    thought = think(reasoner, prefix, given=actions.latents)
    logits = reasoner.logits(thought.emotion_latent)
    again = log_probability(thought, logits, actions.answers, 0.3)
    assert torch.equal(again, actions.log_probability)
    # by hand: the latents' mean squared deviation, and the answer's log probability
    away = (thought.context_latents - thought.context_means) / 0.3
    assert float(away.std()) == pytest.approx(1.0, abs=0.1)
    wanted = (
        -0.5 * away.square().mean((1, 2)) + logits.log_softmax(1)[torch.arange(12), actions.answers]
    )
    torch.testing.assert_close(again, wanted)


def test_grpo_draws_are_of_the_groups_own_batch(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    """Parts of an accumulated batch have their own actions, even where they start alike."""
    recipe = recipe_of("rl", tmp_path, objective="grpo", **KINDS)
    reference = read_all(feed).logits
    loss_fn = loss_of_recipe(recipe, model.reader, feed, reference, Processes())
    for indices in ([0, 1], [0, 2, 3], [0, 1]):
        loss_fn(0, np.array(indices))
    loss_fn(2, np.array([0, 3]))


@torch.no_grad()
def test_actions_serve_their_steps_and_are_weighed_by_the_policy_now(
    model: EmoSymModel, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasoner, drawn, drawing = model.reader.reasoner, list[Actions](), latent_policy.draw_actions
    monkeypatch.setattr(
        latent_policy, "draw_actions", lambda *a: drawn.append(drawing(*a)) or drawn[-1]
    )
    scored: list[torch.Tensor] = []

    def score(shares: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        scored.append(shares)
        return combined_reward({"accuracy": 1.0}, shares, truth, MIKELS8)

    scores = group_scorer(reasoner, "mikels8", score, 0.3, 4, 2, Processes())
    batch, part = np.array([0, 1, 2]), np.array([1, 4])

    def at(step: int, rows: np.ndarray) -> GroupScores:
        return scores(step, rows, feed.prefix(rows), torch.from_numpy(feed.truth[rows]))

    torch.manual_seed(1)
    first = at(0, batch)
    (actions,) = drawn
    truth = torch.from_numpy(feed.truth[batch]).repeat_interleave(4)
    assert torch.equal(first.rewards, (actions.answers == truth).float())
    assert torch.equal(first.advantages, actions.advantages)
    torch.testing.assert_close(first.ratio, torch.ones(12))
    prefix = feed.prefix(batch).select(torch.arange(3).repeat_interleave(4))
    before = reasoner.logits(think(reasoner, prefix, given=actions.latents).emotion_latent)
    torch.testing.assert_close(scored, [before.softmax(1)])
    # the policy moves: the first label is likelier, latents are as likely as they were
    one = torch.eye(8)[0]
    reasoner.head(MIKELS8).net[2].bias += one
    second = at(1, batch)
    moved_by = (before + one).log_softmax(1) - before.log_softmax(1)
    wanted = moved_by[torch.arange(12), actions.answers].exp()
    torch.testing.assert_close(second.ratio, wanted, atol=1e-5, rtol=1e-4)
    assert len(drawn) == 1 and torch.equal(second.rewards, first.rewards)
    # each part of a batch has its own actions, for two steps, and no longer
    for step, rows, count in (
        *((1, part, 2), (1, batch, 2), (0, part, 2)),
        *((2, batch, 3), (2, part, 4), (3, batch, 4), (3, part, 4)),
        *((1, batch, 5), (2, part, 6)),
    ):
        at(step, rows)
        assert len(drawn) == count, (step, rows)


@pytest.mark.parametrize(("objective", "repeat"), [("grpo", 2), ("expected", 1)])
def test_what_the_loop_is_asked_for(
    model: EmoSymModel,
    feed: Feed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
    repeat: int,
) -> None:
    """What is trained and how, seen by the loop; the loop itself has tests of its own."""
    wanted: list[list[int]] = []
    monkeypatch.setattr(Feed, "want", lambda self, rows: wanted.append(rows.tolist()))
    reasoner = model.reader.reasoner

    def loop(settings, modules, optimizers, schedule, size, loss_fn, processes, progress, ahead):
        assert (settings.name, settings.repeat, settings.out) == (
            f"rl-{objective}",
            repeat,
            tmp_path,
        )
        assert settings.deadline == 12.0 and size == 8 and progress is False
        assert list(modules.values()) == [reasoner] and set(modules) == {"reasoner"}
        assert not reasoner.training
        trained = {n for n, p in reasoner.named_parameters(prefix="reasoner") if p.requires_grad}
        assert trained == {*ADAPTED, *TOKENS, *HEAD}
        (optimizer,) = optimizers
        assert {group["lr"] for group in optimizer.param_groups} == {0.01}
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.25}
        assert schedule(0.1) == pytest.approx(0.25) and schedule(0.4) == pytest.approx(1.0)
        wanted.clear()  # of what was read before
        ahead(3, np.array([5, 2]))
        assert set(loss_fn(0, np.array([0, 1]))) >= {"loss", "kl", "reward"}
        return {"loss": 1.5}

    monkeypatch.setattr(rl, "run_loop", loop)
    optim = {"warmup": 0.4, "weight_decay": 0.25}
    recipe = recipe_of("rl", tmp_path, objective=objective, optim=optim, **KINDS)
    assert train_rl(model, feed, recipe, False, 12.0) == {"loss": 1.5}
    assert wanted == [[5, 2]]
    assert not any(p.requires_grad for p in reasoner.parameters())


def test_requests_that_cannot_work(
    model: EmoSymModel, feed: Feed, tiny_base: Path, tiny_pictures, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Did you mean 'accuracy'"):
        train_rl(model, feed, recipe_of("rl", tmp_path, rewards={"acuracy": 1.0}), progress=False)
    fixed = {
        "supervised": "learns from the labels themselves",
        "parity": "reward is fixed, the published blend",
        "bandit": "reward is fixed, F1 of the words and the confidence's Brier score",
    }
    for objective, reason in fixed.items():
        recipe = recipe_of("rl", tmp_path, objective=objective, rewards={"vad": 1.0})
        told = rf"objective={objective} takes no rewards \(its? {reason}\), got vad"
        with pytest.raises(UsageError, match=told):
            train_rl(model, feed, recipe, progress=False)
    plain = new_model(str(tiny_base), 2, False, "emosym", 0)
    its = tiny_feed(plain.reader, tiny_pictures.pictures[:4], tiny_pictures.labels[:4])
    with pytest.raises(UsageError, match="grpo needs recurrent context tokens"):
        train_rl(plain, its, recipe_of("rl", tmp_path, objective="grpo"), progress=False)


def test_from_checkpoint_to_checkpoint(
    tiny_checkpoint: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    data = {"root": str(tiny_storybook), "workers": 1}
    optim = {"bf16": True, "gradient_checkpointing": True}
    recipe = recipe_of("rl", tmp_path, init=str(tiny_checkpoint), data=data, optim=optim)
    result = run_rl(recipe, progress=False)
    layers = language_model(result.model.reader.reasoner.backbone).layers
    assert all(isinstance(layer, CheckpointedLayer) for layer in layers)  # type: ignore[union-attr]
    loaded = load_checkpoint(result.checkpoint)
    assert loaded.stages == ("align", "joint", "rl") and len(loaded.recipes) == 3
    old, new = snapshot(load_checkpoint(tiny_checkpoint)), snapshot(result.model)
    assert moved(new, loaded) == set()
    assert moved(old, loaded) == {*ADAPTED, *TOKENS, *HEAD}
