"""A model as TRL's trainers take it: an adapter named as peft names it, prompts, a processor.

The adapter moves over and back: a trainer copies the one that it finds, as the policy that the KL
is measured to, and what it has trained is put where the stages have theirs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from transformers import BatchFeature, ProcessorMixin

from emosym.config.schema import LoraSection
from emosym.errors import UsageError
from emosym.extras import require
from emosym.models.adapters import (
    add_adapter,
    has_adapter,
    language_lora,
    put_adapter,
    remove_adapter,
    take_adapter,
)
from emosym.models.chat import INTERNVL, ChatModel, image_token
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.prefix import family
from emosym.models.reader.reader import ADAPTER
from emosym.models.render import (
    add_pictures,
    encoded_pictures,
    expand,
    padded,
    prepared,
    require_sight,
    without_controls,
)
from emosym.types import Conversation

INSIDE = "base_model.model."  # what peft puts before the names of a model that it wraps
TRAINED = "default"  # what peft and TRL call the adapter that is trained
REFERENCE = "ref"  # and TRL the copy of it that stays


@contextmanager
def as_policy(model: EmoSymModel, lora: LoraSection, seed: int) -> Iterator[PeftModel]:
    """Within the block a model's adapter is one of peft's; it is put back as it then is.

    A model without an adapter gets a fresh one, which changes nothing before it is trained.
    """
    backbone: Any = model.reader.reasoner.backbone
    if not has_adapter(backbone, ADAPTER):
        config = language_lora(backbone, lora.r, lora.alpha, lora.dropout, lora.last)
        add_adapter(backbone, config, ADAPTER, seed)
    config, weights = take_adapter(backbone, ADAPTER)
    with warnings.catch_warnings():  # of layers that had another adapter before, which is gone
        warnings.simplefilter("ignore")
        policy = get_peft_model(backbone, config, adapter_name=TRAINED)
    wrapped = {f"{INSIDE}{key}": value for key, value in weights.items()}
    loaded = set_peft_model_state_dict(policy, wrapped, adapter_name=TRAINED)
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    try:
        yield policy
    finally:
        found = get_peft_model_state_dict(policy, adapter_name=TRAINED)
        weights = {k.removeprefix(INSIDE): v.detach().clone() for k, v in found.items()}
        for name in (REFERENCE, TRAINED):
            remove_adapter(backbone, name)
        put_adapter(backbone, ADAPTER, config, weights)
        backbone.requires_grad_(False).eval()


def set_ends(policy: PeftModel, chat: ChatModel) -> None:
    """Let the token that ends a turn end what is generated."""
    own: Any = policy.get_base_model().generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    own.eos_token_id = sorted({chat.end_token, *(end for end in ends if end is not None)})


def rows_of(count: int, row: Callable[[int], dict[str, Any]]) -> Any:
    """Return a data set of `count` rows, each made when asked for: pictures are opened then."""

    def made(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [row(int(index)) for index in batch["row"]]
        return {name: [one[name] for one in rows] for name in rows[0]}

    datasets = require("datasets", "hub")
    return datasets.Dataset.from_dict({"row": list(range(count))}).with_transform(made)


def messages_of(chat: ChatModel, conversation: Conversation) -> list[dict[str, Any]]:
    """Return a conversation as TRL takes it: with its pictures in place, or texts alone.

    Raises:
        UsageError: for a picture that a model of text alone is to see.
    """
    if any(not isinstance(part, str) for message in conversation for part in message.parts):
        require_sight(chat)
    rows: list[dict[str, Any]] = []
    for message in conversation:
        if not chat.reads_pictures:
            text = "".join(without_controls(chat, str(part)) for part in message.parts)
            rows.append({"role": message.role, "content": text})
            continue
        content: list[dict[str, Any]] = [
            {"type": "text", "text": without_controls(chat, part)}
            if isinstance(part, str)
            else {"type": "image", "image": prepared(chat, part)}
            for part in message.parts
        ]
        rows.append({"role": message.role, "content": content})
    return rows


class PictureProcessor(ProcessorMixin):
    """What TRL's trainers render with, for families that are fed by tokenizer and image processor.

    It writes what `models.render` writes. The library's own processors of these families also want
    a video processor, which needs torchvision.
    """

    def __init__(self, chat: ChatModel) -> None:
        """Take what a model has; nothing is loaded."""
        self.chat, self.tokenizer = chat, chat.tokenizer
        self.image_processor, self.chat_template = chat.image_processor, None

    def __repr__(self) -> str:
        """Return the family's name."""
        return f"PictureProcessor({family(self.chat.backbone)})"

    @property
    def model_input_names(self) -> list[str]:
        """Return the names of what it may return."""
        return ["input_ids", "attention_mask", "pixel_values", "image_grid_thw"]

    def save_pretrained(self, *args: Any, **kwargs: Any) -> list[str]:
        """Write nothing: a checkpoint names its base, which has the processors."""
        return []

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """Decode as the tokenizer does."""
        return list(self.tokenizer.batch_decode(*args, **kwargs))

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """Decode as the tokenizer does."""
        return str(self.tokenizer.decode(*args, **kwargs))

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        tokenize: bool = False,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Render one conversation or several; tokenized they have their pictures beside them."""
        kwargs = {k: v for k, v in kwargs.items() if k in ("add_generation_prompt", "tools")}
        kwargs |= {"continue_final_message": False} if "tools" in kwargs else {}
        texts = self.tokenizer.apply_chat_template(
            conversation, chat_template=chat_template, tokenize=False, **kwargs
        )
        if not tokenize:
            return texts
        many = not isinstance(texts, str)
        rows = conversation if many else [conversation]
        images = [
            [part["image"] for m in row for part in m["content"] if part["type"] == "image"]
            for row in rows
        ]
        found = self(images=images, text=texts if many else [texts], padding=False)
        return found if return_dict else found["input_ids"]

    def __call__(
        self,
        images: Sequence[Sequence[Image.Image] | None] | None = None,
        text: str | Sequence[str] = (),
        padding: bool = False,
        padding_side: str = "left",
        **_: Any,
    ) -> BatchFeature:
        """Return the tokens of texts, each picture's in its place, and the pictures' tensors.

        Without `padding` the tokens are lists, one a row.
        """
        texts = [text] if isinstance(text, str) else list(text)
        shown = [list(row or ()) for row in images] if images is not None else [[] for _ in texts]
        encoded, counts = encoded_pictures(self.chat, shown)
        left = iter(counts)
        expanded = [
            expand(self.chat, words, [next(left) for _ in row])
            for words, row in zip(texts, shown, strict=True)
        ]
        rows = [self.tokenizer.encode(words, add_special_tokens=False) for words in expanded]
        inputs: dict[str, Any] = dict(padded(self.chat, rows, padding_side))
        add_pictures(self.chat, inputs, encoded)
        if family(self.chat.backbone) in INTERNVL:
            inputs.pop("num_patches", None)
        if not padding:
            inputs["input_ids"] = rows
            inputs["attention_mask"] = [[1] * len(row) for row in rows]
            if "mm_token_type_ids" in inputs:
                mark = image_token(self.chat)
                inputs["mm_token_type_ids"] = [[int(id == mark) for id in row] for row in rows]
        return BatchFeature(inputs)


def processing_class(chat: ChatModel) -> Any:
    """Return what TRL's trainers render a model's prompts with.

    Raises:
        UsageError: for a model that has no token to fill rows with.
    """
    if chat.tokenizer.pad_token_id is None and chat.tokenizer.eos_token_id is None:
        raise UsageError("This model's tokenizer has neither a padding nor an end token.")
    if not chat.reads_pictures:
        return chat.tokenizer
    return chat.processor or PictureProcessor(chat)
