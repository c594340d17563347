"""Pretrain the toy reader without any emotion word: describe pictures, answer questions on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from emosym.models.reader.toy import TOY_IMAGE_SIZE, build_toy_reader
from emosym.models.reader.vision import patchify, prepare_vision
from emosym.models.tokenizer import IMAGE_PAD, TURN_END, TURN_START, VISION_END, VISION_START
from emosym.seeds import numpy_rng
from emosym.training.loop.arrays import rows_on
from emosym.training.loop.loop import LoopSettings, run_loop
from emosym.training.loop.optim import build_optimizers, flat_then_decay
from emosym.training.stages.finish import training_device

DESCRIBE = "Describe the picture."
STANDS_OUT = "What stands out in the picture?"
# How often each is learned, by the name that a recipe has for it.
KINDS = {
    "caption": ("describe", 0.4),
    "rationale": ("stands_out", 0.15),
    "questions": ("questions", 0.45),
}
QUESTIONS_PER_SEQUENCE = 6
IGNORE = -100


@dataclass(frozen=True, slots=True)
class PictureText:
    """Token ids of what can be said about one picture: two descriptions, and question-answers."""

    caption: list[int]
    rationale: list[int]
    questions: list[tuple[list[int], list[int]]]


class PictureTexts(Protocol):
    """The texts of many pictures, such as a list of them."""

    def __getitem__(self, index: int, /) -> PictureText:
        """Return the texts of one picture."""
        ...


def tokenize_texts(
    tokenizer: PreTrainedTokenizerBase,
    captions: Sequence[str],
    rationales: Sequence[str],
    questions: Sequence[Sequence[tuple[str, str]]],
) -> list[PictureText]:
    """Tokenize all texts once; equal strings (most answers) are tokenized only once."""
    known: dict[str, list[int]] = {}

    def ids(text: str) -> list[int]:
        if text not in known:
            known[text] = tokenizer.encode(text, add_special_tokens=False)
        return known[text]

    return [
        PictureText(ids(caption), ids(rationale), [(ids(q), ids(a)) for q, a in pairs])
        for caption, rationale, pairs in zip(captions, rationales, questions, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """The fixed token runs of the chat template, for one picture of `image_tokens` tokens."""

    picture: list[int]
    user: list[int]
    assistant: list[int]
    end: list[int]
    describe: list[int]
    stands_out: list[int]


def chat_tokens(tokenizer: PreTrainedTokenizerBase, image_tokens: int) -> ChatTokens:
    """Return the token runs; together they render exactly as the tokenizer's chat template."""

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    return ChatTokens(
        picture=ids(f"{TURN_START}user\n{VISION_START}{IMAGE_PAD * image_tokens}{VISION_END}"),
        user=ids(f"{TURN_START}user\n"),
        assistant=ids(f"{TURN_END}\n{TURN_START}assistant\n"),
        end=ids(f"{TURN_END}\n"),
        describe=ids(DESCRIBE),
        stands_out=ids(STANDS_OUT),
    )


def dialogue(
    chat: ChatTokens, text: PictureText, kind: str, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return token ids and labels (IGNORE outside answers) of one dialogue about one picture."""
    if kind == "questions":
        chosen = rng.permutation(len(text.questions))[:QUESTIONS_PER_SEQUENCE]
        turns = [text.questions[i] for i in chosen]
    elif kind == "describe":
        turns = [(chat.describe, text.caption)]
    else:
        turns = [(chat.stands_out, text.rationale)]
    ids: list[int] = []
    labels: list[int] = []
    for i, (question, answer) in enumerate(turns):
        asked = (chat.user if i else chat.picture) + question + chat.assistant
        said = answer + chat.end
        ids += asked + said
        labels += [IGNORE] * len(asked) + said[:-1] + [IGNORE] * (len(said) - len(answer) - 1)
    return ids, labels


def collate_dialogues(
    rows: list[tuple[list[int], list[int]]], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the right to a multiple of 8; returns ids and labels (B, L)."""
    longest = -(-max(len(ids) for ids, _ in rows) // 8) * 8
    tokens = np.full((len(rows), longest), pad)
    labels = np.full((len(rows), longest), IGNORE)
    for i, (ids, targets) in enumerate(rows):
        tokens[i, : len(ids)] = ids
        labels[i, : len(targets)] = targets
    return torch.from_numpy(tokens), torch.from_numpy(labels)


def reader_loss(
    model: Qwen2VLForConditionalGeneration,
    pictures: torch.Tensor,
    tokens: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """Return the mean next-token loss over answer tokens; pictures (B, H, W, 3) uint8."""
    device = model.device
    vision = model.config.vision_config
    pixels, grid = patchify(
        pictures.to(device),
        vision.patch_size,
        vision.temporal_patch_size,
        vision.spatial_merge_size,
    )
    # All rows share one picture size and place, so one row's rotary positions serve the batch. The
    # library counts them in Python: on the CPU, where looking at a number waits for nothing.
    first = tokens[:1].cpu()
    is_image = (first == model.config.image_token_id).int()
    positions, _ = model.model.get_rope_index(first, is_image, image_grid_thw=grid[:1].cpu())
    tokens, labels = tokens.to(device), labels.to(device)
    hidden = model.model(
        input_ids=tokens,
        pixel_values=pixels,
        image_grid_thw=grid,
        position_ids=positions.to(device).expand(3, len(tokens), -1),
        use_cache=False,
    ).last_hidden_state  # (B, L, H)
    return next_token_loss(model, hidden, labels)


def words_loss(
    model: Qwen2VLForConditionalGeneration, tokens: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the mean next-token loss of rows without pictures; tokens, labels (B, L)."""
    device = model.device
    hidden = model.model(input_ids=tokens.to(device), use_cache=False).last_hidden_state
    return next_token_loss(model, hidden, labels.to(device))


def next_token_loss(
    model: Qwen2VLForConditionalGeneration, hidden: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the mean loss of the tokens that count; hidden (B, L, H), labels (B, L)."""
    wanted = labels[:, 1:] != IGNORE
    logits = model.lm_head(hidden[:, :-1][wanted])  # (tokens that count, V)
    return nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])


def train_reader(
    out: Path,
    tokenizer: PreTrainedTokenizerBase,
    pictures: np.ndarray,
    texts: PictureTexts,
    seed: int,
    steps: int,
    batch_size: int = 64,
    lr: float = 1e-3,
    muon_lr: float | None = 2e-3,
    hidden_size: int = 192,
    layers: int = 4,
    bf16: bool = True,
    progress: bool = True,
    deadline: float | None = None,
    says: Sequence[str] = tuple(KINDS),
) -> Qwen2VLForConditionalGeneration:
    """Pretrain a toy reader on pictures (N, 64, 64, 3) uint8; resumable in `out`.

    `says` names what it learns to say of KINDS.

    Raises:
        StoppedEarly: at the deadline; the same call goes on.
    """
    device = torch.device(training_device())
    model = build_toy_reader(tokenizer, seed, hidden_size, layers)
    prepare_vision(model.model.visual)
    model.to(device).train()
    picture_rows = rows_on(pictures, device)
    pad = int(tokenizer.pad_token_id)
    chat = chat_tokens(tokenizer, image_tokens_of(model))
    kinds, shares = zip(*(KINDS[name] for name in KINDS if name in says), strict=True)
    whole = sum(shares)
    shares = shares if len(kinds) == len(KINDS) else tuple(share / whole for share in shares)

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        rng = numpy_rng(seed, "reader-dialogue", step)
        kind = str(rng.choice(kinds, p=shares))
        rows = [dialogue(chat, texts[int(i)], kind, rng) for i in indices]
        tokens, labels = collate_dialogues(rows, pad)
        loss = reader_loss(model, picture_rows.take(indices), tokens, labels)
        return {"loss": loss, kind: loss}

    run_loop(
        LoopSettings(
            name="base-reader",
            out=out,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            checkpoint_every=200,
            log_every=20,
            ema_decay=0.998,
            bf16=bf16,
            deadline=deadline,
        ),
        {"reader": model},
        build_optimizers({"reader": model}, lr=lr, weight_decay=0.05, muon_lr=muon_lr),
        flat_then_decay(warmup=0.01, decay=0.5),
        len(pictures),
        loss_fn,
        progress=progress,
    )
    return model.eval()


def image_tokens_of(model: Qwen2VLForConditionalGeneration, size: int = TOY_IMAGE_SIZE) -> int:
    """Return how many language tokens one square picture of `size` pixels takes."""
    vision = model.config.vision_config
    side: int = size // (vision.patch_size * vision.spatial_merge_size)
    return side * side


@torch.no_grad()
def picture_states(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    pictures: np.ndarray,
    question: str,
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """Return what a frozen reader holds of pictures (N, H, W, 3) uint8 that it is asked about.

    "start" is the hidden state (N, H) where an answer would begin, "picture" the mean over the
    picture's tokens, "layers" both of all layers side by side, "vision" what the vision tower gives
    (N, T H).
    """
    chat = chat_tokens(tokenizer, image_tokens_of(model, pictures.shape[1]))
    asked = chat.picture + tokenizer.encode(question, add_special_tokens=False) + chat.assistant
    row = torch.tensor(asked, device=model.device)
    of_picture = row == model.config.image_token_id
    vision = model.config.vision_config
    found: dict[str, list[np.ndarray]] = {"start": [], "picture": [], "layers": [], "vision": []}
    for first in range(0, len(pictures), batch_size):
        some = np.ascontiguousarray(pictures[first : first + batch_size])
        pixels, grid = patchify(
            torch.from_numpy(some).to(model.device),
            vision.patch_size,
            vision.temporal_patch_size,
            vision.spatial_merge_size,
        )
        tokens = row.expand(len(some), -1)
        read = model.model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            mm_token_type_ids=of_picture.int().expand(len(some), -1),
            pixel_values=pixels,
            image_grid_thw=grid,
            output_hidden_states=True,
            use_cache=False,
        )
        layers = torch.stack(read.hidden_states).float()  # (layers + 1, B, P, H)
        ends, means = layers[:, :, -1], layers[:, :, of_picture].mean(dim=2)  # (layers + 1, B, H)
        both = torch.cat([ends[1:], means[1:]], dim=0).transpose(0, 1).flatten(1)
        seen = layers[0][:, of_picture].flatten(1)  # the tower's output, put in place of the tokens
        for name, values in (
            ("start", ends[-1]),
            ("picture", means[-1]),
            ("layers", both),
            ("vision", seen),
        ):
            found[name].append(values.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


@torch.no_grad()
def describe(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    pictures: np.ndarray,
    question: str = DESCRIBE,
    max_new_tokens: int = 96,
) -> list[str]:
    """Return the greedy answer to one question about each picture (N, H, W, 3) uint8."""
    chat = chat_tokens(tokenizer, image_tokens_of(model, pictures.shape[1]))
    asked = chat.picture + tokenizer.encode(question, add_special_tokens=False) + chat.assistant
    tokens = torch.tensor(asked, device=model.device).expand(len(pictures), -1)
    vision = model.config.vision_config
    pixels, grid = patchify(
        torch.from_numpy(np.ascontiguousarray(pictures)).to(model.device),
        vision.patch_size,
        vision.temporal_patch_size,
        vision.spatial_merge_size,
    )
    said = model.generate(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        mm_token_type_ids=(tokens == model.config.image_token_id).int(),
        pixel_values=pixels,
        image_grid_thw=grid,
        max_new_tokens=max_new_tokens,
        do_sample=False,
    )
    return [text.strip() for text in tokenizer.batch_decode(said[:, len(asked) :], True)]
