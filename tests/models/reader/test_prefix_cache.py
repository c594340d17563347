"""Attention over a prefix kept apart equals the library's over one cache, gradients included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import DynamicCache, Qwen2VLForConditionalGeneration

from emosym.models.reader.prefix_cache import SPLIT, PrefixLayer, prefix_cache, splitting
from emosym.models.reader.toy import build_toy_reader
from emosym.models.tokenizer import train_tokenizer

PREFIX, NEW, BATCH = 7, 3, 2


@pytest.fixture(scope="module")
def model() -> Qwen2VLForConditionalGeneration:
    return build_toy_reader(train_tokenizer(["a red house"] * 4, 300), 0, 192, 2).eval()


def inputs(model: Qwen2VLForConditionalGeneration) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(BATCH, PREFIX + NEW, model.config.text_config.hidden_size)
    embeds = embeds.normal_(generator=generator)
    hidden = torch.zeros(BATCH, 1, PREFIX + NEW, PREFIX + NEW, dtype=torch.bool)
    hidden |= torch.ones(PREFIX + NEW, PREFIX + NEW, dtype=torch.bool).triu(1)
    hidden[1, :, PREFIX:, 2] = True  # the second row's new tokens do not see column 2
    return embeds, torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)


def run_apart(
    model: Qwen2VLForConditionalGeneration,
    embeds: torch.Tensor,
    mask: torch.Tensor,
    steps: tuple[int, ...],
) -> tuple[torch.Tensor, DynamicCache]:
    """Prefill as the library does, then add the new tokens a few at a time."""
    language, prefix = model.model.language_model, DynamicCache()
    language(
        inputs_embeds=embeds[:, :PREFIX],
        attention_mask=mask[:, :, :PREFIX, :PREFIX],
        past_key_values=prefix,
        use_cache=True,
    )
    cache = prefix_cache([x.keys for x in prefix.layers], [x.values for x in prefix.layers])
    parts, start = [], PREFIX
    with splitting(language):
        for count in steps:
            end = start + count
            position = torch.arange(start, end).expand(BATCH, -1)
            parts.append(
                language(
                    inputs_embeds=embeds[:, start:end],
                    attention_mask=mask[:, :, start:end, :end],
                    position_ids=position,
                    past_key_values=cache,
                    use_cache=True,
                ).last_hidden_state
            )
            start = end
    return torch.cat(parts, dim=1), cache


@pytest.mark.parametrize("steps", [(3,), (1, 1, 1), (2, 1)])
def test_it_equals_one_forward_and_its_gradients(
    model: Qwen2VLForConditionalGeneration, steps: tuple[int, ...]
) -> None:
    embeds, mask = inputs(model)
    embeds.requires_grad_()
    whole = model.model.language_model(
        inputs_embeds=embeds, attention_mask=mask, use_cache=False
    ).last_hidden_state[:, PREFIX:]
    apart, cache = run_apart(model, embeds, mask, steps)
    torch.testing.assert_close(apart, whole, atol=2e-5, rtol=1e-4)
    assert cache.get_seq_length() == PREFIX + NEW
    weight = torch.randn(whole.shape, generator=torch.Generator().manual_seed(1))
    (wanted,) = torch.autograd.grad((whole * weight).sum(), embeds)
    (found,) = torch.autograd.grad((apart * weight).sum(), embeds)  # through the prefix too
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_a_hidden_column_is_not_seen(model: Qwen2VLForConditionalGeneration) -> None:
    embeds, mask = inputs(model)
    first, _ = run_apart(model, embeds, mask, (1, 2))
    language, prefix = model.model.language_model, DynamicCache()
    language(
        inputs_embeds=embeds[:, :PREFIX],
        attention_mask=mask[:, :, :PREFIX, :PREFIX],
        past_key_values=prefix,
        use_cache=True,
    )
    keys = [layer.keys.clone() for layer in prefix.layers]
    for key in keys:
        key[1, :, 2] += 5.0
    with splitting(language):
        other = language(
            inputs_embeds=embeds[:, PREFIX:],
            attention_mask=mask[:, :, PREFIX:],
            position_ids=torch.arange(PREFIX, PREFIX + NEW).expand(BATCH, -1),
            past_key_values=prefix_cache(keys, [layer.values for layer in prefix.layers]),
            use_cache=True,
        ).last_hidden_state
    torch.testing.assert_close(other, first, atol=2e-5, rtol=1e-4)
    with splitting(language):  # the library's own cache is read as well
        plain = language(
            inputs_embeds=embeds[:, PREFIX:],
            attention_mask=mask[:, :, PREFIX:],
            position_ids=torch.arange(PREFIX, PREFIX + NEW).expand(BATCH, -1),
            past_key_values=prefix,
            use_cache=True,
        ).last_hidden_state
    torch.testing.assert_close(plain, first, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_the_prefix_is_shared_and_unchanged(model: Qwen2VLForConditionalGeneration) -> None:
    embeds, mask = inputs(model)
    _, cache = run_apart(model, embeds, mask, (1, 1, 1))
    layer = cache.layers[0]
    assert isinstance(layer, PrefixLayer)
    again = prefix_cache([layer.prefix_keys], [layer.prefix_values])
    kept = layer.prefix_keys.clone()
    new = torch.ones(BATCH, layer.prefix_keys.shape[1], 1, layer.prefix_keys.shape[3])
    keys, _ = again.update(new, new, 0)
    assert keys.prefix is layer.prefix_keys
    assert torch.equal(keys.prefix, kept)
    assert torch.equal(keys.after, new)


@torch.no_grad()
def test_autocast_casts_the_prefix_once(model: Qwen2VLForConditionalGeneration) -> None:
    keys = torch.ones(1, 2, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer = prefix_cache([keys], [keys]).layers[0]
    assert layer.prefix_keys.dtype == torch.bfloat16
    assert prefix_cache([keys], [keys]).layers[0].prefix_keys is keys


def test_the_models_own_attention_comes_back(model: Qwen2VLForConditionalGeneration) -> None:
    language = model.model.language_model
    before = language.config._attn_implementation
    with pytest.raises(ZeroDivisionError), splitting(language):
        assert language.config._attn_implementation != before
        raise ZeroDivisionError
    assert language.config._attn_implementation == before


def test_how_one_thread_attends_no_other_thread_sees(
    model: Qwen2VLForConditionalGeneration,
) -> None:
    config = model.model.language_model.config
    before = config._attn_implementation
    kind = type(config).__name__

    def seen() -> object:
        return config._attn_implementation

    with ThreadPoolExecutor(1) as other, splitting(model.model.language_model):
        assert seen() == SPLIT
        assert other.submit(seen).result() == before
    assert seen() == before
    # and the configuration is written as it was
    assert type(config).__name__ == kind
    assert "attends" not in str(config.to_dict())
