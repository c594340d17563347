"""What the U-Net learns (one denoising loss for three parametrisations) and how it paints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

from emosym.errors import UsageError, unknown_name
from emosym.models.painter.autoencoder import downscale_factor, to_pictures
from emosym.models.painter.painter import Painter, PromptEmbeds, decode_latents

BeforeStep: TypeAlias = Callable[[], None]
PREDICTIONS = ("flow_prediction", "epsilon", "v_prediction")


def predict(
    painter: Painter, noisy: torch.Tensor, times: torch.Tensor, embeds: PromptEmbeds
) -> torch.Tensor:
    """Run the U-Net on noisy latents (B, c, h, w) at times (B,) in 0..1000: (B, c, h, w)."""
    added: dict[str, Any] | None = None
    if painter.unet.config.addition_embed_type == "text_time":
        side = downscale_factor(painter.vae)
        height, width = noisy.shape[-2] * side, noisy.shape[-1] * side
        sizes = noisy.new_tensor([height, width, 0, 0, height, width])  # original, crop, target
        added = {"text_embeds": embeds.pooled, "time_ids": sizes.expand(len(noisy), -1)}
    output: torch.Tensor = painter.unet(
        noisy, times, encoder_hidden_states=embeds.hidden, added_cond_kwargs=added
    ).sample
    return output


def noisy_and_target(
    painter: Painter, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the noisy latents at `times` and what the U-Net should say there, (B, c, h, w) each.

    `flow_prediction` (rectified flow, Liu et al. 2022): with s = times / 1000 the noisy latents
    are (1 - s) x + s e and the target is e - x. `epsilon` (Ho et al. 2020) and `v_prediction`
    (Salimans and Ho 2022): sqrt(a) x + sqrt(1 - a) e, target e or sqrt(a) e - sqrt(1 - a) x.
    """
    kind = _prediction(painter)
    if kind == "flow_prediction":
        share = (times / _train_times(painter)).view(-1, 1, 1, 1)
        return (1 - share) * latents + share * noise, noise - latents
    kept = painter.scheduler.alphas_cumprod.to(latents.device)[times.long()]
    signal, spread = kept.sqrt().view(-1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1)
    noisy = signal * latents + spread * noise
    return noisy, noise if kind == "epsilon" else signal * noise - spread * latents


def draw_times(
    painter: Painter, batch: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw training times (B,): logit-normal in 0..1000 for a flow, else whole and uniform."""
    top = _train_times(painter)
    if _prediction(painter) == "flow_prediction":
        return torch.randn(batch, generator=generator).sigmoid() * top
    return torch.randint(0, top, (batch,), generator=generator)


def denoising_loss(
    painter: Painter,
    latents: torch.Tensor,
    embeds: PromptEmbeds,
    noise: torch.Tensor | None = None,
    times: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Return the mean squared error of the U-Net's prediction for latents (B, c, h, w).

    Noise and times are drawn from `generator` (a CPU generator) when not given.
    """
    if noise is None:
        noise = torch.randn(latents.shape, generator=generator)
    if times is None:
        times = draw_times(painter, len(latents), generator)
    noise, times = noise.to(latents), times.to(latents.device)
    noisy, target = noisy_and_target(painter, latents, noise, times)
    predicted = predict(painter, noisy.to(painter.unet.dtype), times, embeds)
    return (predicted.float() - target.float()).square().mean()


@torch.no_grad()
def paint(
    painter: Painter,
    embeds: PromptEmbeds,
    negative_embeds: PromptEmbeds | None = None,
    num_inference_steps: int = 10,
    guidance_scale: float = 3.5,
    generator: Sequence[torch.Generator] | None = None,
    height: int | None = None,
    width: int | None = None,
    before_step: BeforeStep | None = None,
) -> np.ndarray:
    """Paint one picture per prompt: uint8 (N, height, width, 3).

    `generator` holds one seeded CPU generator per picture, so that a picture does not depend on
    the batch it is painted in. `negative_embeds` (N or 1 prompts, usually empty ones) are needed
    for guidance_scale > 1 (classifier-free guidance, Ho and Salimans 2022). What `before_step`
    raises ends the painting.

    Raises:
        UsageError: for a missing negative prompt, a wrong number of generators, or a bad size.
    """
    count = len(embeds.hidden)
    guided = guidance_scale != 1.0
    if guided and negative_embeds is None:
        raise UsageError("A guidance_scale other than 1 needs negative_embeds (empty prompts).")
    if generator is not None and len(generator) != count:
        raise UsageError(f"{count} prompts need {count} generators, got {len(generator)}.")
    latents = _start(painter, count, generator, height, width)  # (N, c, h, w)
    if guided and negative_embeds is not None:
        embeds = _stack(negative_embeds, embeds)
    # A scheduler counts its steps, so each painting gets a fresh one.
    scheduler = DPMSolverMultistepScheduler.from_config(painter.scheduler.config)
    scheduler.set_timesteps(num_inference_steps, device=latents.device)
    latents = latents * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        if before_step is not None:
            before_step()
        doubled = torch.cat([latents, latents]) if guided else latents
        doubled = scheduler.scale_model_input(doubled, time).to(painter.unet.dtype)
        said = predict(painter, doubled, time.expand(len(doubled)), embeds).float()
        if guided:
            without, with_prompt = said.chunk(2)
            said = without + guidance_scale * (with_prompt - without)
        latents = scheduler.step(said, time, latents).prev_sample
    pixels = decode_latents(painter, latents)
    return to_pictures(pixels).cpu().numpy()


def _start(
    painter: Painter,
    count: int,
    generators: Sequence[torch.Generator] | None,
    height: int | None,
    width: int | None,
) -> torch.Tensor:
    side = downscale_factor(painter.vae)
    default = int(painter.unet.config.sample_size) * side
    height, width = height or default, width or default
    # The U-Net halves the latents at every block but the last.
    step = side * 2 ** (len(painter.unet.config.block_out_channels) - 1)
    if height % step or width % step or min(height, width) < step:
        raise UsageError(
            f"Pictures of this painter have sides of n * {step}, got {height}x{width}."
        )
    shape = (int(painter.unet.config.in_channels), height // side, width // side)
    sources = [None] * count if generators is None else list(generators)
    return torch.stack([torch.randn(shape, generator=g) for g in sources]).to(painter.device)


def _stack(negative: PromptEmbeds, positive: PromptEmbeds) -> PromptEmbeds:
    count = len(positive.hidden)

    def both(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.cat([first.expand(count, *first.shape[1:]), second])

    pooled = None
    if negative.pooled is not None and positive.pooled is not None:
        pooled = both(negative.pooled, positive.pooled)
    hidden = both(negative.hidden, positive.hidden)
    return PromptEmbeds(hidden, pooled, both(negative.mask, positive.mask))


def _prediction(painter: Painter) -> str:
    kind = str(painter.scheduler.config.prediction_type)
    if kind not in PREDICTIONS:
        raise unknown_name("prediction_type", kind, PREDICTIONS)
    return kind


def _train_times(painter: Painter) -> int:
    return int(painter.scheduler.config.num_train_timesteps)
