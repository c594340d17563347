"""Answers in words: what counts of a conversation, how tasks are mixed, and that it is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.stages.test_m2se import SPACE, adapted, base, opened, plan, talk_data

from emosym.errors import UsageError
from emosym.models.reader.answering import answer_all, answer_losses
from emosym.models.reader.talks import talks_of
from emosym.models.render import render
from emosym.rewards.text import stated_confidence
from emosym.tasks.names import open_task
from emosym.training.stages.m2se import train_m2se
from emosym.training.stages.spoken import (
    drawn,
    own_sureness,
    shares_of,
    spoken_losses,
    spoken_of,
    words_of,
)
from emosym.types import Message

__all__ = ("base",)
SAID = (
    (Message("user", ("Ann: Oh!",)), Message("assistant", ("glee",), learned=True)),
    (Message("user", ("Bo: I see. I see.",)), Message("assistant", ("none",), learned=True)),
)


def test_only_the_answer_counts(base: Path) -> None:
    """Against the library's own loss, row by row, with every other token ignored."""
    chat = opened(base).reader.chat
    with torch.no_grad():
        found = answer_losses(chat, SAID)
        rows = []
        for one in SAID:
            rendered = render(chat, [one])
            labels = rendered.inputs["input_ids"].masked_fill(~rendered.answers, -100)
            count = int((labels[:, 1:] != -100).sum())
            loss = chat.backbone(rendered.inputs["input_ids"], labels=labels).loss
            rows.append((float(loss), count))
    assert len(found) == sum(count for _, count in rows)
    wanted = sum(loss * count for loss, count in rows) / len(found)
    assert float(found.mean()) == pytest.approx(wanted, rel=1e-4)
    assert float(spoken_losses(chat, SAID, 1).mean()) == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(UsageError, match="no answer to learn"):
        answer_losses(chat, [SAID[0][:1]])


def test_tasks_are_mixed_by_size_and_temperature() -> None:
    sizes, even = {"mer": 100, "eri": 4}, {"mer": 1.0, "eri": 1.0}
    assert shares_of(sizes, even, 1.0) == pytest.approx({"mer": 100 / 104, "eri": 4 / 104})
    assert shares_of(sizes, even, 2.0) == pytest.approx({"mer": 10 / 12, "eri": 2 / 12})
    assert shares_of(sizes, {"mer": 1, "eri": 5}, 2.0) == pytest.approx({"mer": 0.5, "eri": 0.5})


def test_draws_are_of_the_step_and_long_ones_are_counted(base: Path, caplog) -> None:
    chat, data = opened(base).reader.chat, talk_data("train", 0, 40)
    spoken = spoken_of(chat, data, {"mer": 1.0, "ecpe": 1.0}, SPACE, 2.0, 1000)
    assert {name: len(some) for name, some in spoken.samples.items()} == {
        "mer": len(data),
        "ecpe": len(data),
    }
    assert drawn(spoken, 0, 5, 8) == drawn(spoken, 0, 5, 8) != drawn(spoken, 0, 6, 8)
    names = [name for step in range(100) for name, _ in drawn(spoken, 0, step, 16)]
    assert 0.45 < names.count("mer") / len(names) < 0.55
    lengths = [words_of(chat, taught) for taught in spoken.samples["mer"]]
    some = spoken_of(chat, data, {"mer": 1.0}, SPACE, 2.0, int(np.median(lengths)))
    assert 0 < len(some.samples["mer"]) < len(data)
    assert "are left out" in caplog.text
    with pytest.raises(UsageError, match="no sample of the training split has its truth"):
        spoken_of(chat, data, {"eri": 1.0}, SPACE, 2.0, 1000)
    with pytest.raises(UsageError, match="are too long"):
        spoken_of(chat, data, {"mer": 1.0}, SPACE, 2.0, 1)


def test_own_sureness_is_the_share_of_the_true_answer(base: Path) -> None:
    """Against the losses of all answers, label by label; and it is what is then taught."""
    chat, data = opened(base).reader.chat, talk_data("train", 0, 6)
    task = open_task("mer", SPACE)
    sure = own_sureness(chat, task, data)
    assert len(sure) == len(data)
    for sample in list(data)[:3]:
        said = [task.teach(replace(sample, targets={"mer": label})) for label in SPACE.labels]
        with torch.no_grad():
            losses = [float(answer_losses(chat, [one]).sum()) for one in said]
        shares = torch.softmax(-torch.tensor(losses), dim=0)
        true = SPACE.labels.index(str(sample.targets["mer"]))
        assert sure[sample.id] == pytest.approx(float(shares[true]), abs=1e-4)
    asked = {"temperature": 2.0, "longest": 1000, "form": "rated"}
    own = spoken_of(chat, data, {"mer": 1.0}, SPACE, **asked, confidence="own")
    texts = [str(one[-1].parts[0]) for one in own.samples["mer"]]
    tenths = [min(max(round(10 * sure[sample.id]), 1), 9) for sample in data]
    assert [stated_confidence(text) for text in texts] == [tenth / 10 for tenth in tenths]
    with pytest.raises(UsageError, match="no labels to choose from"):
        own_sureness(chat, open_task("eri", SPACE), data)
    two = replace(next(iter(data)), id="both", targets={"mer": ("joy", "anger")})
    with pytest.raises(UsageError, match="one label a sample, and 'both' has several"):
        own_sureness(chat, task, [two])


def test_confidence_needs_a_form_that_states_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="own is stated in spoken_form: sure or rated alone"):
        plan(tmp_path, 20, spoken={"mer": 1.0}, spoken_confidence="own")


@pytest.mark.slow  # a model learns from nothing
def test_answers_are_learned_beside_the_latents(base: Path, tmp_path: Path) -> None:
    recipe = plan(tmp_path, 60, evaluate_every=60, spoken={"mer": 1.0}, w_causes=0, spoken_batch=16)
    model = replace(opened(base), causes=None)
    model.reader.reasoner.pointer = None
    model = adapted(model, recipe)
    data = talk_data("train", 0, 48)
    spoken = spoken_of(model.reader.chat, data, recipe.spoken, SPACE, 2.0, 1000)
    with torch.no_grad():
        before = float(spoken_losses(model.reader.chat, spoken.samples["mer"][:32], 32).mean())
    talks = talks_of(model.reader, data)[:16]
    train_m2se(model, talks, talks[:8], recipe, False, None, spoken)
    with torch.no_grad():
        after = float(spoken_losses(model.reader.chat, spoken.samples["mer"][:32], 32).mean())
    assert after < before / 3
    task, held = open_task("mer", SPACE), talk_data("val", 500, 8)
    said = answer_all(model.reader.chat, [task.conversation(sample) for sample in held], 8)
    assert all(task.parse(text) in SPACE.labels for text in said)


def test_alike_dialogues_stand_before_the_question(base: Path) -> None:
    chat, data = opened(base).reader.chat, talk_data("train", 0, 24)
    plain = spoken_of(chat, data, {"mer": 1.0}, SPACE, 2.0, 1000).samples["mer"]
    shown = spoken_of(chat, data, {"mer": 1.0}, SPACE, 2.0, 1000, examples=2).samples["mer"]
    assert [len(one) for one in shown] == [len(one) + 4 for one in plain]
    assert all(many[-len(one) :] == one for one, many in zip(plain, shown, strict=True))
    with torch.no_grad():  # only the answer in question is learned
        assert len(answer_losses(chat, shown[:3])) == len(answer_losses(chat, plain[:3]))
    with pytest.raises(UsageError, match="not for 'ecpe'"):
        spoken_of(chat, data, {"ecpe": 1.0}, SPACE, 2.0, 1000, examples=2)
