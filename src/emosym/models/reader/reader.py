"""A reader ready for use: backbone with latent tokens, its tokenizer, its image processor."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models import chat as chats
from emosym.models.chat import ChatModel
from emosym.models.reader.latent_tokens import WITHIN, LatentTokens
from emosym.models.reader.prefix import STOPS, Prefix, prefill, vision_features
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS, EmotionReasoner
from emosym.models.render import ask_of_pictures, padded, render, row_tokens
from emosym.models.render_turns import render_turns
from emosym.models.turn_windows import Fitted, each_alone, fit, head_tokens, until_focus
from emosym.tasks.question import QUESTIONS, ask
from emosym.types import Message, Sample

TEMPLATES = QUESTIONS
TURNS = "turns"  # conversations are read all turns at once; pictures as with OF_PICTURES
OF_PICTURES = "emosym"
SAY_START = "\n"
ADAPTER = "emosym"


@dataclass(frozen=True, slots=True)
class Reader:
    """Everything that turns pictures into a reading.

    `image_size`, `processor`: see `ChatModel`. `space` is that of the head that answers. Without
    `history` a turn of a conversation is read by itself, as it was learned.
    """

    reasoner: EmotionReasoner
    tokenizer: PreTrainedTokenizerBase
    image_processor: Any
    image_size: int | None
    template: str
    space: LabelSpace
    processor: Any = None
    history: bool = True

    @property
    def chat(self) -> ChatModel:
        """The backbone with what feeds it, without the latent tokens."""
        return ChatModel(
            self.reasoner.backbone,
            self.tokenizer,
            self.image_processor,
            self.image_size,
            self.processor,
        )

    @property
    def question(self) -> str:
        """What is asked about a picture, or about words in the turn-by-turn form."""
        return TEMPLATES[OF_PICTURES if self.template == TURNS else self.template]

    @property
    def tokens(self) -> LatentTokens:
        """The latent tokens."""
        return self.reasoner.latent_tokens

    @property
    def spare_tokens(self) -> int:
        """How many tokens may follow a prompt: the latent ones and a rationale."""
        return self.tokens.num_context_tokens + 1 + MAX_RATIONALE_TOKENS

    @property
    def start_token(self) -> int:
        """The token after which a rationale is spoken."""
        return int(self.tokenizer.encode(SAY_START, add_special_tokens=False)[0])

    @property
    def end_token(self) -> int:
        """The token that ends a spoken rationale."""
        return self.chat.end_token


def prepare_inputs(reader: Reader, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
    """Turn RGB pictures into the backbone's inputs, padded on the left to one length.

    Returns input_ids, attention_mask (B, P), and the family's picture tensors.
    """
    return with_stops(reader, render(reader.chat, ask_of_pictures(images, reader.question)).inputs)


def prepare_samples(reader: Reader, samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
    """Turn samples into the backbone's inputs, as the task asks about them; see `render`.

    Rows may hold no, one or several pictures. With the template `turns` conversations are rendered
    as `render_turns` does, up to the turn in question, after which the latents come at once.

    Raises:
        UsageError: for a batch of conversations and single pictures with that template.
    """
    if reader.template == TURNS and not all(sample.is_picture for sample in samples):
        if any(sample.is_picture for sample in samples):
            raise UsageError("Single pictures and conversations are asked about in other words.")
        cut = [until_focus(fit_turns(reader, sample)) for sample in samples]
        return render_turns(reader.chat, cut, TEMPLATES[TURNS]).inputs
    asked = [ask(sample, reader.question) for sample in samples]
    return with_stops(reader, render(reader.chat, asked).inputs)


def with_stops(reader: Reader, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return inputs with `stops` (B, K) where a reader's context tokens stand after sentences."""
    tokens = reader.tokens
    if tokens.after not in WITHIN or not tokens.num_context_tokens:
        return inputs
    words = sentence_marks(reader.tokenizer)
    asked = reader.tokenizer.encode(reader.question, add_special_tokens=False)
    ids, device = inputs["input_ids"].cpu(), inputs["input_ids"].device
    marked = torch.isin(ids, torch.tensor(sorted(words)))  # (B, P)
    picture = torch.zeros_like(marked)
    if reader.chat.reads_pictures:
        picture = ids == chats.image_token(reader.chat)
    shown = inputs["attention_mask"].cpu().bool()
    ends = sum(token in words for token in asked)
    rows = [
        stops_of(_columns(one), _columns(other), ends)
        for one, other in zip(marked & shown, picture & shown, strict=True)
    ]
    count = tokens.num_context_tokens
    columns = [([row[0]] * count + row)[-count:] for row in rows]
    return {**inputs, STOPS: torch.tensor(columns, device=device)}


def _columns(row: torch.Tensor) -> list[int]:
    """Return the columns of a row (P,) that are True."""
    found: list[int] = torch.nonzero(row)[:, 0].tolist()
    return found


def stops_of(marks: list[int], picture: list[int], asked: int) -> list[int]:
    """Return how many columns stand before each stop of a row: its picture's end, sentences' ends.

    `marks` are the columns of tokens that end a sentence, `picture` those of pictures; the last
    `asked` sentences are the question, after which nothing stops. Without a picture the first stop
    is the first sentence's; with nothing at all it is the first column's.
    """
    said = marks[: len(marks) - asked] if asked else marks
    begin = [picture[-1] + 1] if picture else []
    told = [column + 1 for column in said if not picture or column > picture[-1]]
    return begin + told or [1]


@functools.lru_cache(maxsize=8)
def sentence_marks(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the tokens that end a sentence: a full stop or the like, whatever comes before it."""
    texts = {i: tokenizer.decode([i]).rstrip() for i in range(len(tokenizer))}
    special = set(tokenizer.all_special_ids)
    return frozenset(i for i, t in texts.items() if t.endswith(tuple(".!?")) and i not in special)


def fit_turns(reader: Reader, sample: Sample, head: int | None = None) -> Fitted:
    """Return a conversation as a reader can read it: see `turn_windows.fit`."""
    fitted = fit(reader.chat, sample, TEMPLATES[TURNS], reader.spare_tokens, head)
    return fitted if reader.history else replace(fitted, spans=each_alone(len(sample.turns)))


def head_of_turns(reader: Reader) -> int:
    """Return how many tokens stand before the first turn of every conversation."""
    return head_tokens(reader.chat, TEMPLATES[TURNS])


def prompt_tokens(reader: Reader, image_tokens: int) -> list[int]:
    """Return the token ids of everything before [CTX] for one picture."""
    asked = (Message("user", (b"", reader.question)),)
    return row_tokens(reader.chat, asked, [image_tokens])[0]


@torch.no_grad()
def encode_pictures(reader: Reader, pictures: np.ndarray, batch_size: int = 64) -> torch.Tensor:
    """Run the frozen vision tower over pictures (N, S, S, 3) uint8; returns (N, T, H) fp32."""
    parts: list[torch.Tensor] = []
    for start in range(0, len(pictures), batch_size):
        chunk = [Image.fromarray(p) for p in pictures[start : start + batch_size]]
        encoded = reader.image_processor(images=chunk, return_tensors="pt")
        inputs = {
            "pixel_values": encoded["pixel_values"].to(reader.reasoner.device),
            "image_grid_thw": encoded["image_grid_thw"].to(reader.reasoner.device),
        }
        parts.append(vision_features(reader.reasoner.backbone, inputs).float().cpu())
    return torch.cat(parts)


def token_rows(
    reader: Reader, samples: Sequence[Sample], image_tokens: int
) -> tuple[list[int], ...]:
    """Return the tokens of everything before [CTX] of samples with one picture each."""
    asked = (ask(sample, reader.question) for sample in samples)
    return tuple(row_tokens(reader.chat, one, [image_tokens])[0] for one in asked)


def feature_inputs(
    reader: Reader, features: torch.Tensor, rows: Sequence[list[int]] | None = None
) -> dict[str, torch.Tensor]:
    """Return the text side of the inputs for equally sized pictures with features (B, T, H).

    `rows` are the tokens of each, of a picture alone unless given.
    """
    device = reader.reasoner.device
    if rows is None:
        row = prompt_tokens(reader, features.shape[1])
        ids = torch.tensor(row, device=device).expand(len(features), -1)
        mask = torch.ones_like(ids)
    else:
        text = padded(reader.chat, rows)
        ids, mask = text["input_ids"].to(device), text["attention_mask"].to(device)
    merge = int(reader.image_processor.merge_size)
    side = round(features.shape[1] ** 0.5) * merge
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == chats.image_token(reader.chat)).int() * mask.int(),
        "image_grid_thw": torch.tensor([[1, side, side]], device=device).expand(len(features), 3),
    }
    return with_stops(reader, inputs)


def prefill_features(
    reader: Reader, features: torch.Tensor, rows: Sequence[list[int]] | None = None
) -> Prefix:
    """Prefill from vision features (B, T, H) computed once by `encode_pictures`; see above."""
    features = features.to(reader.reasoner.device)
    return prefill(reader.reasoner.backbone, feature_inputs(reader, features, rows), features)


def domain_features(features: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """Summarise vision features, (T_i, H) a picture: means and deviations (N, 2 H)."""
    if isinstance(features, torch.Tensor):
        return torch.cat([features.mean(dim=1), features.std(dim=1)], dim=1)
    rows = [f.float() for f in features]
    return torch.stack([torch.cat([f.mean(dim=0), f.std(dim=0)]) for f in rows])
