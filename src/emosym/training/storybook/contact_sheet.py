"""A base painter's paintings beside what was drawn: a sheet to look at, and their sharpness."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from emosym.device import has_bf16
from emosym.errors import UsageError
from emosym.files import write_bytes, write_json
from emosym.metrics.control import edge_energy_ratio
from emosym.models.painter.autoencoder import to_pictures, to_pixels
from emosym.models.painter.painter import Painter, decode_latents, encode_images, encode_prompts
from emosym.models.painter.sampling import paint
from emosym.seeds import torch_rng


def rows_sheet(*rows: np.ndarray, columns: int = 8, scale: int = 2, most: int = 32) -> bytes:
    """Return a PNG with groups of rows, one per array (N, H, W, 3), `columns` pictures wide."""
    bands = []
    for first in range(0, min(len(rows[0]), most) // columns * columns, columns):
        bands += [np.concatenate(list(row[first : first + columns]), axis=1) for row in rows]
    if not bands:
        raise UsageError(f"A contact sheet needs at least {columns} pictures.")
    sheet = Image.fromarray(np.concatenate(bands))
    stream = io.BytesIO()
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(
        stream, "PNG"
    )
    return stream.getvalue()


def evaluate_base_painter(
    out: Path,
    painter: Painter,
    pictures: np.ndarray,
    captions: Sequence[str],
    seed: int = 0,
    num_inference_steps: int = 10,
    guidance_scale: float = 3.5,
) -> np.ndarray:
    """Paint held-out captions; write out/samples.png and out/samples.json, return (N, H, W, 3).

    The sheet shows drawn, reconstructed and painted rows. `edge_ratio` is the edge energy of the
    paintings over that of the drawn pictures (`metrics.control.edge_energy_ratio`): well below 1
    is blurred, above 1 is speckled.
    """
    with torch.no_grad(), torch.autocast(painter.device.type, torch.bfloat16, enabled=has_bf16()):
        shown = to_pixels(torch.from_numpy(np.array(pictures)).to(painter.device))  # (N, 3, H, W)
        decoded = to_pictures(decode_latents(painter, encode_images(painter, shown))).cpu().numpy()
        empty = encode_prompts(painter, [""])
        batches = []
        for first in range(0, len(captions), 32):
            prompts = encode_prompts(painter, captions[first : first + 32])
            generators = [
                torch_rng(seed, "base-painter-samples", first + i)
                for i in range(len(prompts.hidden))
            ]
            height, width = pictures.shape[1:3]
            batches.append(
                paint(
                    painter,
                    prompts,
                    empty,
                    num_inference_steps,
                    guidance_scale,
                    generators,
                    height,
                    width,
                )
            )
    painted = np.concatenate(batches)
    write_bytes(out / "samples.png", rows_sheet(pictures, decoded, painted))
    ratios = {
        "edge_ratio": edge_energy_ratio(painted, pictures),
        "edge_ratio_reconstructed": edge_energy_ratio(decoded, pictures),
    }
    write_json(out / "samples.json", {**ratios, "captions": list(captions)})
    return painted
