"""A tokenizer that grows: one token for a frequent word, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.models.tokenizer import SPECIALS, load_tokenizer
from emosym.training.storybook.vocabulary import grow_reader, grow_tokenizer

TEXTS = ["Zoe: The xylophone, well.\n"] * 3 + ["Jon: The zebra, Zoe's.\n"]


@pytest.fixture
def old(tiny_base: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_base / "reader")


def test_frequent_words_are_one_token_and_rare_ones_stay_spelled(
    old: PreTrainedTokenizerBase,
) -> None:
    new = grow_tokenizer(old, TEXTS, 3)
    assert len(old.tokenize(" xylophone")) > 2 and len(old.tokenize("Zoe")) > 1
    assert new.tokenize("Zoe: The xylophone") == ["Zoe", ":", "ĠThe", "Ġxylophone"]
    assert new.tokenize(" zebra") == old.tokenize(" zebra")  # once only
    assert new.tokenize("Zoe's")[0] == "Zoe"
    text = "".join(TEXTS) + "<|im_end|>\nA child with a ball, 12 é."
    assert new.decode(new.encode(text)) == text


def test_old_tokens_keep_their_numbers(old: PreTrainedTokenizerBase) -> None:
    new = grow_tokenizer(old, TEXTS, 1)
    assert old.get_vocab().items() <= new.get_vocab().items() and len(new) > len(old)
    assert sorted(new.get_vocab().values()) == list(range(len(new)))
    assert [new.convert_tokens_to_ids(name) for name in SPECIALS] == list(range(len(SPECIALS)))
    assert new.pad_token_id == old.pad_token_id and new.chat_template == old.chat_template
    assert grow_tokenizer(new, TEXTS, 1).get_vocab() == new.get_vocab()


def test_nothing_grows_where_nothing_is_frequent(old: PreTrainedTokenizerBase) -> None:
    assert grow_tokenizer(old, TEXTS, 100).get_vocab() == old.get_vocab()


def test_a_new_embedding_is_the_mean_of_those_of_its_parts(
    old: PreTrainedTokenizerBase, tiny_base: Path
) -> None:
    model = load_backbone(resolve_base(str(tiny_base)), "cpu").float()
    before = model.get_input_embeddings().weight.detach().clone()
    new = grow_tokenizer(old, TEXTS, 3)
    grow_reader(model, old, new)
    after = model.get_input_embeddings().weight.detach()
    assert after.shape == (len(new), before.shape[1]) and torch.equal(after[: len(old)], before)
    token = new.convert_tokens_to_ids("Ġxylophone")
    parts = old.encode(" xylophone", add_special_tokens=False)
    assert torch.allclose(after[token], before[parts].mean(dim=0))
    assert model.get_output_embeddings().weight.shape == after.shape
    assert model.config.get_text_config().vocab_size == len(new)
