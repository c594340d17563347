"""Prompts as tokens, with embeddings put in at the places that are kept for latents.

Text is padded to one fixed length and attention is never masked, in training as in painting: that
is how Stable Diffusion was trained, and padded positions then mean the same thing everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerBase

from emosym.errors import UsageError
from emosym.models.painter.prompt import PLACE
from emosym.models.speed import attention_kind
from emosym.models.tokenizer import CONTEXT_PLACEHOLDER, EMOTION_PLACEHOLDER

# Of the calling thread alone: the table that latents are put in behind, where, and the latents.
_INSERTED: ContextVar[tuple[nn.Module, torch.Tensor, torch.Tensor] | None] = ContextVar(
    "inserted", default=None
)
_PREPARING = threading.Lock()
_PREPARED = "_emosym_inserts"  # on tables that have the hook


def build_text_encoder(
    tokenizer: PreTrainedTokenizerBase,
    width: int = 192,
    layers: int = 2,
    heads: int = 4,
    hidden: int = 384,
    max_length: int = 64,
) -> CLIPTextModel:
    """Build an untrained CLIPTextModel for `tokenizer`: about 0.8 M parameters."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=hidden,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = attention_kind()
    return CLIPTextModel(config)


def add_placeholder_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Teach a tokenizer the two placeholders; no embedding row is needed for them."""
    missing = [
        token
        for token in (EMOTION_PLACEHOLDER, CONTEXT_PLACEHOLDER)
        if token not in tokenizer.get_vocab()
    ]
    if missing:
        tokenizer.add_tokens(missing, special_tokens=True)


def text_length(tokenizer: PreTrainedTokenizerBase, text_encoder: nn.Module) -> int:
    """Return the fixed number L of tokens a prompt is padded to."""
    positions = int(text_encoder.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
    return min(int(tokenizer.model_max_length), positions)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], length: int
) -> torch.Tensor:
    """Return int64 ids (B, L): begin, tokens (cut to fit), end, padding."""
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    padding = tokenizer.pad_token_id
    if begin is None or end is None or padding is None:
        raise UsageError("The painter's tokenizer needs a begin, an end and a padding token.")
    encoded: list[list[int]] = tokenizer(
        list(prompts), add_special_tokens=False, verbose=False
    ).input_ids
    ids = torch.full((len(encoded), length), padding, dtype=torch.int64)  # (B, L)
    for row, tokens in enumerate(encoded):
        kept = [begin, *tokens[: length - 2], end]
        ids[row, : len(kept)] = torch.tensor(kept)
    return ids


def placeholder_mask(tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> torch.Tensor:
    """Return where ids (B, L) are placeholders, bool (B, L)."""
    marks = tokenizer.convert_tokens_to_ids([EMOTION_PLACEHOLDER, CONTEXT_PLACEHOLDER])
    return torch.isin(ids, torch.tensor(marks, device=ids.device))


@contextmanager
def inserted_embeddings(
    text_encoder: nn.Module, mask: torch.Tensor, embeds: torch.Tensor
) -> Iterator[None]:
    """Within the block, input embeddings at `mask` (B, L) are the rows of `embeds` (B, P, D).

    Gradients reach `embeds`. Any text encoder with `get_input_embeddings` will do. Other threads
    that use the encoder meanwhile see nothing of it.

    Raises:
        UsageError: when a row of `mask` does not hold exactly P places.
    """
    expected = embeds.shape[1]
    if mask.shape[0] == embeds.shape[0] and bool((mask.sum(1) < expected).any()):
        raise UsageError(
            f"The prompt is too long: the painter reads {mask.shape[1]} tokens, and the emotion's "
            f"{expected} would be cut off. Shorten what stands before {PLACE}."
        )
    if mask.shape[0] != embeds.shape[0] or not bool((mask.sum(1) == expected).all()):
        raise UsageError(
            f"Each of {mask.shape[0]} prompts needs {expected} placeholders, got "
            f"{mask.sum(1).tolist()} for {embeds.shape[0]} conditions."
        )

    table: nn.Module = text_encoder.get_input_embeddings()  # type: ignore[operator]
    with _PREPARING:
        if not getattr(table, _PREPARED, False):
            table.register_forward_hook(_put_in)
            setattr(table, _PREPARED, True)
    token = _INSERTED.set((table, mask, embeds))
    try:
        yield
    finally:
        _INSERTED.reset(token)


def _put_in(table: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    """Stay on a table for good: hooks that come and go would meet other threads' calls."""
    inserted = _INSERTED.get()
    if inserted is None or inserted[0] is not table:
        return output
    _, mask, embeds = inserted
    return output.masked_scatter(mask[..., None], embeds.to(output.dtype))  # (B, L, D)
