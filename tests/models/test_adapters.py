"""Named adapters: what is injected, what trains, and that they survive the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from emosym.errors import EmoSymError
from emosym.models.adapters import (
    add_adapter,
    has_adapter,
    language_lora,
    load_adapter,
    lora_config,
    merged_adapter,
    save_adapter,
    train_adapter,
)
from emosym.models.reader.toy import build_toy_reader
from emosym.models.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a red house"] * 4, 300)


@pytest.fixture
def model(tokenizer) -> nn.Module:
    return build_toy_reader(tokenizer, 0, 96, 1).requires_grad_(False).eval()


def output(model: nn.Module) -> torch.Tensor:
    ids = torch.arange(40, 52)[None]
    with torch.no_grad():
        return model.model.language_model(input_ids=ids).last_hidden_state


def filled(model: nn.Module, name: str, seed: int = 0) -> None:
    """Give both sides of an adapter values: B starts at 0."""
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in model.named_parameters():
        if f".{name}." in key:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def test_a_fresh_adapter_changes_nothing_and_sits_on_the_language_model_only(model) -> None:
    before = output(model)
    assert add_adapter(model, lora_config(2, 4, 0.0), "one", 0) == 7  # q k v o gate up down
    assert torch.equal(output(model), before)
    names = [n for n, _ in model.named_parameters() if ".lora_" in n]
    assert len(names) == 14 and all("language_model.layers.0." in n for n in names)


def test_the_start_is_the_named_stream_and_leaves_the_global_one_alone(tokenizer) -> None:
    def first(seed: int, name: str = "one") -> torch.Tensor:
        built = build_toy_reader(tokenizer, 0, 96, 1)
        add_adapter(built, lora_config(2, 4, 0.0), name, seed)
        return next(p for n, p in built.named_parameters() if ".lora_A." in n).detach()

    torch.manual_seed(11)
    expected = torch.randn(3)
    torch.manual_seed(11)
    one = first(1)
    assert torch.equal(torch.randn(3), expected)
    assert torch.equal(one, first(1))
    assert not torch.equal(one, first(2)) and not torch.equal(one, first(1, "two"))


def test_an_adapter_that_fits_nowhere_is_an_error(model) -> None:
    with pytest.raises(EmoSymError, match="No layer matches"):
        add_adapter(model, lora_config(2, 4, 0.0, r".*no_such_layer"), "one", 0)


def test_an_adapter_may_stand_on_the_last_layers_only(tokenizer) -> None:
    def layers(built: nn.Module, last: int | None) -> list[int]:
        assert add_adapter(built, language_lora(built, 2, 4, 0.0, last), "one", 0) % 7 == 0
        names = [n for n, _ in built.named_parameters() if ".lora_A." in n]
        return sorted({int(n.split("layers.")[1].split(".")[0]) for n in names})

    def words() -> nn.Module:  # its layers are not in a module named language_model
        config = LlamaConfig(
            vocab_size=60,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=12,
            num_attention_heads=2,
        )
        return LlamaForCausalLM(config).requires_grad_(False)

    assert layers(build_toy_reader(tokenizer, 0, 96, 3), 2) == [1, 2]
    assert layers(build_toy_reader(tokenizer, 0, 96, 3), 9) == [0, 1, 2]
    assert layers(words(), 3) == [9, 10, 11]
    assert layers(words(), None) == list(range(12))
    model = words()
    layers(model, 3)
    with torch.enable_grad():
        states = model(torch.arange(40, 52)[None], output_hidden_states=True).hidden_states
    assert [state.requires_grad for state in states] == [False] * 10 + [True] * 3


def test_one_adapter_trains_and_all_else_is_frozen(model) -> None:
    for name in ("one", "two"):
        add_adapter(model, lora_config(2, 4, 0.0), name, 0)
    chosen = train_adapter(model, "two", True)
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    assert len(chosen) == len(trainable) == 14 and all(".two." in n for n in trainable)
    train_adapter(model, "two", False)
    assert not any(p.requires_grad for p in model.parameters())


def test_save_and_load_give_the_same_output(model, tokenizer, tmp_path: Path) -> None:
    assert not has_adapter(model, "one")
    add_adapter(model, lora_config(2, 4, 0.1), "one", 0)
    filled(model, "one")
    save_adapter(model, "one", tmp_path)
    keys = set(load_file(tmp_path / "adapter_model.safetensors"))
    assert len(keys) == 14 and all(k.startswith("base_model.model.model.") for k in keys)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (2, 4, "LORA")
    other = build_toy_reader(tokenizer, 0, 96, 1)
    load_adapter(other, "one", tmp_path)
    assert has_adapter(other, "one")
    # .eval() after the adapter came in: its dropout is a new module
    assert torch.equal(output(other.eval()), output(model.eval()))


def test_peft_itself_opens_a_saved_adapter(model, tokenizer, tmp_path: Path) -> None:
    from peft import PeftModel

    add_adapter(model, lora_config(2, 4, 0.0), "one", 0)
    filled(model, "one")
    save_adapter(model, "one", tmp_path)
    wrapped = PeftModel.from_pretrained(build_toy_reader(tokenizer, 0, 96, 1), str(tmp_path))
    assert torch.equal(output(wrapped.base_model.model.eval()), output(model))


def test_a_missing_weight_is_refused(model, tokenizer, tmp_path: Path) -> None:
    add_adapter(model, lora_config(2, 4, 0.0), "one", 0)
    save_adapter(model, "one", tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(EmoSymError, match="does not fit this backbone"):
        load_adapter(build_toy_reader(tokenizer, 0, 96, 1), "one", tmp_path)


def test_a_merged_adapter_reads_the_same_and_leaves_the_very_weights_behind(model) -> None:
    bare = output(model)
    add_adapter(model, lora_config(2, 4, 0.0), "one", 0)
    train_adapter(model, "one", False)
    filled(model, "one")
    adapted = output(model)
    assert not torch.allclose(adapted, bare, atol=1e-3)
    before = {name: (p, p.data.clone()) for name, p in model.named_parameters()}
    with merged_adapter(model, "one") as count:
        assert count == 7
        torch.testing.assert_close(output(model), adapted, atol=1e-4, rtol=1e-4)
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.data.zero_()  # it no longer has a part of its own
        torch.testing.assert_close(output(model), adapted, atol=1e-4, rtol=1e-4)
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0]
        assert ".lora_" in name or torch.equal(parameter, before[name][1])
    torch.testing.assert_close(output(model), bare)


def test_what_trains_or_is_not_in_fp32_is_not_merged(model) -> None:
    add_adapter(model, lora_config(2, 4, 0.0), "one", 0)
    train_adapter(model, "one", True)
    with merged_adapter(model, "one") as count:
        assert count == 0
    train_adapter(model, "one", False)
    with merged_adapter(model, "other") as count:
        assert count == 0
    model.to(torch.bfloat16)
    with merged_adapter(model, "one") as count:
        assert count == 0
