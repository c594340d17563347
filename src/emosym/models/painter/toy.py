"""The small preset's painter, untrained: Stable Diffusion's anatomy at a hundredth of its size."""

from __future__ import annotations

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn
from transformers import PreTrainedTokenizerBase

from emosym.models.painter.autoencoder import Autoencoder, build_autoencoder
from emosym.models.painter.painter import Painter
from emosym.models.painter.text_encoder import build_text_encoder
from emosym.models.speed import prepare_for_cpu

PROMPT_LENGTH = 64


def flow_scheduler() -> DPMSolverMultistepScheduler:
    """Return the sampler of a rectified flow: DPM-Solver++ 2M on straight paths."""
    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    )


def build_painter(
    tokenizer: PreTrainedTokenizerBase,
    channels: tuple[int, int, int] = (64, 96, 160),
    text_width: int = 192,
    max_length: int = PROMPT_LENGTH,
    vae: Autoencoder | None = None,
    device: str | torch.device = "cpu",
) -> Painter:
    """Build an untrained painter of 64 px pictures: by default a 7.6 M U-Net, 9.4 M in all."""
    vae = vae or build_autoencoder(device=device)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=int(vae.config.latent_channels),
        out_channels=int(vae.config.latent_channels),
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=4,  # diffusers' historical name for the number of heads
        norm_num_groups=16,
        time_embedding_dim=192,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        use_linear_projection=True,
    )
    zero_residual_outputs(unet)
    unet.to(device)
    if torch.device(device).type == "cpu":
        prepare_for_cpu(unet)
    encoder = build_text_encoder(tokenizer, text_width, max_length=max_length)
    encoder.to(device)
    return Painter((tokenizer,), (encoder,), vae, unet, flow_scheduler())


def zero_residual_outputs(unet: UNet2DConditionModel) -> None:
    """Start every residual branch, and the output, at zero: the untrained U-Net passes through."""
    from diffusers.models.resnet import ResnetBlock2D

    last = [module.conv2 for module in unet.modules() if isinstance(module, ResnetBlock2D)]
    for convolution in (*last, unet.conv_out):
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)
