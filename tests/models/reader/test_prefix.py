"""Small questions about a backbone and its inputs by hand; reading itself is in test_reasoner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from emosym.errors import UsageError
from emosym.models.reader.prefix import (
    Prefix,
    body,
    extend,
    family,
    features_of_pictures,
    frames_of,
    grow,
    keeps_features,
    language_model,
    next_logits,
    of_the_model,
    open_cache,
    prefill,
    rotary_positions,
    see,
    sees,
    shortest_window,
    splits,
    takes_vision,
)


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


def backbone(kind: str = "llama", **config: Any) -> Any:
    """Something that has a configuration alone."""
    own = SimpleNamespace(**config)
    return SimpleNamespace(config=SimpleNamespace(model_type=kind, get_text_config=lambda: own))


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, None),
        ({"sliding_window": None, "layer_types": ["sliding_attention"]}, None),
        ({"sliding_window": 9, "layer_types": ["full_attention", "full_attention"]}, None),
        ({"sliding_window": 9, "layer_types": ["full_attention", "sliding_attention"]}, 9),
        ({"sliding_window": 9, "layer_types": ["sliding_attention"]}, 9),
        ({"sliding_window": 9}, 9),
        ({"sliding_window": 9, "use_sliding_window": True}, 9),
        ({"sliding_window": 9, "use_sliding_window": False}, None),
        # what each layer says goes before what is said of all
        ({"sliding_window": 9, "use_sliding_window": False, "layer_types": ["sliding"]}, 9),
    ],
)
def test_how_far_the_shortest_sighted_layer_sees(config: dict[str, Any], wanted: int | None):
    assert shortest_window(backbone(**config)) == wanted
    # of a family that is split, only where all layers see everything
    assert splits(backbone("qwen2", **config)) is (wanted is None)
    assert not splits(backbone("gpt2", **config))


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("qwen2_vl", True), ("qwen2_5_vl", True), ("qwen3_vl", False), ("internvl", False)],
)
def test_whose_features_are_all_that_is_taken(kind: str, kept: bool) -> None:
    assert family(backbone(kind)) == kind
    assert keeps_features(backbone(kind)) is kept


def test_a_model_of_texts(llama: LlamaForCausalLM) -> None:
    assert body(llama) is llama.model and language_model(llama) is llama.model
    assert not sees(llama) and not takes_vision(llama)
    tower = SimpleNamespace(language_model="decoder", get_image_features=None)
    both = SimpleNamespace(base_model=tower)
    assert language_model(both) == "decoder" and sees(both)  # type: ignore[arg-type, comparison-overlap]


def test_what_a_model_takes_and_how_many_pictures_rows_have() -> None:
    ids = torch.zeros(3, 2, dtype=torch.long)
    inputs = {"input_ids": ids, "num_patches": ids, "frames": torch.tensor([0, 2, 1])}
    assert set(of_the_model(inputs)) == {"input_ids"}
    assert frames_of(inputs) == [0, 2, 1] and frames_of({"input_ids": ids}) == [1, 1, 1]


def test_the_tower_is_asked_where_there_are_pictures() -> None:
    asked: list[dict[str, Any]] = []

    def get_image_features(pixel_values: Any, input_ids: Any = None, return_dict: bool = False):
        asked.append({"pixels": pixel_values, "ids": input_ids, "dict": return_dict})
        return "seen"

    model: Any = SimpleNamespace(base_model=SimpleNamespace(get_image_features=get_image_features))
    inputs = {"pixel_values": torch.ones(1), "input_ids": torch.ones(1), "other": torch.ones(1)}
    assert see(model, {**inputs, "frames": torch.tensor([0, 0])}) is None and asked == []
    assert see(model, {**inputs, "frames": torch.tensor([0, 1])}) == "seen"
    assert see(model, inputs) == "seen"
    # the words are no pictures, and what the tower does not know it is not given
    assert len(asked) == 2
    for told in asked:
        assert told == {"pixels": inputs["pixel_values"], "ids": None, "dict": True}


def test_features_are_split_into_pictures() -> None:
    ids = torch.zeros(2, 1)
    assert features_of_pictures(None, {"input_ids": ids}) == ()
    one, other = torch.ones(3, 4), torch.zeros(2, 4)
    vision = SimpleNamespace(pooler_output=[one, other])
    found = features_of_pictures(vision, {"input_ids": ids})
    assert found is not None and len(found) == 2 and found[0] is one and found[1] is other
    assert features_of_pictures(vision, {"input_ids": torch.zeros(3, 1)}) is None
    tiles = SimpleNamespace(pooler_output=torch.arange(12.0).view(3, 2, 2))
    split = {"input_ids": ids, "num_patches": torch.tensor([2, 1])}
    large, small = features_of_pictures(tiles, split) or ()
    torch.testing.assert_close(large, torch.arange(8.0).view(4, 2))
    torch.testing.assert_close(small, torch.arange(8.0, 12.0).view(2, 2))


def test_rows_are_chosen_and_columns_appended() -> None:
    keys = (torch.arange(6.0).view(3, 1, 2, 1),)
    mask = torch.tensor([[False, True], [True, True], [True, False]])
    prefix = Prefix(keys, (keys[0] + 10,), mask, torch.tensor([1, 2, 3]))
    chosen = prefix.select(torch.tensor([2, 0, 2]))
    assert chosen.keys[0].flatten().tolist() == [4, 5, 0, 1, 4, 5]
    assert chosen.values[0].flatten().tolist() == [14, 15, 10, 11, 14, 15]
    assert chosen.mask.tolist() == [[True, False], [False, True], [True, False]]
    assert chosen.next_position.tolist() == [3, 1, 3]
    assert grow(mask, 2).tolist() == [[*row, True, True] for row in mask.tolist()]


def test_places_of_words_are_counted_where_there_is_one(llama: LlamaForCausalLM) -> None:
    inputs = {
        "input_ids": torch.ones(2, 4, dtype=torch.long),
        "attention_mask": torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]),
    }
    assert rotary_positions(llama, inputs).tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]


@torch.no_grad()
def test_a_prefix_with_padding_goes_on_as_the_library_reads_the_whole(
    llama: LlamaForCausalLM,
) -> None:
    """Two rows, one padded on the left; then two tokens, of which the second sees the first."""
    whole = [[3, 5, 7, 2], [9, 1, 4, 6, 8]]
    ids = torch.tensor([[0, 3, 5], [9, 1, 4]])
    mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    prefix = prefill(llama, {"input_ids": ids, "attention_mask": mask})
    assert prefix.next_position.tolist() == [2, 3]
    assert prefix.mask.tolist() == mask.bool().tolist()
    after = llama.get_input_embeddings()(torch.tensor([[7, 2], [6, 8]]))
    cache = open_cache(prefix)
    found = extend(llama, after, cache, prefix.mask, prefix.next_position)
    for row, tokens in enumerate(whole):
        wanted = llama.model(torch.tensor([tokens])).last_hidden_state[0, -2:]
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=1e-4)
    # side by side instead: both stand in the same place, and neither sees the other
    apart = extend(
        llama,
        after,
        open_cache(prefix),
        prefix.mask,
        prefix.next_position,
        within=torch.eye(2, dtype=torch.bool),
        offsets=torch.tensor([0, 0]),
    )
    torch.testing.assert_close(apart[:, 0], found[:, 0], atol=1e-5, rtol=1e-4)
    wanted = llama.model(torch.tensor([[3, 5, 2]])).last_hidden_state[0, -1]
    torch.testing.assert_close(apart[0, 1], wanted, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_prompt_that_a_layer_cannot_see_whole_is_refused(
    llama: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama.config, "sliding_window", 4, raising=False)
    ids = torch.ones(1, 4, dtype=torch.long)
    with pytest.raises(UsageError, match=r"prompt has 4 tokens.*llama model see 4 at once"):
        prefill(llama, {"input_ids": ids, "attention_mask": ids})
    found = prefill(llama, {"input_ids": ids[:, 1:], "attention_mask": ids[:, 1:]})
    assert found.next_position.tolist() == [3]


@torch.no_grad()
def test_logits_are_changed_as_the_family_does(llama: LlamaForCausalLM) -> None:
    hidden = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    plain = llama.lm_head(hidden)
    torch.testing.assert_close(next_logits(llama, hidden), plain)
    changes = {
        "logit_scale": plain * 4,
        "logits_scaling": plain / 4,
        "final_logit_softcapping": 4 * torch.tanh(plain / 4),
    }
    for name, wanted in changes.items():
        config = SimpleNamespace(**{name: 4})
        model: Any = nn.Module()
        model.get_output_embeddings = lambda: llama.lm_head
        model.config = SimpleNamespace(get_text_config=lambda config=config: config)
        torch.testing.assert_close(next_logits(model, hidden), wanted)
