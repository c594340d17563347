"""Pictures to latents and back, for any autoencoder of diffusers.

The small preset feeds AutoencoderTiny pixel-unshuffled pictures: s x s neighbouring pixels become
channels, so that no layer runs at full resolution. s is read off `vae.config.in_channels`.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from emosym.errors import UsageError
from emosym.models.speed import prepare_for_cpu

Autoencoder: TypeAlias = AutoencoderTiny | AutoencoderKL


def build_autoencoder(
    width: int = 96,
    encoder_blocks: tuple[int, ...] = (1,),
    decoder_blocks: tuple[int, ...] = (4,),
    unshuffle: int = 4,
    latent_channels: int = 4,
    device: str | torch.device = "cpu",
) -> AutoencoderTiny:
    """Build an untrained AutoencoderTiny on unshuffled pictures: 1.3 M parameters.

    Wide layers at a quarter of the resolution learn faster on a CPU than narrow ones at half:
    24.6 against 22.7 dB after the same minute.
    """
    channels = 3 * unshuffle * unshuffle
    vae = AutoencoderTiny(
        in_channels=channels,
        out_channels=channels,
        encoder_block_out_channels=(width,) * len(encoder_blocks),
        decoder_block_out_channels=(width,) * len(decoder_blocks),
        num_encoder_blocks=encoder_blocks,
        num_decoder_blocks=decoder_blocks,
        latent_channels=latent_channels,
    )
    vae.to(device)
    if torch.device(device).type == "cpu":
        prepare_for_cpu(vae)
    return vae


def unshuffle_factor(vae: Autoencoder) -> int:
    """Return s where the autoencoder takes 3 * s * s channels.

    Raises:
        UsageError: when its channels are not 3 times a square.
    """
    channels = int(vae.config.in_channels)
    factor = math.isqrt(channels // 3)
    if factor < 1 or channels != 3 * factor * factor:
        raise UsageError(
            f"The autoencoder takes {channels} channels; 3 (RGB) or 3 * s * s are supported."
        )
    return factor


def downscale_factor(vae: Autoencoder) -> int:
    """Return how many pixels a side one latent position covers."""
    stages = (
        len(vae.config.encoder_block_out_channels)
        if isinstance(vae, AutoencoderTiny)
        else len(vae.config.block_out_channels)
    )
    factor: int = unshuffle_factor(vae) * 2 ** (stages - 1)
    return factor


def raw_latents(vae: Autoencoder, pixels: torch.Tensor) -> torch.Tensor:
    """Encode (B, 3, H, W) in [-1, 1] without the scaling: (B, c, H/f, W/f), deterministic."""
    encoded = vae.encode(pixel_unshuffle(pixels.to(vae.dtype), unshuffle_factor(vae)))
    if isinstance(vae, AutoencoderKL):
        latents: torch.Tensor = encoded.latent_dist.mode()
    else:
        latents = encoded.latents
    return latents


def raw_pictures(vae: Autoencoder, latents: torch.Tensor) -> torch.Tensor:
    """Decode unscaled latents to (B, 3, H, W), about [-1, 1], not clamped."""
    decoded: torch.Tensor = vae.decode(latents.to(vae.dtype)).sample
    return pixel_shuffle(decoded, unshuffle_factor(vae))


def latent_scale(vae: Autoencoder) -> tuple[float, float]:
    """Return (shift, scale): the U-Net sees (z - shift) * scale."""
    return float(getattr(vae.config, "shift_factor", None) or 0.0), float(vae.config.scaling_factor)


def encode_with(vae: Autoencoder, pixels: torch.Tensor) -> torch.Tensor:
    """Encode pictures (B, 3, H, W) in [-1, 1] to the latents (B, c, h, w) that a U-Net sees."""
    shift, scale = latent_scale(vae)
    return (raw_latents(vae, pixels) - shift) * scale


def decode_with(vae: Autoencoder, latents: torch.Tensor) -> torch.Tensor:
    """Decode a U-Net's latents (B, c, h, w) to pictures (B, 3, H, W), about [-1, 1]."""
    shift, scale = latent_scale(vae)
    return raw_pictures(vae, latents / scale + shift)


def to_pixels(pictures: torch.Tensor) -> torch.Tensor:
    """Turn uint8 pictures (B, H, W, 3) into float (B, 3, H, W) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pictures(pixels: torch.Tensor) -> torch.Tensor:
    """Turn (B, 3, H, W) in [-1, 1] into uint8 pictures (B, H, W, 3), clamped and rounded."""
    levels = ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
