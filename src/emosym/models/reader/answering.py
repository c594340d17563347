"""A stock model's own words: the greedy answer to a question about each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import GenerationConfig

from emosym.models.chat import ChatModel
from emosym.models.reader.prefix import of_the_model
from emosym.models.render import ask_of_pictures, render

MAX_ANSWER_TOKENS = 96


@torch.no_grad()
def answer(
    chat: ChatModel,
    pictures: Sequence[Image.Image],
    questions: Sequence[str],
    max_new_tokens: int = MAX_ANSWER_TOKENS,
) -> list[str]:
    """Answer one question about each picture, greedily; an answer cut short ends at a sentence."""
    backbone: Any = chat.backbone
    inputs = of_the_model(render(chat, ask_of_pictures(pictures, questions)).inputs)
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


def up_to_sentence(text: str) -> str:
    """Cut a text after its last whole sentence; one without any stays as it is."""
    last = max(text.rfind(mark) for mark in ".!?")
    return text[: last + 1] if last > 0 else text


def printable(text: str) -> str:
    """Put spaces in place of line breaks and of signs that would steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
