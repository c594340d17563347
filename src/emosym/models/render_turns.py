"""Conversations into one row of tokens each, with the place where every turn ends.

Each turn is tokenized on its own, so that the tokens until its end do not depend on what is said
after it: a conversation that is cut at a turn is the beginning of the whole one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from emosym.errors import UsageError
from emosym.models.chat import ChatModel
from emosym.models.render import (
    FRAMES,
    add_pictures,
    encoded_pictures,
    expand,
    padded,
    prepared,
    require_sight,
    template_message,
    templated,
)
from emosym.tasks.question import one_line
from emosym.types import Frame, Message, Sample, Turn

MARK = "\ue000"  # a private character: ends each turn until the row is cut there


@dataclass(frozen=True, slots=True)
class RenderedTurns:
    """A batch of conversations: `inputs` as in `render.Rendered`, `ends` (B, N), -1 for none."""

    inputs: dict[str, torch.Tensor]
    ends: torch.Tensor


def render_turns(chat: ChatModel, samples: Sequence[Sample], question: str) -> RenderedTurns:
    """Turn conversations into one batch: the question, then a line a turn.

    Raises:
        UsageError: for a conversation without turns, a picture that cannot be read, and a family
            of models that is fed by its own processor alone.
    """
    if chat.processor is not None:
        raise UsageError("This family of models is read turn by turn: its processor takes no more.")
    pictures = [[prepared(chat, frame) for frame in sample.images] for sample in samples]
    if any(pictures):
        require_sight(chat)
    encoded, sizes = encoded_pictures(chat, pictures)
    rows, ends, left = [], [], iter(sizes)
    for sample in samples:
        row: list[int] = []
        ends.append(
            [len(row := row + piece) - 1 for piece in turn_tokens(chat, sample, question, left)]
        )
        rows.append(row)
    inputs = padded(chat, rows)
    add_pictures(chat, inputs, encoded)
    if any(len(row) != 1 for row in pictures):
        inputs[FRAMES] = torch.tensor([len(row) for row in pictures])
    width, most = inputs["input_ids"].shape[1], max(map(len, ends))
    shifted = [
        [end + width - len(row) for end in places] + [-1] * (most - len(places))
        for row, places in zip(rows, ends, strict=True)
    ]
    on_device = {name: tensor.to(chat.device) for name, tensor in inputs.items()}
    return RenderedTurns(on_device, torch.tensor(shifted, device=chat.device))


def turn_tokens(
    chat: ChatModel, sample: Sample, question: str, sizes: Iterator[int]
) -> list[list[int]]:
    """Return the tokens of each turn; the first begins with the question."""
    if not sample.turns:
        raise UsageError(f"Sample {sample.id!r} has no turn.")
    parts: list[str | Frame] = [question + "\n"]
    for turn in sample.turns:
        parts += [*turn.frames, turn_line(turn) + MARK]
    text = templated(chat, [template_message(chat, Message("user", tuple(parts)))], True)
    pieces = text.split(MARK)[:-1]
    if len(pieces) != len(sample.turns):
        raise UsageError(
            f"This model's chat template kept {len(pieces)} of {len(sample.turns)} turns: it is "
            "read turn by turn."
        )
    tokens = []
    for turn, piece in zip(sample.turns, pieces, strict=True):
        whole = expand(chat, piece, [next(sizes) for _ in turn.frames])
        tokens.append(list(chat.tokenizer.encode(whole, add_special_tokens=False)))
    return tokens


def turn_line(turn: Turn) -> str:
    """Return a turn's words as a line with its speaker's name."""
    said = one_line((turn.text or "").replace(MARK, ""))
    return f"{turn.speaker}: {said}\n" if turn.speaker else f"{said}\n"
