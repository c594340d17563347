"""The toy tokenizer: byte-level BPE shared by reader and painter, with Qwen's special names.

It is trained on captions, rationales and dialogues, and keeps reserved slots, so that later
tasks do not break shipped weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from emosym.errors import UsageError
from emosym.files import read_json

END = "<|endoftext|>"
START = "<|startoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"
EMOTION_PLACEHOLDER = "<|emo|>"
CONTEXT_PLACEHOLDER = "<|ctx|>"
RESERVED = tuple(f"<|reserved_{i}|>" for i in range(16))
SPECIALS = (
    END,
    START,
    TURN_START,
    TURN_END,
    VISION_START,
    VISION_END,
    IMAGE_PAD,
    VIDEO_PAD,
    EMOTION_PLACEHOLDER,
    CONTEXT_PLACEHOLDER,
    *RESERVED,
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train byte-level BPE on `texts`; `vocab_size` counts special tokens and reserved slots."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        additional_special_tokens=list(SPECIALS[2:]),
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def settle(tokenizer: PreTrainedTokenizerBase) -> None:
    """Call a tokenizer once as it will be called: it sets itself up then, and threads may follow.

    Its rules of padding and cutting belong to the object, and two first calls at once collide.
    """
    tokenizer([""], add_special_tokens=False)


# Of language models that have none: a dialogue in plain text, a line a turn. `{bos}` stands for the
# token that the model's texts begin with, if any.
PLAIN_TEMPLATE = (
    "{bos}{% for message in messages %}"
    "{{ 'User: ' if message['role'] == 'user' else 'Assistant: ' }}"
    "{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "processor_config.json")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer, with the chat template in any of its files, ready for any thread.

    Raises:
        UsageError: when the folder holds no tokenizer.
    """
    if not (folder / "tokenizer_config.json").is_file():
        raise UsageError(f"No tokenizer in {folder}: tokenizer_config.json is missing.")
    loaded: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not isinstance(loaded, PreTrainedTokenizerBase):
        raise UsageError(f"{folder} does not hold a tokenizer.")
    if not loaded.chat_template:
        loaded.chat_template = own_template(folder)
    settle(loaded)
    return loaded


def own_template(folder: Path) -> str | None:
    """Return the chat template in one of TEMPLATE_FILES, or None.

    Raises:
        UsageError: when such a file is not JSON, or its template is no text.
    """
    for name in TEMPLATE_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if path.suffix == ".jinja":
            return path.read_text(encoding="utf-8")
        described = read_json(path, "chat template")
        found = described.get("chat_template") if isinstance(described, dict) else None
        if isinstance(found, list):  # [{"name": "default", "template": ...}, ...]
            found = {entry.get("name"): entry.get("template") for entry in found}
        if isinstance(found, dict):
            found = found.get("default")
        if isinstance(found, str):
            return found
        if found is not None:
            raise UsageError(f"The chat template in {path} must be text.")
    return None


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return PLAIN_TEMPLATE for a tokenizer, which may begin every text with a token of its own."""
    first = tokenizer.encode("a")[:1]
    begins = tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]
    return PLAIN_TEMPLATE.replace("{bos}", "{{ bos_token }}" if begins else "")


def is_plain(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer's chat template is PLAIN_TEMPLATE."""
    return str(tokenizer.chat_template).removeprefix("{{ bos_token }}") == PLAIN_TEMPLATE.replace(
        "{bos}", ""
    )
