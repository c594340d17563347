"""The toy reader learns conversations: in words, with faces, without an emotion word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emosym.annotate.emotion_words import emotion_words
from emosym.config.load import resolve_recipe
from emosym.config.recipes import DialogueBaseRecipe
from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.emotions import LABEL_SPACES
from emosym.errors import StoppedEarly, UsageError
from emosym.models.emosym_model import new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.models.tokenizer import load_tokenizer
from emosym.training.run import run_recipe
from emosym.training.storybook import dialogues
from emosym.training.storybook.dialogues import (
    Lessons,
    drawn_talks,
    lessons_of,
    recall_questions,
    recall_tokens,
    recalled,
    talk_tokens,
)
from emosym.training.storybook.reader import IGNORE, chat_tokens, collate_dialogues, words_loss

MELD7 = LABEL_SPACES["meld7"]


def recipe_in(out: Path, base: Path | str) -> DialogueBaseRecipe:
    raw = {
        "stage": "dialogue_base",
        "out": str(out),
        "init": str(base),
        "workers": 1,
        "dialogues": 20,
        "pictures": 12,
        "optim": {"steps": 12, "batch_size": 4, "lr": 3e-3, "log_every": 1},
    }
    found = resolve_recipe(raw, "test")
    assert isinstance(found, DialogueBaseRecipe)
    return found


@pytest.fixture(scope="module")
def lessons(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    recipe = recipe_in(tmp_path_factory.mktemp("lessons"), tiny_base)
    return lessons_of(recipe, drawn_talks(recipe), load_tokenizer(tiny_base / "reader"))


def test_no_emotion_word_and_nothing_that_is_true_of_a_turn_is_taught(
    lessons: Lessons, tiny_base: Path
) -> None:
    tokenizer = load_tokenizer(tiny_base / "reader")
    texts = [tokenizer.decode(ids) for ids in lessons.talks]
    texts += [tokenizer.decode(text.caption) for text in lessons.face_texts]
    assert len(texts) == 32 and all(text for text in texts)
    texts += [tokenizer.decode(ids) for asked in lessons.asked for pair in asked for ids in pair]
    assert not [found for text in texts for found in emotion_words(text, MELD7.labels)]
    assert all(not text.questions for text in lessons.face_texts)
    assert texts[0].startswith("<|im_start|>user\n") and texts[0].count("\n") >= 3
    assert lessons.faces.shape == lessons.singles.shape == (12, 64, 64, 3)


def test_the_lessons_do_not_depend_on_how_the_work_is_cut(
    lessons: Lessons, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogues, "PIECE", 5)
    recipe, tokenizer = recipe_in(tmp_path, tiny_base), load_tokenizer(tiny_base / "reader")
    again = lessons_of(recipe, drawn_talks(recipe), tokenizer)
    assert again.talks == lessons.talks and again.asked == lessons.asked
    assert again.face_texts == lessons.face_texts
    assert np.array_equal(again.faces, lessons.faces)
    assert np.array_equal(again.singles, lessons.singles)


def test_what_is_asked_of_a_conversation_was_said_in_it() -> None:
    talk = draw_dialogue(5, 0)
    assert recall_questions(talk) == [
        ("Who spoke first?", "Tom"),
        ("What did Tom say last?", "They keep an empty jar by the window."),
        ("What did Zoe say last?", "The ball, well. I still see it."),
        ("Who told of the ball?", "Zoe"),
        ("What was told of the ball?", "Zoe: Tom, yesterday Dad sat down on my ball."),
        ("What did Tom tell of?", "Nothing"),
        ("What did Zoe tell of?", "ball"),
    ]
    for index in range(40):
        talk = draw_dialogue(5, index)
        said = "".join(f"{turn.speaker}: {turn.text}\n" for turn in talk.turns)
        for _, answer in recall_questions(talk):
            parts = [answer] if answer in said else answer.split(", ")
            assert answer == "Nothing" or all(part in said for part in parts)


def test_only_the_answers_count_when_a_conversation_is_asked_about(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base / "reader")
    talk, chat = draw_dialogue(5, 0), chat_tokens(tokenizer, 16)
    told, asked = talk_tokens(tokenizer, talk), recall_tokens(tokenizer, talk)
    ids, labels = recalled(chat, told, asked, np.random.default_rng(0))
    assert ids[: len(told)] == told and labels[: len(told)] == [IGNORE] * len(told)
    counted = [i for i, label in zip(ids, labels, strict=True) if label != IGNORE]
    assert counted == [label for label in labels if label != IGNORE]
    answers = tokenizer.decode(counted).split("<|im_end|>")[:-1]
    assert len(answers) == tokenizer.decode(ids).count("assistant\n") == 6
    left = [answer for _, answer in recall_questions(talk)]
    for answer in answers:
        left.remove(answer)
    assert len(left) == 1


def test_every_word_of_a_conversation_is_predicted(tiny_base: Path) -> None:
    """The loss by the library's own: mean over all tokens but the first, padding left out."""
    tokenizer = load_tokenizer(tiny_base / "reader")
    backbone = load_backbone(resolve_base(str(tiny_base)), "cpu")
    rows = [tokenizer.encode(text) for text in ("Mia: A kite came.\n", "Tom: Oh.\nMia: Yes.\n")]
    tokens, labels = collate_dialogues([(ids, ids) for ids in rows], int(tokenizer.pad_token_id))
    parts = []
    for ids in rows:
        one = torch.tensor([ids])
        parts.append((float(backbone(input_ids=one, labels=one).loss.detach()), len(ids) - 1))
    wanted = sum(loss * count for loss, count in parts) / sum(count for _, count in parts)
    assert float(words_loss(backbone, tokens, labels).detach()) == pytest.approx(wanted, rel=1e-5)


def test_a_base_for_reading_comes_out_and_goes_on_where_it_stopped(
    tiny_base: Path, tmp_path: Path
) -> None:
    base, _ = run_recipe(recipe_in(tmp_path / "whole", tiny_base), progress=False)
    stopped = recipe_in(tmp_path / "stopped", tiny_base)
    with pytest.raises(StoppedEarly):
        run_recipe(stopped, progress=False, deadline=0.0)
    again, _ = run_recipe(stopped, progress=False)
    new, same, old = (
        load_file(folder / "reader" / "model.safetensors") for folder in (base, again, tiny_base)
    )
    assert all(torch.equal(new[name], same[name]) for name in new)
    assert not [n for n in new if n in old and torch.equal(new[n].float(), old[n].float())]
    model = new_model(str(base), 2, True, "turns", 0, space=MELD7)
    assert model.open_painter is None and model.space == MELD7


def test_a_base_with_another_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"smollm2-135m has another.*start `m2se` there"):
        run_recipe(recipe_in(tmp_path / "run", "smollm2-135m"), progress=False)
