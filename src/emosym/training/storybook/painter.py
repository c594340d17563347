"""The small painter from nothing: autoencoder, latents, then U-Net and text encoder from captions.

Three stages in one folder; a finished one is read back, an interrupted one goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from transformers import PreTrainedTokenizerBase

from emosym.device import has_bf16
from emosym.errors import UsageError
from emosym.files import write_json
from emosym.models.painter.autoencoder import (
    build_autoencoder,
    downscale_factor,
    encode_with,
    raw_latents,
    raw_pictures,
    to_pixels,
)
from emosym.models.painter.painter import (
    Painter,
    encode_ids,
    load_painter,
    save_painter,
)
from emosym.models.painter.sampling import denoising_loss
from emosym.models.painter.text_encoder import text_length, tokenize
from emosym.models.painter.toy import build_painter
from emosym.models.speed import keep_freed_memory, prepare_for_cpu
from emosym.training.loop.arrays import grow_array, rows_on
from emosym.training.loop.loop import LoopSettings, run_loop
from emosym.training.loop.optim import build_optimizers, cosine, flat_then_decay
from emosym.training.stages.finish import training_device

log = logging.getLogger(__name__)
Captions = Sequence[str] | np.ndarray
ENCODED_AT_ONCE = 256
ENCODED_BETWEEN_LOOKS = 8192  # at the clock


@dataclass(frozen=True, slots=True)
class BasePainterSettings:
    """Lengths and rates; the defaults are one hour on one thread of a laptop CPU."""

    autoencoder_steps: int = 4500
    unet_steps: int = 6500
    batch_size: int = 32
    seed: int = 0
    autoencoder_batch_size: int = 16
    autoencoder_lr: float = 1e-3
    autoencoder_muon_lr: float = 4e-3
    unet_lr: float = 1e-3
    muon_lr: float = 1.5e-3
    caption_dropout: float = 0.1
    ema_decay: float = 0.999
    latent_noise: float = 0.1
    checkpoint_every: int = 200
    bf16: bool = True


def train_base_painter(
    out: Path,
    tokenizer: PreTrainedTokenizerBase,
    pictures: np.ndarray,
    captions: Captions,
    settings: BasePainterSettings | None = None,
    progress: bool = True,
    deadline: float | None = None,
) -> Painter:
    """Train a painter on pictures uint8 (N, 64, 64, 3) with captions; save it in out/painter.

    Captions are texts, or token ids (N, L) as `text_encoder.tokenize` makes them. Stages that are
    finished in `out` are not run again; an interrupted one is resumed.

    Raises:
        UsageError: when pictures and captions do not match.
        StoppedEarly: at the deadline; the same call goes on.
    """
    settings = settings or BasePainterSettings()
    if len(pictures) != len(captions) or pictures.ndim != 4 or pictures.dtype != np.uint8:
        raise UsageError(
            f"Needs uint8 pictures (N, H, W, 3) and N captions, got {pictures.dtype} "
            f"{pictures.shape} and {len(captions)} captions."
        )
    finished = out / "painter"
    if (finished / "model_index.json").is_file():
        return load_painter(finished)
    keep_freed_memory()
    vae = train_autoencoder(out / "autoencoder", pictures, settings, progress, deadline)
    latents = encode_corpus(out / "latents.npy", vae, pictures, deadline)
    painter = train_unet(
        out / "unet", tokenizer, vae, latents, captions, settings, progress, deadline
    )
    save_painter(painter, finished)
    return load_painter(finished)


def train_autoencoder(
    out: Path,
    pictures: np.ndarray,
    settings: BasePainterSettings,
    progress: bool = True,
    deadline: float | None = None,
) -> AutoencoderTiny:
    """Train the autoencoder on pictures uint8 (N, H, W, 3), or open the finished one in out/vae."""
    finished, device = out / "vae", torch.device(training_device())
    if (out / "finished.json").is_file():
        vae = AutoencoderTiny.from_pretrained(str(finished), use_safetensors=True).to(device)
        if device.type == "cpu":
            prepare_for_cpu(vae)
        return vae.eval().requires_grad_(False)
    torch.manual_seed(settings.seed)
    vae = build_autoencoder(device=device).train()
    rows = rows_on(pictures, device)

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        pixels = to_pixels(rows.take(np.sort(indices)))  # (B, 3, H, W)
        return autoencoder_losses(vae, pixels, settings.latent_noise)

    modules = {"vae": vae}
    run_loop(
        LoopSettings(
            name="autoencoder",
            out=out,
            steps=settings.autoencoder_steps,
            batch_size=settings.autoencoder_batch_size,
            seed=settings.seed,
            checkpoint_every=settings.checkpoint_every,
            bf16=settings.bf16,
            deadline=deadline,
        ),
        modules,
        build_optimizers(
            modules,
            settings.autoencoder_lr,
            weight_decay=0.0,
            muon_lr=settings.autoencoder_muon_lr,
        ),
        cosine(),
        len(pictures),
        loss_fn,
        progress=progress,
    )
    vae.eval().requires_grad_(False)
    shift, spread, psnr = measure_latents(vae, pictures[:2048])
    vae.register_to_config(shift_factor=shift, scaling_factor=1.0 / spread)
    vae.save_pretrained(str(finished))
    write_json(out / "finished.json", {"psnr": psnr, "shift": shift, "spread": spread})
    log.info("autoencoder: %.2f dB", psnr)
    return vae


def autoencoder_losses(
    vae: AutoencoderTiny, pixels: torch.Tensor, latent_noise: float
) -> dict[str, torch.Tensor]:
    """Return the losses of reconstructing (B, 3, H, W): L1 + L2 + edges + latent moments.

    The moments term pulls each latent channel to mean 0 and deviation 1, so that one scaling fits
    all channels and the decoder's soft bound (3 tanh(z / 3)) stays nearly linear.
    """
    latents = raw_latents(vae, pixels).float()  # (B, c, h, w)
    noisy = latents + latent_noise * torch.randn_like(latents)
    difference = raw_pictures(vae, noisy).float() - pixels  # (B, 3, H, W)
    absolute, square = difference.abs().mean(), difference.square().mean()
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    deviation, mean = torch.std_mean(latents, dim=(0, 2, 3))  # (c,)
    moments = (mean.square() + (deviation - 1).square()).mean()
    loss = absolute + square + 0.5 * edges + 0.05 * moments
    return {"loss": loss, "l1": absolute, "l2": square, "edges": edges, "moments": moments}


@torch.no_grad()
def measure_latents(vae: AutoencoderTiny, pictures: np.ndarray) -> tuple[float, float, float]:
    """Return the latents' mean and deviation and the reconstruction's PSNR in dB."""
    total, square, count, error = 0.0, 0.0, 0, []
    for first in range(0, len(pictures), 128):
        pixels = _pixels_for(vae, pictures[first : first + 128])
        with _autocast(vae.device):
            latents = raw_latents(vae, pixels).float()
            decoded = raw_pictures(vae, latents).float().clamp(-1, 1)
        total += float(latents.sum())
        square += float(latents.square().sum())
        count += latents.numel()
        error.append((decoded - pixels).square().mean(dim=(1, 2, 3)))
    mean = total / count
    psnr = 10 * float(torch.log10(4.0 / torch.cat(error).mean()))  # peak to peak is 2
    return mean, (square / count - mean * mean) ** 0.5, psnr


def _pixels_for(vae: AutoencoderTiny, pictures: np.ndarray) -> torch.Tensor:
    """Return pictures uint8 (B, H, W, 3) as (B, 3, H, W) in [-1, 1], where the autoencoder is."""
    return to_pixels(torch.from_numpy(np.array(pictures)).to(vae.device))


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16())


@torch.no_grad()
def encode_corpus(
    path: Path, vae: AutoencoderTiny, pictures: np.ndarray, deadline: float | None = None
) -> np.ndarray:
    """Encode all pictures once into a float16 .npy (N, c, h, w), or open the finished one.

    Errors as in `emosym.training.loop.arrays.grow_array`.
    """
    side = downscale_factor(vae)
    shape = (
        len(pictures),
        int(vae.config.latent_channels),
        pictures.shape[1] // side,
        pictures.shape[2] // side,
    )

    def encode(start: int, count: int) -> np.ndarray:
        parts = []
        for first in range(start, start + count, ENCODED_AT_ONCE):
            pixels = _pixels_for(vae, pictures[first : min(first + ENCODED_AT_ONCE, start + count)])
            with _autocast(vae.device):
                encoded = encode_with(vae, pixels)
            parts.append(encoded.half().cpu().numpy())
        return np.concatenate(parts)

    return grow_array(path, shape, np.float16, encode, ENCODED_BETWEEN_LOOKS, deadline)


def train_unet(
    out: Path,
    tokenizer: PreTrainedTokenizerBase,
    vae: AutoencoderTiny,
    latents: np.ndarray,
    captions: Captions,
    settings: BasePainterSettings,
    progress: bool = True,
    deadline: float | None = None,
) -> Painter:
    """Train U-Net and text encoder together on latents (N, c, h, w) and captions."""
    torch.manual_seed(settings.seed + 1)
    device = torch.device(training_device())
    painter = build_painter(tokenizer, vae=vae, device=device)
    encoder = painter.text_encoders[0]
    length = text_length(tokenizer, encoder)
    if not isinstance(captions, np.ndarray):
        captions = tokenize(tokenizer, captions, length).to(torch.int32).numpy()  # (N, L)
    if captions.shape[1] != length:
        raise UsageError(f"Captions have {captions.shape[1]} tokens, the encoder reads {length}.")
    empty = tokenize(tokenizer, [""], length).to(device)  # (1, L)
    latent_rows, caption_rows = rows_on(latents, device), rows_on(captions, device)

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        chosen = latent_rows.take(np.sort(indices)).float()  # (B, c, h, w)
        ids = caption_rows.take(np.sort(indices)).long()  # (B, L)
        dropped = torch.rand(len(ids), 1, device=device) < settings.caption_dropout
        embeds = encode_ids(painter, [torch.where(dropped, empty, ids)])
        noise = torch.randn(chosen.shape, device=device)  # not by way of the CPU
        return {"loss": denoising_loss(painter, chosen, embeds, noise)}

    modules = {"unet": painter.unet.train(), "text_encoder": encoder.train()}
    run_loop(
        LoopSettings(
            name="unet",
            out=out,
            steps=settings.unet_steps,
            batch_size=settings.batch_size,
            seed=settings.seed,
            checkpoint_every=settings.checkpoint_every,
            bf16=settings.bf16,
            ema_decay=settings.ema_decay,
            deadline=deadline,
        ),
        modules,
        build_optimizers(modules, settings.unet_lr, weight_decay=0.01, muon_lr=settings.muon_lr),
        flat_then_decay(),
        len(latents),
        loss_fn,
        progress=progress,
    )
    for module in modules.values():
        module.eval().requires_grad_(False)
    return painter
