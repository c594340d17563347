"""Answers in words: spoken greedily, and learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import GenerationConfig

from emosym.errors import UsageError
from emosym.models.chat import ChatModel
from emosym.models.reader.prefix import body, next_logits, of_the_model, rotary_positions
from emosym.models.render import ask_of_pictures, render
from emosym.types import Conversation

MAX_ANSWER_TOKENS = 96


@torch.no_grad()
def answer(
    chat: ChatModel,
    pictures: Sequence[Image.Image],
    questions: Sequence[str],
    max_new_tokens: int = MAX_ANSWER_TOKENS,
) -> list[str]:
    """Answer one question about each picture, greedily; an answer cut short ends at a sentence."""
    return answer_all(chat, ask_of_pictures(pictures, questions), max_new_tokens)


@torch.no_grad()
def answer_all(
    chat: ChatModel, conversations: Sequence[Conversation], max_new_tokens: int = MAX_ANSWER_TOKENS
) -> list[str]:
    """Answer conversations that wait for it, as one batch, as `answer` does."""
    backbone: Any = chat.backbone
    inputs = of_the_model(render(chat, conversations).inputs)
    own = backbone.generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    stops = sorted({chat.end_token, *(end for end in ends if end is not None)})
    pad = chat.tokenizer.pad_token_id
    said = backbone.generate(
        **inputs,
        generation_config=GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=stops,
            pad_token_id=stops[0] if pad is None else pad,
        ),
    )[:, inputs["input_ids"].shape[1] :]
    finished = torch.isin(said, torch.tensor(stops, device=said.device)).any(dim=1)
    texts = chat.tokenizer.batch_decode(said, skip_special_tokens=True)
    return [
        " ".join(printable(text if whole else up_to_sentence(text)).split())
        for text, whole in zip(texts, finished.tolist(), strict=True)
    ]


def answer_losses(chat: ChatModel, conversations: Sequence[Conversation]) -> torch.Tensor:
    """Return the next-token loss of every token of a learned answer (M,); nothing else counts.

    Raises:
        UsageError: when no conversation has a learned message.
    """
    rendered = render(chat, conversations)
    said = rendered.answers[:, 1:]  # (B, P - 1): what the token before is to tell
    if not bool(said.any()):
        raise UsageError("There is no answer to learn in these conversations.")
    inputs = of_the_model(rendered.inputs)
    positions = rotary_positions(chat.backbone, rendered.inputs)
    hidden = body(chat.backbone)(**inputs, position_ids=positions, use_cache=False)
    states = hidden.last_hidden_state[:, :-1][said]  # (M, H)
    logits = next_logits(chat.backbone, states).float()
    return nn.functional.cross_entropy(logits, inputs["input_ids"][:, 1:][said], reduction="none")


def up_to_sentence(text: str) -> str:
    """Cut a text after its last whole sentence; one without any stays as it is."""
    last = max(text.rfind(mark) for mark in ".!?")
    return text[: last + 1] if last > 0 else text


def printable(text: str) -> str:
    """Put spaces in place of line breaks and of signs that would steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
