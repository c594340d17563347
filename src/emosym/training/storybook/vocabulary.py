"""Let a toy reader's tokenizer grow: words that are said often become one token each.

A stock model's tokenizer has met everyday words; the toy one has met captions of pictures only, and
would spell every name of a conversation.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from emosym.files import read_json
from emosym.models.tokenizer import load_tokenizer


def grow_tokenizer(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], least: int
) -> PreTrainedTokenizerBase:
    """Return the tokenizer with a token for each word that `texts` say at least `least` times.

    What was one token stays it, with its number; merges are added after those there are (byte-pair
    encoding; Sennrich et al. 2016), so words not in `texts` may at most become shorter.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save_pretrained(folder)
        written = folder / "tokenizer.json"
        whole = read_json(written, "tokenizer")
        vocabulary: dict[str, int] = whole["model"]["vocab"]
        merges: list[list[str]] = whole["model"]["merges"]
        for word in frequent_words(tokenizer, texts, least):
            pieces = tokenizer.tokenize(decoded(tokenizer, word))
            grown = pieces[0]
            for piece in pieces[1:]:
                if grown + piece not in vocabulary:
                    vocabulary[grown + piece] = len(vocabulary)
                if [grown, piece] not in merges:
                    merges.append([grown, piece])
                grown += piece
        written.write_text(json.dumps(whole), encoding="utf-8")
        return load_tokenizer(folder)


def frequent_words(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], least: int
) -> list[str]:
    """Return the words said at least `least` times, most frequent first, as byte-level pieces."""
    split = backend(tokenizer).pre_tokenizer.pre_tokenize_str
    counts = Counter(piece for text in texts for piece, _ in split(text))
    return [word for word, count in sorted(counts.items(), key=_rank) if count >= least]


def _rank(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def decoded(tokenizer: PreTrainedTokenizerBase, word: str) -> str:
    """Return a word of byte-level pieces as text."""
    text: str = backend(tokenizer).decoder.decode([word])
    return text


def backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the tokenizer of the library below."""
    return tokenizer.backend_tokenizer


@torch.no_grad()
def grow_reader(
    model: Qwen2VLForConditionalGeneration,
    old: PreTrainedTokenizerBase,
    new: PreTrainedTokenizerBase,
) -> None:
    """Give a reader embeddings of the tokens that `new` adds to `old`: the mean of their parts'."""
    before = len(old)
    model.resize_token_embeddings(len(new), mean_resizing=False)
    embeddings = model.get_input_embeddings().weight  # (V, H), also those of the output
    for token in range(before, len(new)):
        text = backend(new).decoder.decode([new.convert_ids_to_tokens(token)])
        parts = old.encode(text, add_special_tokens=False)
        embeddings[token] = embeddings[parts].mean(dim=0)
