"""A reader ready for use: backbone with latent tokens, its tokenizer, its image processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from emosym.data.images import square
from emosym.models.latent_tokens import LatentTokens
from emosym.models.reasoner import EmotionReasoner, Prefix, prefill, vision_features
from emosym.models.tokenizer import TURN_END

TEMPLATES: dict[str, str] = {
    "emosym": "What is the emotion of the image?",
    "picture": "What does this picture make a viewer feel, and why?",
}
SAY_START = "\n"
ADAPTER = "emosym"


@dataclass(frozen=True, slots=True)
class Reader:
    """Everything that turns pictures into a reading.

    `image_size` is the side of the square that pictures are cropped to, or None where the image
    processor keeps their shape. `end_token` ends a spoken rationale.
    """

    reasoner: EmotionReasoner
    tokenizer: PreTrainedTokenizerBase
    image_processor: Any
    image_size: int | None
    template: str
    space: str

    @property
    def tokens(self) -> LatentTokens:
        """The latent tokens."""
        return self.reasoner.latent_tokens

    @property
    def start_token(self) -> int:
        """The token after which a rationale is spoken."""
        return int(self.tokenizer.encode(SAY_START, add_special_tokens=False)[0])

    @property
    def end_token(self) -> int:
        """The token that ends a rationale."""
        return int(self.tokenizer.convert_tokens_to_ids(TURN_END))


def prepare_inputs(reader: Reader, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
    """Turn RGB pictures into the backbone's inputs, padded on the left to one length.

    Returns input_ids, attention_mask, mm_token_type_ids (B, P), pixel_values and image_grid_thw.
    """
    pictures = list(images)
    if reader.image_size is not None:
        pictures = [square(picture, reader.image_size) for picture in pictures]
    encoded = reader.image_processor(images=pictures, return_tensors="pt")
    grid = encoded["image_grid_thw"]
    merge = int(reader.image_processor.merge_size) ** 2
    rows = [prompt_tokens(reader, int(count)) for count in grid.prod(-1) // merge]
    longest = max(len(row) for row in rows)
    pad = int(reader.tokenizer.pad_token_id)
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    config: Any = reader.reasoner.backbone.config
    image_token = int(config.image_token_id)
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == image_token).int() * mask.int(),
        "pixel_values": encoded["pixel_values"],
        "image_grid_thw": grid,
    }
    return {name: tensor.to(reader.reasoner.device) for name, tensor in inputs.items()}


def prompt_tokens(reader: Reader, image_tokens: int) -> list[int]:
    """Return the token ids of everything before [CTX] for one picture."""
    content = [{"type": "image"}, {"type": "text", "text": TEMPLATES[reader.template]}]
    text = reader.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    config: Any = reader.reasoner.backbone.config
    image_pad = reader.tokenizer.convert_ids_to_tokens(config.image_token_id)
    expanded = str(text).replace(str(image_pad), str(image_pad) * image_tokens)
    ids: list[int] = reader.tokenizer.encode(expanded, add_special_tokens=False)
    return ids


@torch.no_grad()
def encode_pictures(reader: Reader, pictures: np.ndarray, batch_size: int = 256) -> torch.Tensor:
    """Run the frozen vision tower over pictures (N, S, S, 3) uint8; returns (N, T, H) fp32."""
    parts: list[torch.Tensor] = []
    for start in range(0, len(pictures), batch_size):
        chunk = [Image.fromarray(p) for p in pictures[start : start + batch_size]]
        encoded = reader.image_processor(images=chunk, return_tensors="pt")
        inputs = {
            "pixel_values": encoded["pixel_values"].to(reader.reasoner.device),
            "image_grid_thw": encoded["image_grid_thw"].to(reader.reasoner.device),
        }
        parts.append(vision_features(reader.reasoner, inputs).float().cpu())
    return torch.cat(parts)


def feature_inputs(reader: Reader, features: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the text side of the inputs for equally sized pictures with features (B, T, H)."""
    row = prompt_tokens(reader, features.shape[1])
    device = reader.reasoner.device
    ids = torch.tensor(row, device=device).expand(len(features), -1)
    config: Any = reader.reasoner.backbone.config
    image_token = int(config.image_token_id)
    merge = int(reader.image_processor.merge_size)
    side = round(features.shape[1] ** 0.5) * merge
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == image_token).int(),
        "image_grid_thw": torch.tensor([[1, side, side]], device=device).expand(len(features), 3),
    }


def prefill_features(reader: Reader, features: torch.Tensor) -> Prefix:
    """Prefill from vision features (B, T, H) computed once by `encode_pictures`."""
    features = features.to(reader.reasoner.device)
    return prefill(reader.reasoner, feature_inputs(reader, features), features)


def domain_features(features: torch.Tensor) -> torch.Tensor:
    """Summarise vision features (N, T, H) for the domain score: means and deviations (N, 2 H)."""
    return torch.cat([features.mean(dim=1), features.std(dim=1)], dim=1)
