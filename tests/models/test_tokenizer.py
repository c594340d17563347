"""The toy tokenizer: any text survives it, special names are single tokens, slots are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from emosym.errors import UsageError
from emosym.models.tokenizer import IMAGE_PAD, RESERVED, SPECIALS, load_tokenizer, train_tokenizer

TEXTS = ["a red house on a hill", "a blue house by the sea"] * 8
TOKENIZER = train_tokenizer(TEXTS, 340)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40).filter(lambda text: "<|" not in text))
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text


def test_special_names_are_single_tokens_at_fixed_places() -> None:
    assert [TOKENIZER.encode(t, add_special_tokens=False) for t in SPECIALS] == [
        [i] for i in range(len(SPECIALS))
    ]
    assert len(RESERVED) == 16 and len(set(SPECIALS)) == len(SPECIALS)
    assert len(train_tokenizer(TEXTS, 290)) == 290


def test_frequent_words_are_short_and_digits_are_single() -> None:
    assert len(TOKENIZER.encode(" house", add_special_tokens=False)) == 1
    assert len(TOKENIZER.encode("2048", add_special_tokens=False)) == 4


def test_chat_template() -> None:
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": "A hill."},
    ]
    text = TOKENIZER.apply_chat_template(chat, tokenize=False)
    assert text == (
        f"<|im_start|>user\n<|vision_start|>{IMAGE_PAD}<|vision_end|>What?<|im_end|>\n"
        "<|im_start|>assistant\nA hill.<|im_end|>\n"
    )
    asked = TOKENIZER.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert asked.endswith("What?<|im_end|>\n<|im_start|>assistant\n")


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(str(tmp_path))
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, PreTrainedTokenizerBase)
    text = "a house,\n" + "".join(SPECIALS)
    assert loaded.encode(text) == TOKENIZER.encode(text)
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.bos_token_id) == (0, 0, 1)
    assert loaded.chat_template == TOKENIZER.chat_template


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer_config\.json is missing"):
        load_tokenizer(tmp_path)
