"""What PARITY.md claims and no other test pins: the published forms by hand, and ours."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emosym.config.load import load_recipe
from emosym.config.recipes import AlignRecipe, RlRecipe
from emosym.data import storybook
from emosym.emotions import MIKELS8
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.reasoner import think
from emosym.processes import Processes
from emosym.rewards.labels import parity_beta
from emosym.training.stages import align, rl
from emosym.training.stages.feed import Feed, label_targets, picture_feed
from emosym.training.stages.joint import refresh_space
from emosym.training.stages.objectives import group_advantages
from emosym.training.stages.prefix_store import store_prefixes
from emosym.training.stages.read_all import read_all
from emosym.types import IMAGE_EMOTION, picture_sample

SOURCE = Path(__file__).parent.parent / "src" / "emosym"
COUNT = 16


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def feed(model: EmoSymModel, tiny_pictures: Any) -> Feed:
    """Sixteen pictures, two of each emotion; the first two rationales are equal."""
    labels = np.repeat(np.arange(8), 2)
    samples = [
        picture_sample(
            id=str(i), label=MIKELS8.labels[k], rationale=f"A boat and a tree, view {max(i, 1)}."
        )
        for i, k in enumerate(labels)
    ]
    targets = label_targets(samples, model.reader.space)
    return picture_feed(model.reader, samples, targets, tiny_pictures.pictures[:COUNT])


# Stage 1


def test_the_published_align_settings_are_one_line_away() -> None:
    line = next(
        line
        for line in (Path(__file__).parent.parent / "PARITY.md").read_text().splitlines()
        if line.startswith("emosym train demo-align")
    )
    recipe = load_recipe("demo-align", line.split()[3:])
    assert isinstance(recipe, AlignRecipe)
    assert (recipe.latents.num_context_tokens, recipe.latents.recurrent) == (1, False)
    assert (recipe.w_cls, recipe.w_align, recipe.w_say) == (0.5, 0.5, 0.0)
    assert (recipe.symmetric, recipe.rationale) == (False, "label_aware")
    assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == (64, 128, 0.05)
    optim = recipe.optim
    assert (optim.batch_size, optim.lr, optim.weight_decay) == (128, 1e-4, 0.1)
    assert optim.warmup == 0.03


def test_each_distinct_rationale_is_embedded_once(
    model: EmoSymModel, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    encode = align.encode_prompts

    def counted(painter: Any, texts: Any) -> Any:
        seen.extend(texts)
        return encode(painter, texts)

    monkeypatch.setattr(align, "encode_prompts", counted)
    known = align.knowledge_base(model.reader, model.painter, feed, "label_blind", 0)
    assert sorted(seen) == sorted({str(s.rationale) for s in feed.samples})
    assert len(seen) == COUNT - 1
    assert torch.equal(known.embeddings[0], known.embeddings[1])
    assert int(known.groups[0]) == int(known.groups[1]) != int(known.groups[2])
    assert known.embeddings.norm(dim=1).numpy() == pytest.approx(np.ones(COUNT), abs=1e-5)


def test_rationale_kinds(model: EmoSymModel, feed: Feed) -> None:
    blind, aware, shuffled = (
        align.knowledge_base(model.reader, model.painter, feed, kind, 0).texts
        for kind in ("label_blind", "label_aware", "shuffled")
    )
    for text, told, sample in zip(blind, aware, feed.samples, strict=True):
        assert text == sample.rationale
        assert str(sample.label_of(IMAGE_EMOTION)) not in text
        assert str(sample.label_of(IMAGE_EMOTION)) in told
    assert sorted(shuffled) == sorted(blind)
    assert shuffled != blind


# Stage 2


def rl_losses(model: EmoSymModel, feed: Feed, objective: str, shift: float) -> dict[str, float]:
    """The losses of all 16 pictures against reference logits moved by `shift` at label 0."""
    raw = {"stage": "rl", "out": "unused", "objective": objective}
    recipe = RlRecipe.model_validate({**raw, "beta": 0.3, "proper_weight": 0.7})
    reference = read_all(feed).logits
    reference[:, 0] += shift
    with torch.no_grad():
        loss_fn = rl.loss_of_recipe(recipe, model.reader, feed, reference, Processes())
        found = loss_fn(0, np.arange(COUNT))
    return {name: float(value) for name, value in found.items()}


def by_hand(model: EmoSymModel, feed: Feed, shift: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Probabilities (N, 8), p_y (N,) and the mean KL to the moved reference, in numpy."""
    logits = read_all(feed).logits.double().numpy()
    moved = logits.copy()
    moved[:, 0] += shift
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (logits, moved))
    kl = float((p * np.log(p / q)).sum(1).mean())
    return p, p[np.arange(COUNT), feed.truth], kl


@pytest.mark.parametrize("objective", ["expected", "parity"])
def test_the_first_kl_is_zero(model: EmoSymModel, feed: Feed, objective: str) -> None:
    assert rl_losses(model, feed, objective, 0.0)["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_expected_loss_by_hand(model: EmoSymModel, feed: Feed) -> None:
    found = rl_losses(model, feed, "expected", 1.0)
    p, chosen, kl = by_hand(model, feed, 1.0)
    brier = ((p - np.eye(8)[feed.truth]) ** 2).sum(1).mean()
    assert found["kl"] == pytest.approx(kl, rel=1e-4)
    assert found["reward"] == pytest.approx(chosen.mean(), rel=1e-4)  # E_p[1 if right] = p_y
    assert found["loss"] == pytest.approx(-chosen.mean() + 0.7 * brier + 0.3 * kl, rel=1e-4)


@pytest.mark.parametrize(("shift", "beta"), [(0.2, 0.2), (1.6, 0.1), (4.0, 0.05)])
def test_the_parity_loss_by_hand(model: EmoSymModel, feed: Feed, shift: float, beta: float) -> None:
    p, chosen, kl = by_hand(model, feed, shift)
    assert parity_beta(kl) == beta  # the further away, the less it holds: as published
    blend = 0.3 * (p.argmax(1) == feed.truth) + 0.7 * chosen
    expected = -np.log(chosen).mean() - (blend * chosen).mean() + beta * kl
    assert rl_losses(model, feed, "parity", shift)["loss"] == pytest.approx(expected, rel=1e-4)


def test_group_advantages_by_hand() -> None:
    found = group_advantages(torch.tensor([1.0, 0.0, 1.0, 0.0, 5.0, 5.0, 5.0, 5.0]), 4)
    unit = 0.5 / (math.sqrt(1 / 3) + 1e-4)  # mean .5, deviation sqrt(1 / 3)
    assert found.tolist() == pytest.approx([unit, -unit, unit, -unit, 0, 0, 0, 0])


# Stages 3 and 4


def test_kept_prefixes_read_as_recomputed_ones(model: EmoSymModel, feed: Feed) -> None:
    kept = read_all(feed, store=store_prefixes(feed)).logits
    assert kept.numpy() == pytest.approx(read_all(feed).logits.numpy(), abs=1e-5)
    assert store_prefixes(feed, limit_bytes=1) is None


def test_the_emotion_space_follows_the_reader(model: EmoSymModel, feed: Feed) -> None:
    before = refresh_space(feed, None)
    embed = model.reader.tokens.emotion_embed
    old = embed.detach().clone()
    with torch.no_grad():
        embed.add_(0.5)
        try:
            after = refresh_space(feed, None)
            thought = think(model.reader.reasoner, feed.prefix(np.arange(2)))
        finally:
            embed.copy_(old)
    hidden = old.shape[1]
    seen = thought.emotion_latent.mean(0).numpy()  # pictures 0 and 1 are all of the first emotion
    assert after.gaussians[0].mean[:hidden].numpy() == pytest.approx(seen, abs=1e-4)
    assert not torch.allclose(after.gaussians[0].mean, before.gaussians[0].mean, atol=1e-3)


# The base, and loading


def test_the_base_hears_no_emotion_word() -> None:
    from emosym.training.storybook.reader import DESCRIBE, STANDS_OUT

    stems = [label[:5] for label in MIKELS8.labels if label != "awe"] + [" awe", "happ", "emotion"]
    stories = [storybook.draw_story(1, index) for index in range(100)]
    texts = [DESCRIBE, STANDS_OUT]
    for story in stories:
        texts += [storybook.caption_of(story), storybook.rationale_of(story)]
        texts += [f"{question} {answer}" for question, answer in storybook.questions_of(story)]
    said = " ".join(texts).lower()
    assert [stem for stem in stems if stem in said] == []


def test_no_load_passes_over_missing_weights() -> None:
    loose = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("load_state_dict"):
                strict = [k for k in node.keywords if k.arg == "strict"]
                if any(ast.unparse(k.value) != "True" for k in strict):
                    loose.append(f"{path.name}:{node.lineno}")
    assert loose == []
