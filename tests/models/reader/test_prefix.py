"""Small questions about a backbone and its inputs by hand; reading itself is in test_reasoner."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

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
    may_stop,
    next_logits,
    of_the_model,
    open_cache,
    prefill,
    prefill_cache,
    rotary_positions,
    see,
    sees,
    shortest_window,
    splits,
    takes_vision,
)
from emosym.models.reader.prefix_cache import PrefillCache


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


def placed(
    ids: list[list[int]], mask: list[list[int]], grid: list[list[int]]
) -> tuple[int, torch.Tensor]:
    """How many rows a library that places pictures was asked for, and the positions (3, B, P)."""
    asked: list[torch.Tensor] = []

    def get_rope_index(rows, mm_token_type_ids, image_grid_thw, attention_mask):
        assert len(rows) == len(mm_token_type_ids) == len(attention_mask)
        asked.append(rows)
        pictures = image_grid_thw.view(len(rows), -1, 3).sum(dim=(1, 2))  # (rows,)
        return (rows + pictures[:, None]).expand(3, -1, -1), None

    model: Any = SimpleNamespace(base_model=SimpleNamespace(get_rope_index=get_rope_index))
    words = torch.tensor(ids)
    positions = rotary_positions(
        model,
        {
            "input_ids": words,
            "attention_mask": torch.tensor(mask),
            "mm_token_type_ids": torch.zeros_like(words),
            "image_grid_thw": torch.tensor(grid),
        },
    )
    return len(asked[0]), positions


def test_rows_that_are_alike_are_placed_once() -> None:
    """Two rows of two pictures each; then one of words, of a mask, of a picture's size apart."""
    ids, mask = [[5, 6], [5, 6]], [[1, 1], [1, 1]]
    small, large = [1, 2, 2], [1, 4, 2]
    rows, positions = placed(ids, mask, [small, large, small, large])
    assert rows == 1 and positions.shape == (3, 2, 2)
    assert positions[0].tolist() == [[17, 18], [17, 18]]
    assert placed([[5, 6], [5, 7]], mask, [small, large, small, large])[0] == 2
    assert placed(ids, [[1, 1], [0, 1]], [small, large, small, large])[0] == 2
    rows, positions = placed(ids, mask, [small, large, small, small])
    assert rows == 2 and positions[2].tolist() == [[17, 18], [15, 16]]


def test_a_model_that_places_pictures_counts_words_where_there_is_none() -> None:
    model: Any = SimpleNamespace(base_model=SimpleNamespace(get_rope_index=None))
    inputs = {"input_ids": torch.ones(1, 3), "attention_mask": torch.tensor([[0, 1, 1]])}
    assert rotary_positions(model, inputs).tolist() == [[0, 0, 1]]


@torch.no_grad()
def test_padding_does_not_move_what_follows(llama: LlamaForCausalLM) -> None:
    """One word after two places of padding stands at 0, so what follows it at 1."""
    ids, mask = torch.tensor([[0, 0, 5], [9, 1, 4]]), torch.tensor([[0, 0, 1], [1, 1, 1]])
    prefix = prefill(llama, {"input_ids": ids, "attention_mask": mask})
    assert prefix.next_position.tolist() == [1, 3]


def test_a_prefill_stops_early_where_it_may(
    llama: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert splits(llama) and isinstance(prefill_cache(llama), PrefillCache)
    sharded = object.__new__(FSDPModule)  # a real one wants processes
    for layers, wanted in (([sharded, sharded, None], True), ([None, None, sharded], False)):
        model: Any = SimpleNamespace(base_model=SimpleNamespace(layers=layers))
        assert may_stop(model) is wanted
    with monkeypatch.context() as patch:
        patch.setenv("EMOSYM_LEAVE_OUT", "short_prefill")
        assert type(prefill_cache(llama)) is DynamicCache and not may_stop(llama)
    # a cache of the model's own configuration would forget what its short layers do not see
    monkeypatch.setattr(llama.config, "sliding_window", 4, raising=False)
    monkeypatch.setattr(llama.config, "layer_types", ["sliding_attention"] * 2, raising=False)
    assert not splits(llama) and prefill_cache(llama).layers == []


@torch.no_grad()
def test_an_untested_version_goes_on_by_the_librarys_own_cache(
    llama: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.tensor([[9, 1, 4]])
    prefix = prefill(llama, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    after = llama.get_input_embeddings()(torch.tensor([[6, 8]]))
    given = (prefix.mask, prefix.next_position)
    wanted = extend(llama, after, open_cache(prefix), *given)
    monkeypatch.setattr("emosym.models.reader.prefix.is_tested", lambda: False)
    cache = open_cache(prefix)
    assert not splits(llama)
    torch.testing.assert_close(extend(llama, after, cache, *given), wanted, atol=1e-5, rtol=1e-4)
    assert [layer.keys.shape[2] for layer in cache.layers] == [5, 5]


@torch.no_grad()
def test_what_follows_is_computed_in_the_type_of_the_prefix(llama: LlamaForCausalLM) -> None:
    """But autocast chooses types itself, and there the stream between layers stays fp32."""
    ids = torch.tensor([[9, 1, 4]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    after = llama.get_input_embeddings()(torch.tensor([[6, 8]]))
    half = copy.deepcopy(llama).bfloat16()
    for model, autocast, wanted in ((half, False, torch.bfloat16), (llama, True, torch.float32)):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            prefix = prefill(model, inputs)
            found = extend(model, after, open_cache(prefix), prefix.mask, prefix.next_position)
        assert found.dtype == wanted


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
