"""A model with what feeds it: tokenizer, image processor or its own processor.

Two families are fed by their image processor and tokenizer alone (their whole processors need
torchvision for videos): Qwen-VL and InternVL. Any other goes through its own processor. Text
alone needs the tokenizer only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoImageProcessor, AutoProcessor, PreTrainedTokenizerBase

from emosym.errors import EmoSymError, UsageError
from emosym.models.reader.prefix import family
from emosym.models.tokenizer import TURN_END, is_plain, load_tokenizer, own_template

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
INTERNVL = ("internvl",)


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model with what feeds it.

    `image_size` is the side of the square that pictures are cropped to, or None where the image
    processor keeps their shape. `processor` is the model's own, for families other than Qwen-VL
    and InternVL. A model of text alone has neither processor.
    """

    backbone: nn.Module
    tokenizer: PreTrainedTokenizerBase
    image_processor: Any
    image_size: int | None
    processor: Any = None

    @property
    def end_token(self) -> int:
        """The token that ends a turn: of a model without a chat template the line's end."""
        if is_plain(self.tokenizer):
            return int(self.tokenizer.encode("\n", add_special_tokens=False)[-1])
        if TURN_END in self.tokenizer.get_vocab():
            return int(self.tokenizer.convert_tokens_to_ids(TURN_END))
        return int(self.tokenizer.eos_token_id)

    @property
    def shaping(self) -> Any:
        """The image processor that decides what shapes are taken; None where all are cut square."""
        if self.image_size is not None:
            return None
        return self.image_processor or getattr(self.processor, "image_processor", None)

    @property
    def reads_pictures(self) -> bool:
        """Whether it takes pictures; one that does not takes text alone."""
        return self.image_processor is not None or self.processor is not None

    @property
    def renderer(self) -> Any:
        """What holds the chat template."""
        return self.processor or self.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the token embeddings are."""
        table = self.backbone.get_input_embeddings()  # type: ignore[operator]
        device: torch.device = table.weight.device
        return device


def image_token_counts(chat: ChatModel, encoded: Mapping[str, Any]) -> list[int]:
    """Return how many tokens each encoded picture becomes in the prompt."""
    if "image_grid_thw" in encoded:
        merge = int(chat.image_processor.merge_size) ** 2
        return [int(n) for n in torch.as_tensor(encoded["image_grid_thw"]).prod(-1) // merge]
    tiles = torch.as_tensor(encoded["num_patches"])
    return [int(n) * tokens_per_tile(chat.backbone) for n in tiles]


def tokens_per_tile(backbone: nn.Module) -> int:
    """Return how many tokens one tile of InternVL becomes."""
    config: Any = backbone.config
    return int(config.image_seq_length)


def longest_picture(chat: ChatModel) -> int:
    """Return the most tokens a picture can become, of a Qwen-VL or InternVL model."""
    processor = chat.image_processor
    if family(chat.backbone) in INTERNVL:
        tiles = int(processor.max_patches) if processor.crop_to_patches else 1
        return (tiles + (tiles > 1)) * tokens_per_tile(chat.backbone)  # and a thumbnail of all
    return int(processor.size["longest_edge"]) // (processor.patch_size * processor.merge_size) ** 2


def image_token(chat: ChatModel) -> int:
    """Return the id of the token that stands for a piece of a picture."""
    config: Any = chat.backbone.config
    return int(config.image_token_id)


def load_processors(
    folder: Path, model_type: str, max_pixels: int | None
) -> tuple[PreTrainedTokenizerBase, Any, Any]:
    """Return tokenizer, image processor and, for other families, the model's own processor.

    `max_pixels` bounds what a picture may cost: it is scaled down to so many pixels (Qwen-VL), or
    cut into so many tiles of the vision tower's size (InternVL).

    Raises:
        UsageError: when the folder lacks one of them.
        EmoSymError: when the model's own processor cannot be opened.
    """
    tokenizer = load_tokenizer(folder)
    if not any(
        (folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")
    ):
        raise UsageError(f"No image processor in {folder}: preprocessor_config.json is missing.")
    if model_type not in (*QWEN, *INTERNVL):
        return tokenizer, None, _load_own(folder)
    processor: Any = AutoImageProcessor.from_pretrained(
        folder, local_files_only=True, backend="pil"
    )
    if model_type in INTERNVL:
        side = processor.size["height"]
        tiles = 1 if max_pixels is None else max(1, max_pixels // side**2)
        processor.crop_to_patches, processor.max_patches = tiles > 1, tiles
    elif max_pixels is not None:
        least = min(processor.size["shortest_edge"], max_pixels)
        processor.size = {"shortest_edge": least, "longest_edge": max_pixels}
    return tokenizer, processor, None


def _load_own(folder: Path) -> Any:
    try:
        processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (ImportError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise EmoSymError(
            f"The processor in {folder} cannot be opened: {reason} Some need torchvision."
        ) from error
    if not hasattr(processor, "image_processor"):
        raise EmoSymError(
            f"The processor in {folder} has no image processor here: it needs torchvision."
        )
    if not getattr(processor, "chat_template", None):
        processor.chat_template = own_template(folder)
    # as `_own_processor` will: see `settle`
    processor.tokenizer([""], padding=True, padding_side="left", return_tensors="pt")
    return processor
