"""A painter as it comes: any text-to-image folder of diffusers, or this package's own painter."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import AutoPipelineForText2Image, DiffusionPipeline
from diffusers.utils import logging as bars
from PIL import Image
from torch import nn

from emosym.errors import EmoSymError, UsageError
from emosym.files import read_json
from emosym.models.painter.painter import Painter, encode_prompts, load_painter
from emosym.models.painter.safety import FOLDER as SAFETY
from emosym.models.painter.safety import Safety, load_safety
from emosym.models.painter.sampling import BeforeStep, paint
from emosym.models.quiet import quiet_loading
from emosym.models.snapshots import (
    bytes_needed,
    found_variant,
    require_fit,
    require_memory,
    weight_files,
)

INDEX = "model_index.json"
OWN_CLASS = "Painter"  # what `save_painter` writes where diffusers has no such pipeline
LIBRARIES = {"diffusers": diffusers, "transformers": transformers}


@dataclass(frozen=True, slots=True)
class StockPainter:
    """Exactly one of a diffusers `pipeline` and our own `painter`, with its safety checker.

    A pipeline of diffusers keeps the state of a painting on itself (its sampler, its tokenizers'
    padding, its guidance): `one_at_a_time` holds while it paints.
    """

    pipeline: Any
    painter: Painter | None
    safety: Safety | None
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)


def is_own_painter(folder: Path) -> bool:
    """Return whether a painter's folder is in this package's own layout."""
    index = read_json(folder / INDEX, "painter (model_index.json)")
    return bool(index.get("_class_name") == OWN_CLASS)


def open_stock_painter(folder: Path, dtype: torch.dtype, device: str) -> StockPainter:
    """Open a text-to-image folder: local files, safetensors, every weight there or an error.

    Raises:
        UsageError: when the folder holds no text-to-image pipeline that diffusers knows.
        EmoSymError: when weights are missing, left over or damaged, or memory is too small.
    """
    if is_own_painter(folder):
        painter = load_painter(folder, dtype, device)
        return StockPainter(None, painter, painter.safety)
    index = read_json(folder / INDEX, "painter (model_index.json)")
    kind = _pipeline_class(folder, index)
    with quiet_loading():
        parts: dict[str, Any] = dict(_load_parts(folder, index, dtype, device))
        safety = load_safety(folder, dtype, device)
        wanted = inspect.signature(kind.__init__).parameters
        # the checker runs on our side, the same for every kind of painter
        off = {SAFETY: None, "requires_safety_checker": False, "feature_extractor": None}
        parts |= {name: value for name, value in off.items() if name in wanted}
        options = {"local_files_only": True, "use_safetensors": True}
        try:
            with _no_bar():
                pipeline = _opener(index).from_pretrained(str(folder), **parts, **options)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise EmoSymError(f"The painter in {folder} cannot be opened: {reason}") from error
    pipeline.set_progress_bar_config(disable=True)
    return StockPainter(pipeline.to(device), None, safety)


@contextmanager
def _no_bar() -> Iterator[None]:
    """Silence diffusers' progress bar of loading; all is as it was afterwards."""
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _pipeline_class(folder: Path, index: dict[str, Any]) -> Any:
    """Return the class of a text-to-image pipeline, or raise UsageError."""
    name = str(index.get("_class_name"))
    kind = getattr(diffusers, name, None)
    if kind is None or not inspect.isclass(kind) or not issubclass(kind, DiffusionPipeline):
        raise UsageError(
            f"{folder} holds a {name!r}, which diffusers {diffusers.__version__} does not have; "
            "its own code is never run."
        )
    asked = inspect.signature(kind.__call__).parameters
    image = asked.get("image")
    needs_image = image is not None and image.default is inspect.Parameter.empty
    if "prompt" not in asked or needs_image or "num_frames" in asked:
        raise UsageError(
            f"{folder} holds a {name}, which does not paint pictures from words: take a "
            "text-to-image model, such as Stable Diffusion."
        )
    return kind


def _opener(index: dict[str, Any]) -> Any:
    """Return AutoPipelineForText2Image where it knows the pipeline, else DiffusionPipeline.

    The former turns an image-to-image or inpainting folder into its text-to-image sibling.
    """
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    known = {kind.__name__ for kind in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    return AutoPipelineForText2Image if index["_class_name"] in known else DiffusionPipeline


def _load_parts(
    folder: Path, index: dict[str, Any], dtype: torch.dtype, device: str
) -> dict[str, nn.Module]:
    """Load every network of a pipeline, refusing one with weights missing or left over."""
    kinds: dict[str, Any] = {
        name: getattr(LIBRARIES[entry[0]], str(entry[1]), None)
        for name, entry in index.items()
        if isinstance(entry, list) and entry[0] in LIBRARIES and name != SAFETY
    }
    models: dict[str, Any] = {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, nn.Module)
    }
    variants = {name: found_variant(folder / name) for name in models}
    files = [file for name in models for file in weight_files(folder / name, variants[name])]
    needed = bytes_needed(files, str(dtype).removeprefix("torch."))
    require_memory(needed, device, f"painter in {folder.name}")
    loaded: dict[str, nn.Module] = {}
    for name, kind in models.items():
        chosen = {"dtype" if index[name][0] == "transformers" else "torch_dtype": dtype}
        module, report = kind.from_pretrained(
            str(folder / name),
            variant=variants[name],
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **chosen,
        )
        require_fit(folder / name, report)
        loaded[name] = module.eval().requires_grad_(False)
    return loaded


@torch.no_grad()
def _called_at_steps(before_step: BeforeStep) -> Callable[..., dict[str, Any]]:
    """Return what diffusers calls after every step."""

    def after(pipeline: Any, step: int, time: Any, given: dict[str, Any]) -> dict[str, Any]:
        before_step()
        return given

    return after


def paint_text(
    stock: StockPainter,
    prompt: str,
    num_inference_steps: int,
    guidance_scale: float,
    generators: Sequence[torch.Generator],
    before_step: BeforeStep | None = None,
) -> np.ndarray:
    """Paint one picture per seeded CPU generator: uint8 (N, height, width, 3).

    What `before_step` raises ends the painting; pipelines that call nobody go on to their end.

    Raises:
        EmoSymError: when the pipeline returns no pictures.
    """
    if stock.painter is not None:
        guided = guidance_scale != 1.0
        return paint(
            stock.painter,
            encode_prompts(stock.painter, [prompt] * len(generators)),
            encode_prompts(stock.painter, [""]) if guided else None,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generators,
            before_step=before_step,
        )
    asked = inspect.signature(type(stock.pipeline).__call__).parameters
    options: dict[str, Any] = {
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
    }
    if before_step is not None:
        options["callback_on_step_end"] = _called_at_steps(before_step)
    with stock.one_at_a_time:
        output = stock.pipeline(
            prompt=[prompt] * len(generators),
            generator=list(generators),
            output_type="pil",
            **{name: value for name, value in options.items() if name in asked},
        )
    pictures = list(getattr(output, "images", ()))
    if len(pictures) != len(generators) or not isinstance(pictures[0], Image.Image):
        raise EmoSymError(f"{type(stock.pipeline).__name__} returned no pictures.")
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
