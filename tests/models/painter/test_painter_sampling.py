"""The denoising losses against hand-computed values, and painting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from emosym.errors import UsageError
from emosym.models.painter import sampling
from emosym.models.painter.autoencoder import build_autoencoder
from emosym.models.painter.painter import Painter, encode_prompts
from emosym.models.painter.sampling import (
    denoising_loss,
    draw_times,
    noisy_and_target,
    paint,
    predict,
)
from emosym.models.painter.toy import build_painter
from emosym.models.tokenizer import train_tokenizer
from emosym.seeds import torch_rng


@pytest.fixture(scope="module")
def painter() -> Painter:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["a red street with a big dog"] * 4, 320)
    built = build_painter(tokenizer, (16, 16, 32), 32, 24, build_autoencoder(8, (1, 1), (1, 1), 2))
    torch.nn.init.normal_(built.unet.conv_out.weight, std=0.1)  # an untrained one says nothing
    for module in built.modules().values():
        module.eval().requires_grad_(False)
    return built


def test_flow_targets() -> None:
    tokenizer = train_tokenizer(["a"] * 4, 320)
    painter = build_painter(tokenizer, (16, 16, 16), 32, 8, build_autoencoder(8, (1, 1), (1, 1), 2))
    x, e = torch.full((2, 4, 1, 1), 2.0), torch.full((2, 4, 1, 1), -1.0)
    noisy, target = noisy_and_target(painter, x, e, torch.tensor([250.0, 1000.0]))
    assert noisy[:, 0, 0, 0].tolist() == [1.25, -1.0]  # .75 * 2 - .25, pure noise
    assert target[:, 0, 0, 0].tolist() == [-3.0, -3.0]
    # The untrained U-Net says 0 everywhere: the loss is the mean square of the target.
    embeds = encode_prompts(painter, ["a"] * 2)
    latents, noise = torch.full((2, 4, 16, 16), 2.0), torch.full((2, 4, 16, 16), -1.0)
    loss = denoising_loss(painter, latents, embeds, noise, torch.tensor([100.0, 900.0]))
    assert loss.item() == pytest.approx(9.0)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_diffusion_targets_equal_the_librarys(painter, kind) -> None:
    scheduler = DDPMScheduler(prediction_type=kind)
    other = dataclasses.replace(painter, scheduler=scheduler)
    x, e, times = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0, 500, 999])
    noisy, target = noisy_and_target(other, x, e, times)
    torch.testing.assert_close(noisy, scheduler.add_noise(x, e, times))
    wanted = e if kind == "epsilon" else scheduler.get_velocity(x, e, times)
    torch.testing.assert_close(target, wanted)
    drawn = draw_times(other, 64, torch_rng(0, "times"))
    assert drawn.dtype == torch.int64
    assert set(drawn.tolist()) <= set(range(1000))


def test_unknown_prediction_is_named(painter) -> None:
    other = dataclasses.replace(painter, scheduler=DDPMScheduler(prediction_type="sample"))
    with pytest.raises(UsageError, match="prediction_type 'sample'"):
        draw_times(other, 1)


def test_flow_times_are_logit_normal(painter) -> None:
    times = draw_times(painter, 20_000, torch_rng(0, "times")) / 1000
    odds = (times / (1 - times)).log()
    assert float(odds.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(odds.std()) == pytest.approx(1.0, abs=0.03)


def test_the_sampler_walks_the_straight_path_of_a_perfect_velocity(painter, monkeypatch) -> None:
    """With v = (x_t - x0) / t, exact for one picture, the sampler must arrive at x0."""
    from emosym.models.painter import sampling

    wanted = torch.randn(1, 4, 16, 16, generator=torch_rng(0, "wanted")).clamp(-1, 1)
    seen = {}

    def velocity(_painter, noisy, times, _embeds):
        return (noisy - wanted) / (times / 1000).view(-1, 1, 1, 1)

    def keep(_painter, latents):
        seen["latents"] = latents
        return torch.zeros(len(latents), 3, 64, 64)

    monkeypatch.setattr(sampling, "predict", velocity)
    monkeypatch.setattr(sampling, "decode_latents", keep)
    paint(painter, encode_prompts(painter, ["a"]), None, 8, 1.0, [torch_rng(0, "start")])
    torch.testing.assert_close(seen["latents"], wanted, atol=2e-2, rtol=0)


def test_a_picture_does_not_depend_on_its_batch(painter) -> None:
    prompts = ["a dog", "a street", "a red dog"]
    empty = encode_prompts(painter, [""])
    together = paint(
        painter,
        encode_prompts(painter, prompts),
        empty,
        4,
        3.0,
        [torch_rng(0, "paint", i) for i in range(3)],
    )
    alone = paint(
        painter, encode_prompts(painter, prompts[1:2]), empty, 4, 3.0, [torch_rng(0, "paint", 1)]
    )
    assert together.shape == (3, 64, 64, 3)
    assert together.dtype == np.uint8
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 2
    assert np.abs(together[1].astype(int) - together[0]).max() > 2


def test_guidance_one_needs_no_negative_and_equals_the_plain_model(painter) -> None:
    embeds = encode_prompts(painter, ["a dog"])

    def once(negative, scale):
        return paint(painter, embeds, negative, 3, scale, [torch_rng(0, "paint")])

    plain = once(None, 1.0)
    assert np.array_equal(plain, once(encode_prompts(painter, [""]), 1.0))
    # Guided by itself a model says what it says.
    assert np.abs(plain.astype(int) - once(embeds, 5.0)).max() <= 1
    with pytest.raises(UsageError, match="negative_embeds"):
        once(None, 3.0)


def test_a_painting_ends_before_the_step_at_which_its_caller_says_so(painter, monkeypatch) -> None:
    done: list[int] = []

    def before_step() -> None:
        if len(done) == 3:
            raise RuntimeError("enough")

    def counted(*given: object) -> torch.Tensor:
        done.append(1)
        return predict(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling, "predict", counted)
    embeds = encode_prompts(painter, ["a"])
    with pytest.raises(RuntimeError, match="enough"):
        paint(painter, embeds, None, 8, 1.0, [torch_rng(0, "start")], before_step=before_step)
    assert len(done) == 3


def test_sizes_and_generators_are_checked(painter) -> None:
    embeds = encode_prompts(painter, ["a dog"])
    with pytest.raises(UsageError, match=r"n \* 16"):
        paint(painter, embeds, None, 2, 1.0, height=40)
    with pytest.raises(UsageError, match="1 prompts need 1 generators"):
        paint(painter, embeds, None, 2, 1.0, [torch_rng(0, "a"), torch_rng(0, "b")])
    assert paint(painter, embeds, None, 2, 1.0, height=32, width=48).shape == (1, 32, 48, 3)
