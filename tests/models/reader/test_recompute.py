"""Layers computed twice: the same losses, gradients and cache, and less kept for the backward."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from emosym.models.adapters import add_adapter, lora_config, train_adapter
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.prefix import prefill
from emosym.models.reader.reader import ADAPTER, prepare_inputs
from emosym.models.reader.reasoner import say_loss, think
from emosym.models.reader.recompute import checkpoint_layers


def tiny_2b() -> EmoSymModel:
    base = replace(resolve_base("emosym-2b"), dtype="float32", max_pixels=96 * 96)
    model = new_model(base, 2, True, "emosym", 0)
    backbone = model.reader.reasoner.backbone
    add_adapter(backbone, lora_config(2, 4, 0.1), ADAPTER, 0)
    for i, parameter in enumerate(train_adapter(backbone, ADAPTER, True)):
        parameter.data += 0.01 * (1 + i % 3)
    return model


def step(model: EmoSymModel) -> tuple[float, dict[str, torch.Tensor], int]:
    """One training loss with dropout, its gradients, and the bytes kept for the backward pass."""
    reader, reasoner = model.reader, model.reader.reasoner
    reasoner.train()
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (s, 96, 3), dtype=np.uint8)) for s in (96, 64)]
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        thought = think(reasoner, prefill(reasoner.backbone, prepare_inputs(reader, pictures)))
        tokens = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 13], [9, 8, 7, 6, 5, 4, 3, 2, 1]])
        said = say_loss(reasoner, thought, tokens, tokens, torch.tensor([True, False]), 3)
        loss = said + reasoner.logits(thought.emotion_latent).square().mean()
    loss.backward()
    named = {k: p.grad for k, p in reasoner.named_parameters() if p.grad is not None}
    return float(loss.detach()), named, sum(kept.values())


def test_losses_and_gradients_are_the_same_and_less_is_kept(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    plain, again = tiny_2b(), tiny_2b()
    names = [type(m).__name__ for m in again.reader.reasoner.modules()]
    keys = list(again.reader.reasoner.state_dict())
    assert checkpoint_layers(again.reader.reasoner.backbone) == 2
    assert checkpoint_layers(again.reader.reasoner.backbone) == 2  # twice changes nothing more
    assert [type(m).__name__ for m in again.reader.reasoner.modules()] == names
    assert list(again.reader.reasoner.state_dict()) == keys
    loss, gradients, bytes_plain = step(plain)
    loss_again, gradients_again, bytes_again = step(again)
    assert loss == pytest.approx(loss_again, abs=1e-6)
    assert gradients.keys() == gradients_again.keys() and len(gradients) >= 28
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, gradients_again[name], atol=1e-6, rtol=1e-4)
    assert any(float(g.abs().max()) > 0 for k, g in gradients.items() if "layers.0" in k)
    assert bytes_again < 0.6 * bytes_plain
