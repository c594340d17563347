"""Real families at tiny size: official folders load whole, read alike in any batch, and refuse."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, ViTConfig

from emosym.errors import EmoSymError, UsageError
from emosym.models.adapters import add_adapter, lora_config, train_adapter
from emosym.models.chat import ChatModel, longest_picture
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import new_model
from emosym.models.presets import Base, resolve_base
from emosym.models.reader.backbone import attention_for, load_backbone, open_chat
from emosym.models.reader.prefix import (
    extend,
    features_of_pictures,
    open_cache,
    prefill,
    see,
)
from emosym.models.reader.prefix_cache import SPLIT, splitting
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.models.render import ask_of_pictures, render
from emosym.pipelines.trained_reading import read_pictures

FAMILIES = ("emosym-2b", "qwen2.5-vl-3b", "qwen3-vl-2b", "internvl3-1b")
QUESTION = "What is the emotion of the image?"


@pytest.fixture(autouse=True)
def models(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    return tiny_models


def photos(*sides: tuple[int, int]) -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sides]


def wide(preset: str) -> Base:
    """The preset in fp32, so that sums compare closely."""
    return replace(resolve_base(preset), dtype="float32", max_pixels=96 * 96)


@pytest.mark.parametrize("preset", FAMILIES)
def test_a_checkpoint_reads_the_same_in_any_batch_and_after_reload(
    preset: str, tmp_path: Path
) -> None:
    model = new_model(preset, 2, True, "emosym", 0)
    assert add_adapter(model.reader.reasoner.backbone, lora_config(2, 4, 0.0), ADAPTER, 0) == 14
    for parameter in train_adapter(model.reader.reasoner.backbone, ADAPTER, False):
        assert parameter.dtype == torch.float32  # in bf16 a learning rate of 1e-4 would be lost
        parameter.data += 0.05
    pictures = photos((120, 200), (300, 90), (60, 60))
    together = read_pictures(model, pictures)
    for picture, row in zip(pictures, together, strict=True):
        alone = read_pictures(model, [picture])[0]
        assert list(row.probabilities.values()) == pytest.approx(
            list(alone.probabilities.values()), abs=2e-3
        )
    assert np.std([r.emotion_latent[:8] for r in together], axis=0).max() > 0  # told apart
    save_checkpoint(model, tmp_path / "checkpoint")
    again = read_pictures(load_checkpoint(tmp_path / "checkpoint"), pictures)
    assert [r.probabilities for r in again] == [r.probabilities for r in together]


@torch.no_grad()
@pytest.mark.parametrize("preset", FAMILIES)
def test_a_prefix_and_what_follows_equal_the_librarys_one_forward(preset: str) -> None:
    chat = open_chat(wide(preset))
    inputs = render(chat, ask_of_pictures(photos((80, 120), (120, 64)), QUESTION)).inputs
    following = torch.tensor([[5, 9, 21], [7, 7, 3]])
    vision = see(chat.backbone, inputs)
    prefix = prefill(chat.backbone, inputs, vision)
    found = extend(
        chat.backbone,
        chat.backbone.get_input_embeddings()(following),
        open_cache(prefix),
        prefix.mask,
        prefix.next_position,
    )
    for row in range(2):
        arguments = one_row(chat, inputs, row, following[row])
        whole = chat.backbone.model(**arguments, use_cache=False).last_hidden_state[0, -3:]
        torch.testing.assert_close(found[row], whole, atol=2e-5, rtol=1e-4)


def one_row(
    chat: ChatModel, inputs: dict[str, torch.Tensor], row: int, following: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The library's own arguments for one unpadded row and the tokens after it."""
    kept = inputs["attention_mask"][row].bool()
    ids = torch.cat([inputs["input_ids"][row][kept], following])[None]
    arguments = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "image_grid_thw" in inputs:
        sizes = inputs["image_grid_thw"].prod(-1).tolist()
        arguments["pixel_values"] = inputs["pixel_values"].split(sizes)[row]
        arguments["image_grid_thw"] = inputs["image_grid_thw"][row : row + 1]
        token = chat.backbone.config.image_token_id  # type: ignore[union-attr]
        arguments["mm_token_type_ids"] = (ids == token).int()
    else:
        sizes = inputs["num_patches"].tolist()
        arguments["pixel_values"] = inputs["pixel_values"].split(sizes)[row]
    return arguments


@torch.no_grad()
@pytest.mark.parametrize("preset", FAMILIES)
def test_vision_computed_before_gives_the_same_prefix(preset: str) -> None:
    chat = open_chat(wide(preset))
    inputs = render(chat, ask_of_pictures(photos((80, 120), (96, 96)), QUESTION)).inputs
    vision = see(chat.backbone, inputs)
    before, direct = prefill(chat.backbone, inputs, vision), prefill(chat.backbone, inputs)
    for one, other in zip(before.values, direct.values, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    features = features_of_pictures(vision, inputs)
    assert features is not None and len(features) == 2
    token = chat.backbone.config.image_token_id  # type: ignore[union-attr]
    counts = (inputs["input_ids"] == token).sum(1).tolist()
    assert [len(picture) for picture in features] == counts
    assert max(counts) <= longest_picture(chat)


@torch.no_grad()
@pytest.mark.parametrize("preset", FAMILIES)
def test_a_prefill_ends_where_the_rest_is_not_needed(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = open_chat(wide(preset))
    inputs = render(chat, ask_of_pictures(photos((80, 120), (96, 96)), QUESTION)).inputs
    layers = chat.backbone.model.language_model.layers  # type: ignore[union-attr]
    calls: list[int] = []
    for index, layer in enumerate(layers):
        layer.mlp.register_forward_hook(lambda *_, index=index: calls.append(index))
    short = prefill(chat.backbone, inputs)
    assert calls == [0]
    monkeypatch.setenv("EMOSYM_LEAVE_OUT", "short_prefill")
    full = prefill(chat.backbone, inputs)
    assert calls == [0, 0, 1]
    pairs = zip(short.keys + short.values, full.keys + full.values, strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert torch.equal(short.next_position, full.next_position)


def test_internvl_cuts_large_pictures_into_tiles() -> None:
    chat = open_chat(replace(wide("internvl3-1b"), max_pixels=4 * 56 * 56))
    inputs = render(chat, ask_of_pictures(photos((56, 56), (112, 224)), QUESTION)).inputs
    assert inputs["num_patches"].tolist()[0] in (1, 5) and inputs["num_patches"].tolist()[1] > 1
    assert longest_picture(chat) == 5 * 4


def test_only_our_parts_are_new_to_an_official_checkpoint(models: Path, tmp_path: Path) -> None:
    """Published keys, the older ones of 2024: none is missing, none left over, all arrive."""
    folder = models / "Qwen2-VL-2B-Instruct"
    stored = load_file(folder / "model.safetensors")
    assert {key.split(".")[0] for key in stored} == {"model", "visual"}
    assert "model.layers.0.self_attn.q_proj.weight" in stored
    backbone = load_backbone(wide("emosym-2b"))
    live = backbone.state_dict()
    pairs = (
        ("model.layers.1.mlp.up_proj.weight", "model.language_model.layers.1.mlp.up_proj.weight"),
        ("visual.blocks.1.attn.qkv.weight", "model.visual.blocks.1.attn.qkv.weight"),
        ("model.embed_tokens.weight", "lm_head.weight"),
    )
    for official, ours in pairs:
        assert torch.equal(stored[official].float(), live[ours])
    reasoner = EmotionReasoner(backbone, 2, True, ("mikels8",), 32, 0)
    new = {k for k in reasoner.state_dict() if not k.startswith("backbone.")}
    assert {k.split(".")[0] for k in new} == {"latent_tokens", "heads", "context_projector"}
    _, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]


def copied(models: Path, tmp_path: Path) -> Base:
    """A copy of the tiny Qwen2-VL to spoil."""
    folder = Path(shutil.copytree(models / "Qwen2-VL-2B-Instruct", tmp_path / "copy"))
    return replace(resolve_base("emosym-2b"), reader=str(folder))


def test_a_missing_shard_is_named(models: Path, tmp_path: Path) -> None:
    base = copied(models, tmp_path)
    folder = Path(base.reader)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EmoSymError, match=r"incomplete: model-00002-of-00002.safetensors is miss"):
        load_backbone(base)


@pytest.mark.parametrize("change", ["missing", "left over", "damaged", "pickled", "none"])
def test_weights_that_do_not_fit_are_refused(models: Path, tmp_path: Path, change: str) -> None:
    base = copied(models, tmp_path)
    path = Path(base.reader) / "model.safetensors"
    tensors = load_file(path)
    if change == "missing":
        del tensors["visual.merger.mlp.0.weight"]
    if change == "left over":
        tensors["model.extra.weight"] = torch.zeros(2)
    save_file(tensors, path, metadata={"format": "pt"})
    if change == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    if change in ("pickled", "none"):
        path.unlink()
    if change == "pickled":
        path.with_name("pytorch_model.bin").write_bytes(b"x")
    says = {
        "missing": "do not fit their configuration.*merger.mlp.0",
        "left over": "do not fit their configuration.*extra",
        "damaged": "is damaged",
        "pickled": "pickled weights only, which are never opened",
        "none": "has no weights",
    }
    with pytest.raises(EmoSymError, match=says[change]):
        load_backbone(base)


def test_a_model_that_does_not_go_on_with_text_is_no_reader(tmp_path: Path) -> None:
    ViTConfig(hidden_size=16).save_pretrained(tmp_path / "vit")
    base = replace(resolve_base("emosym-2b"), reader=str(tmp_path / "vit"))
    with pytest.raises(UsageError, match="'vit' model, which neither reads pictures and text nor"):
        load_backbone(base)


def test_a_checkpoint_is_refused_on_other_weights(models: Path, tmp_path: Path) -> None:
    base = copied(models, tmp_path)
    save_checkpoint(new_model(base, 1, True, "emosym", 0), tmp_path / "checkpoint")
    opened = load_checkpoint(tmp_path / "checkpoint")
    assert opened.base.reader == base.reader and opened.base.max_pixels == base.max_pixels
    path = Path(base.reader) / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(EmoSymError, match="trained on other weights than the emosym-2b"):
        load_checkpoint(tmp_path / "checkpoint")


def test_attention_by_device_and_size(caplog: pytest.LogCaptureFixture) -> None:
    assert attention_for(resolve_base("emosym-2b"), "cpu", "qwen2_vl") == "sdpa"
    assert attention_for(resolve_base("emosym-2b"), "cuda", "gpt2") is None
    shipped = resolve_base("storybook-base")
    assert attention_for(shipped, "cpu", "qwen2_vl") == "eager"  # the tests' CPU plan


def test_what_follows_a_flash_prefill_attends_under_its_mask() -> None:
    decoder = load_backbone(wide("emosym-2b")).model.language_model  # type: ignore[union-attr]
    for kind in ("flash_attention_2", "eager"):
        decoder.config._attn_implementation_internal = kind
        with splitting(decoder):
            assert decoder.config._attn_implementation == SPLIT
        assert decoder.config._attn_implementation == kind
