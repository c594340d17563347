"""Let the toy reader learn more: conversations in their own words, and pictures of their faces.

It sees them as a stock model sees a dialogue: words after words, what was said by whom, and what is
in a picture. No emotion word is among them, and nothing of what is true of a turn.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from emosym.config.recipes import DialogueBaseRecipe
from emosym.data import storybook
from emosym.data.storybook.dialogues.draw import Dialogue, draw_dialogue
from emosym.data.storybook.drawing.render import paint_array
from emosym.data.storybook.pool import run_pieces
from emosym.data.storybook.shot import Shot
from emosym.data.storybook.words import caption_of
from emosym.errors import UsageError
from emosym.models.presets import resolve_base, write_base
from emosym.models.render_turns import turn_line
from emosym.models.tokenizer import TURN_START, load_tokenizer
from emosym.provenance import git_hash, package_versions
from emosym.seeds import numpy_rng, stream_seed
from emosym.training.loop.arrays import rows_on
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, flat_then_decay
from emosym.training.stages.finish import loop_settings, training_device
from emosym.training.storybook.corpus import IMAGE_SIZE
from emosym.training.storybook.pretrain import save_reader
from emosym.training.storybook.reader import (
    IGNORE,
    ChatTokens,
    PictureText,
    chat_tokens,
    collate_dialogues,
    dialogue,
    image_tokens_of,
    reader_loss,
    tokenize_texts,
    words_loss,
)
from emosym.training.storybook.vocabulary import grow_reader, grow_tokenizer
from emosym.types import Turn

log = logging.getLogger(__name__)
PIECE = 500
Row: TypeAlias = tuple[list[int], list[int]]  # ids and labels, or a question and its answer
# Shares of the steps: conversations in words, what was said in them asked again, pictures of
# conversations, and single pictures, which the reader knows and is not to forget.
KINDS = {
    "talk": 0.2,
    "recall": 0.45,
    "face": 0.2,
    "describe": 0.05,
    "stands_out": 0.05,
    "questions": 0.05,
}
RECALLED = 6  # questions on one conversation
KNOWN_WORD = 20  # times that a word is said until it is one token


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learned: words of D conversations, and pictures (N, H, W, 3) with texts, two sets.

    `asked` are questions on each conversation with answers, what was said in it word by word.
    `faces` are pictures of conversations, of which a caption is known; `singles` single ones.
    """

    talks: list[list[int]]
    asked: list[list[Row]]
    faces: np.ndarray
    face_texts: list[PictureText]
    singles: np.ndarray
    single_texts: list[PictureText]


def run_dialogue_base(
    recipe: DialogueBaseRecipe, progress: bool = True, deadline: float | None = None
) -> Path:
    """Train the reader of recipe.init further and write recipe.out/base, which has no painter.

    Raises:
        UsageError: when `init` is no base whose reader is a toy reader.
        StoppedEarly: at the deadline; the same call goes on.
    """
    found = resolve_base(recipe.init)
    if found.image_size != IMAGE_SIZE:
        raise UsageError(
            f"The stage dialogue_base goes on with the toy reader of a storybook base; "
            f"{recipe.init} has another. Real readers have seen conversations: start `m2se` there."
        )
    start = found.reader_folder()
    known, talks = load_tokenizer(start), drawn_talks(recipe)
    tokenizer = grow_tokenizer(known, (words_of(talk) for talk in talks), KNOWN_WORD)
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        start, dtype=torch.float32, local_files_only=True
    )
    grow_reader(model, known, tokenizer)
    lessons = lessons_of(recipe, talks, tokenizer)
    train_on_dialogues(model, tokenizer, lessons, recipe, progress, deadline)
    folder = recipe.out / "base"
    save_reader(model, tokenizer, folder / "reader")
    shutil.copy(start / "preprocessor_config.json", folder / "reader")
    about = {"seed": recipe.seed, "parts": ["reader"], "init": recipe.init}
    about |= {"dialogues": recipe.dialogues, "pictures": recipe.pictures}
    about |= {"versions": package_versions(), "git": git_hash()}
    write_base(folder, IMAGE_SIZE, about)
    return folder


def drawn_talks(recipe: DialogueBaseRecipe) -> list[Dialogue]:
    """Draw the conversations that are told, a pure function of the recipe."""
    seed = _seed(recipe)
    log.info("drawing %d conversations and %d pictures", recipe.dialogues, 2 * recipe.pictures)
    return [draw_dialogue(seed, index) for index in range(recipe.dialogues)]


def _seed(recipe: DialogueBaseRecipe) -> int:
    return stream_seed(recipe.seed, "base-dialogues") % 2**31


def lessons_of(
    recipe: DialogueBaseRecipe, talks: Sequence[Dialogue], tokenizer: PreTrainedTokenizerBase
) -> Lessons:
    """Draw the pictures and tokenize everything; no file is read or written."""
    seed = _seed(recipe)
    shots = [turn.shot for talk in talks for turn in talk.turns][: recipe.pictures]
    pieces = [(shots[first : first + PIECE],) for first in range(0, len(shots), PIECE)]
    faces = np.concatenate(list(run_pieces(draw_shots, pieces, recipe.workers)))
    stories, singles = storybook.draw_many(
        seed, "train", 0, recipe.pictures, IMAGE_SIZE, recipe.workers
    )
    captions = [caption_of(shot) for shot in shots]  # all that is told of them
    return Lessons(
        [talk_tokens(tokenizer, talk) for talk in talks],
        [recall_tokens(tokenizer, talk) for talk in talks],
        faces,
        tokenize_texts(tokenizer, captions, [""] * len(shots), [()] * len(shots)),
        singles,
        tokenize_texts(
            tokenizer,
            [storybook.caption_of(story) for story in stories],
            [storybook.rationale_of(story) for story in stories],
            [storybook.questions_of(story) for story in stories],
        ),
    )


def draw_shots(shots: list[Shot]) -> np.ndarray:
    """Return the pictures of shots, uint8 (N, H, W, 3)."""
    return np.stack([paint_array(shot, IMAGE_SIZE) for shot in shots])


def words_of(talk: Dialogue) -> str:
    """Return what is said in a conversation as it is read later, a line a turn."""
    return "".join(turn_line(Turn(turn.speaker, turn.text)) for turn in talk.turns)


def talk_tokens(tokenizer: PreTrainedTokenizerBase, talk: Dialogue) -> list[int]:
    """Return a conversation in tokens as it is read later, without its pictures."""
    text = f"{TURN_START}user\n{words_of(talk)}"
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return tokens


def recall_questions(talk: Dialogue) -> list[tuple[str, str]]:
    """Return what can be asked of a conversation's words, with answers that are said in it."""
    last = {turn.speaker: turn.text for turn in talk.turns}
    found = [("Who spoke first?", talk.turns[0].speaker)]
    found += [(f"What did {speaker} say last?", text) for speaker, text in last.items()]
    for event in talk.events:
        told = talk.turns[event.turn]
        found.append((f"Who told of the {event.thing}?", event.teller))
        found.append((f"What was told of the {event.thing}?", f"{told.speaker}: {told.text}"))
    for speaker in last:
        things = [event.thing for event in talk.events if event.teller == speaker]
        found.append((f"What did {speaker} tell of?", ", ".join(things) or "Nothing"))
    return found


def recall_tokens(tokenizer: PreTrainedTokenizerBase, talk: Dialogue) -> list[Row]:
    """Return the questions on a conversation and their answers in tokens."""
    pairs = recall_questions(talk)
    question_ids = [tokenizer.encode(q, add_special_tokens=False) for q, _ in pairs]
    answer_ids = [tokenizer.encode(a, add_special_tokens=False) for _, a in pairs]
    return list(zip(question_ids, answer_ids, strict=True))


def recalled(
    chat: ChatTokens,
    talk: list[int],
    asked: list[Row],
    rng: np.random.Generator,
) -> Row:
    """Return ids and labels (IGNORE outside answers): a conversation, then questions on it."""
    ids, labels = list(talk), [IGNORE] * len(talk)
    for place, number in enumerate(rng.permutation(len(asked))[:RECALLED]):
        question, answer = asked[number]
        before = (chat.user if place else []) + question + chat.assistant
        ids += before + answer + chat.end
        labels += [IGNORE] * len(before) + answer + chat.end[:1]
        labels += [IGNORE] * (len(chat.end) - 1)
    return ids, labels


def train_on_dialogues(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    lessons: Lessons,
    recipe: DialogueBaseRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> None:
    """Train all weights of a reader on lessons; each step is of one of KINDS.

    Raises:
        StoppedEarly: at the deadline; the same call goes on.
    """
    device, optim, seed = torch.device(training_device()), recipe.optim, recipe.seed
    model.to(device).train()
    chat, pad = chat_tokens(tokenizer, image_tokens_of(model)), int(tokenizer.pad_token_id)
    faces, singles = rows_on(lessons.faces, device), rows_on(lessons.singles, device)

    def texts_of(kind: str, places: list[int], rng: np.random.Generator) -> list[Row]:
        talks = lessons.talks
        if kind == "recall":
            return [recalled(chat, talks[i], lessons.asked[i], rng) for i in places]
        return [(talks[i], talks[i]) for i in places]

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        rng = numpy_rng(seed, "base-dialogues", step)
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        if kind in ("talk", "recall"):
            some = (indices % len(lessons.talks)).tolist()
            loss = words_loss(model, *collate_dialogues(texts_of(kind, some, rng), pad))
            return {"loss": loss, kind: loss}
        if kind == "face":
            rows, texts, asked = faces, lessons.face_texts, "describe"
        else:
            rows, texts, asked = singles, lessons.single_texts, kind
        places = indices % len(texts)
        told = [dialogue(chat, texts[int(i)], asked, rng) for i in places]
        loss = reader_loss(model, rows.take(places), *collate_dialogues(told, pad))
        return {"loss": loss, kind: loss}

    run_loop(
        replace(loop_settings("dialogue-base", recipe, deadline), ema_decay=0.998),
        {"reader": model},
        build_optimizers({"reader": model}, optim.lr, optim.weight_decay, optim.muon_lr),
        flat_then_decay(optim.warmup, decay=0.5),
        max(len(lessons.talks), len(lessons.face_texts)),
        loss_fn,
        progress=progress,
    )
    model.eval()
