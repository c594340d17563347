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


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a local folder, ready for calls from any thread.

    Raises:
        UsageError: when the folder holds no tokenizer.
    """
    if not (folder / "tokenizer_config.json").is_file():
        raise UsageError(f"No tokenizer in {folder}: tokenizer_config.json is missing.")
    loaded: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not isinstance(loaded, PreTrainedTokenizerBase):
        raise UsageError(f"{folder} does not hold a tokenizer.")
    settle(loaded)
    return loaded
