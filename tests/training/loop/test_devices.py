"""The base trains where accelerate says: every tensor of a step is on that device.

The device here is torch's `meta`, on which nothing is computed, but which mixes with the CPU no
more than a GPU does. The reader's step looks at numbers, which `meta` has not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from emosym.data import storybook
from emosym.models.painter.autoencoder import build_autoencoder
from emosym.models.painter.toy import build_painter
from emosym.models.speed import FastGroupNorm
from emosym.models.tokenizer import train_tokenizer
from emosym.training.loop.arrays import Rows, whole_on
from emosym.training.storybook import judges
from emosym.training.storybook import painter as base_painter
from emosym.training.storybook.judges import judge_data, train_judges
from emosym.training.storybook.painter import BasePainterSettings, train_autoencoder, train_unet

META = torch.device("meta")
STORIES, PICTURES = storybook.draw_many(3, "train", 0, 8, 64, 1)


class HandedOver(Exception):  # noqa: N818 - it is no error
    """Raised in place of a loop, with what the loop was given."""


def start_autoencoder(out: Path) -> None:
    train_autoencoder(out, PICTURES, BasePainterSettings(), progress=False)


def start_unet(out: Path) -> None:
    captions = [storybook.caption_of(story) for story in STORIES]
    latents = np.zeros((8, 4, 16, 16), np.float16)
    vae = build_autoencoder(8, (1, 1), (1, 1), 2, device=META)
    tokenizer = train_tokenizer(captions, 300)
    train_unet(out, tokenizer, vae, latents, captions, BasePainterSettings(), progress=False)


def start_judge(name: str) -> Callable[[Path], None]:
    return lambda out: train_judges(out, 0, judge_data(STORIES, PICTURES), names=[name]) and None


@pytest.mark.parametrize(
    "start",
    [start_autoencoder, start_unet, *map(start_judge, ("judge-a", "judge-b", "judge-attributes"))],
    ids=["autoencoder", "unet", "judge-a", "judge-b", "judge-attributes"],
)
def test_a_step_stays_on_its_device(
    start: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_over(*given: Any, **_: Any) -> None:
        raise HandedOver(*given)

    def rows_on(source: np.ndarray, device: torch.device) -> Rows:
        return Rows(source, device, whole_on(source, device))

    for module in (base_painter, judges):
        monkeypatch.setattr(module, "training_device", lambda: "meta")
        monkeypatch.setattr(module, "run_loop", hand_over)
        monkeypatch.setattr(module, "rows_on", rows_on)
    monkeypatch.setattr(
        base_painter,
        "build_painter",
        lambda tokenizer, vae, device: build_painter(tokenizer, (16, 16, 16), 32, 16, vae, device),
    )
    with pytest.raises(HandedOver) as given:
        start(tmp_path)
    _, modules, optimizers, _, size, loss_fn = given.value.args
    parameters = [p for module in modules.values() for p in module.parameters()]
    assert size == 8 and parameters
    losses = loss_fn(0, np.array([5, 0, 3]))
    losses["loss"].backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    for optimizer in optimizers:
        optimizer.step()
    found = {tensor.device for tensor in (*losses.values(), *parameters)}
    found |= {p.grad.device for p in parameters if p.grad is not None}
    assert found == {META}


def test_a_cpus_fast_paths_stay_on_the_cpu(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["a red field"] * 4, 300)
    for device in ("cpu", "meta"):
        painter = build_painter(tokenizer, (16, 16, 16), 32, 16, device=device)
        for module in (painter.unet, painter.vae):
            norms = {type(m) for m in module.modules() if isinstance(m, nn.GroupNorm)}
            assert norms <= {FastGroupNorm if device == "cpu" else nn.GroupNorm}
        assert {p.device.type for m in painter.modules().values() for p in m.parameters()} == {
            device
        }
