"""Checkpoints: a folder with emosym.json (format, versions, checksums) and safetensors per part.

The base weights are not copied: the checkpoint names the base it stands on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from emosym import __version__
from emosym.emotions import label_space
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import disk_errors, read_json, sha256_of, write_atomic, write_json, write_text
from emosym.models.adapters import has_adapter, load_adapter, save_adapter
from emosym.models.calibration import calibration_row, stored_calibration
from emosym.models.emosym_model import EmoSymModel, PainterSource, make_reader
from emosym.models.gaussians import (
    Domain,
    EmotionSpace,
    load_gaussians,
    save_gaussians,
    truncate,
)
from emosym.models.painter.mappers import CONDITIONS, ConditionMappers, has_context
from emosym.models.presets import Base, resolve_base, verify_files
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.latent_tokens import with_gate
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.provenance import git_hash, package_versions

FORMAT = 1
COMPACT_RANK = 24
DESCRIPTION = "emosym.json"
MAPPERS = "mappers.safetensors"
TEXT_PROJECTION = "context_projector.net.weight"
LAST_LAYER = "4.weight"  # of a mapper: its LayerNorm, as wide as the text encoder's embeddings
FIELDS = (
    "base",
    "label_spaces",
    "label_space",
    "template",
    "num_context_tokens",
    "recurrent",
    "temperature",
    "domain_threshold",
    "stages",
    "files",
)


def save_checkpoint(
    model: EmoSymModel, folder: Path, card: str | None = None, compact: bool = False
) -> None:
    """Write a checkpoint folder by a rename: whole, or not there.

    `compact` is for shipping: weights in bf16, and the COMPACT_RANK largest directions of each
    emotion's covariance.
    """
    temporary = folder.with_name(f".tmp-{folder.name}")
    with disk_errors(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _write_parts(model, temporary, card, compact)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_parts(model: EmoSymModel, folder: Path, card: str | None, compact: bool) -> None:
    reasoner = model.reader.reasoner
    _save(trained_parts(reasoner), folder / "reader.safetensors")
    _save(model.mappers.state_dict(), folder / MAPPERS)
    if has_adapter(reasoner.backbone, ADAPTER):
        save_adapter(reasoner.backbone, ADAPTER, folder / "adapter")
    painter = model.open_painter
    if painter.opened is not None and has_adapter(painter.opened.unet, ADAPTER):
        save_adapter(painter.opened.unet, ADAPTER, folder / "unet_adapter")
    elif painter.opened is None and painter.adapter is not None:
        shutil.copytree(painter.adapter, folder / "unet_adapter")
    if model.emotion_space is not None:
        rank = COMPACT_RANK if compact else model.emotion_space.gaussians[0].mean.numel()
        kept = [truncate(gaussian, rank) for gaussian in model.emotion_space.gaussians]
        named = dict(zip(model.emotion_space.labels, kept, strict=True))
        save_gaussians(folder / "emotion_space.safetensors", named, {})
    if model.domain is not None:
        extra = {"distances": model.domain.distances}
        save_gaussians(folder / "domain.safetensors", {"domain": model.domain.gaussian}, extra)
    for i, recipe in enumerate(model.recipes):
        write_text(folder / f"recipe-{i}-{model.stages[i]}.yaml", recipe)
    if card is not None:
        write_text(folder / "README.md", card)
    if compact:
        for path in folder.rglob("*.safetensors"):
            save_file({k: _half(v) for k, v in load_file(path).items()}, path)
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / DESCRIPTION, {**description_of(model), "files": files})


def description_of(model: EmoSymModel) -> dict[str, Any]:
    """Return what emosym.json says of a model, but for the checksums of its files."""
    tokens, base = model.reader.tokens, model.base
    return {
        "format": FORMAT,
        "emosym": __version__,
        "base": base.name,
        **_sources(base),
        "max_pixels": base.max_pixels,
        "reader_fingerprint": base.reader_fingerprint(),
        "four_bit": model.four_bit,
        "condition": model.condition,
        "label_spaces": list(model.reader.reasoner.heads),
        "label_space": model.reader.space,
        "template": model.reader.template,
        "num_context_tokens": tokens.num_context_tokens,
        "recurrent": tokens.recurrent,
        "temperature": model.temperature,
        "calibration": calibration_row(model.calibration),
        "domain_threshold": model.domain.threshold if model.domain else None,
        "stages": list(model.stages),
        "versions": package_versions(),
        "git": git_hash(),
    }


def _sources(base: Base) -> dict[str, str | None]:
    """Return the folders or hub ids that were given instead of the base's own, else None."""
    own = resolve_base(base.name)
    return {
        "reader": base.reader if base.reader != own.reader else None,
        "painter": base.painter if base.painter != own.painter else None,
    }


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor


def load_checkpoint(folder: Path, device: str = "cpu") -> EmoSymModel:
    """Open a checkpoint folder and the base it stands on.

    Raises:
        UsageError: when the folder is not a checkpoint or of another format.
        EmoSymError: when a file is missing, damaged, or does not fit.
    """
    described = describe_checkpoint(folder)
    files = described["files"]
    verify_files(folder, files)
    base = base_of(described, folder)
    four_bit = bool(described.get("four_bit", False))
    saved = with_gate(load_file(folder / "reader.safetensors"))
    mapped = load_file(folder / MAPPERS)
    chat = open_chat(base, device, four_bit)
    reasoner = EmotionReasoner(
        chat.backbone,
        int(described["num_context_tokens"]),
        bool(described["recurrent"]),
        tuple(described["label_spaces"]),
        saved[TEXT_PROJECTION].shape[0],
        seed=0,
    )
    if "adapter/adapter_config.json" in files:
        load_adapter(reasoner.backbone, ADAPTER, folder / "adapter")
    _fill(trained_parts(reasoner), saved, folder)
    # The widths of the painter's text encoders are read off the mappers: it need not be loaded.
    biases = [
        mapped[f"emotion_mapper.{i}.{LAST_LAYER}"] for i in range(len(mapped["output_scale"]))
    ]
    hidden = reasoner.latent_tokens.emotion_embed.shape[1]
    mappers = ConditionMappers(hidden, [len(b) for b in biases], [1.0] * len(biases), seed=0)
    _fill(mappers.state_dict(), mapped, folder)
    reasoner.requires_grad_(False)
    has_unet_adapter = "unet_adapter/adapter_config.json" in files
    return EmoSymModel(
        base,
        make_reader(chat, reasoner, described["template"], described["label_space"], device),
        PainterSource(base, folder / "unet_adapter" if has_unet_adapter else None, device),
        mappers.to(device),
        _load_space(folder, described),
        _load_domain(folder, described),
        calibration=stored_calibration(described, str(folder / DESCRIPTION)),
        stages=tuple(described["stages"]),
        recipes=tuple(
            (folder / f"recipe-{i}-{stage}.yaml").read_text()
            for i, stage in enumerate(described["stages"])
            if f"recipe-{i}-{stage}.yaml" in files
        ),
        four_bit=four_bit,
        condition=_condition(described),
    )


def base_of(described: Mapping[str, Any], folder: Path) -> Base:
    """Return the base that a checkpoint's description names.

    Raises:
        EmoSymError: when the base on this machine is not the one it was trained on: its adapter
            and tokens would read nonsense on other weights.
    """
    base = resolve_base(described["base"], described.get("reader"), described.get("painter"))
    base = replace(base, max_pixels=described.get("max_pixels", base.max_pixels))
    wanted = described.get("reader_fingerprint")
    if wanted is not None and wanted != base.reader_fingerprint():
        raise EmoSymError(
            f"The checkpoint {folder} was trained on other weights than the {base.name} on this "
            "machine. Train it again on these, or open it with the ones it was made with."
        )
    return base


def describe_checkpoint(folder: Path) -> dict[str, Any]:
    """Return emosym.json of a checkpoint; errors as in `load_checkpoint`."""
    if not (folder / DESCRIPTION).is_file():
        raise UsageError(f"{folder} is not an emosym checkpoint: it has no {DESCRIPTION}.")
    described: dict[str, Any] = read_json(folder / DESCRIPTION, "checkpoint description")
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        found = described.get("format") if isinstance(described, dict) else None
        raise UsageError(
            f"The checkpoint {folder} has format {found!r}; this version of emosym reads {FORMAT}. "
            "Install the version that wrote it."
        )
    lacking = [field for field in FIELDS if field not in described]
    if lacking:
        raise UsageError(f"{folder / DESCRIPTION} is damaged: it lacks {lacking[0]!r}.")
    return described


def is_checkpoint(folder: Path) -> bool:
    """Return whether `folder` looks like a checkpoint."""
    return (folder / DESCRIPTION).is_file()


def trained_parts(reasoner: EmotionReasoner) -> dict[str, torch.Tensor]:
    """Return the live tensors of tokens, heads and projector."""
    return {k: v for k, v in reasoner.state_dict().items() if not k.startswith("backbone.")}


def _condition(described: Mapping[str, Any]) -> str:
    """Return what the painter gets; a checkpoint from before it was a choice has the default."""
    found = str(described.get("condition", CONDITIONS[0]))
    if found not in CONDITIONS:
        raise unknown_name("condition of a checkpoint", found, CONDITIONS)
    return found


def _load_space(folder: Path, described: Mapping[str, Any]) -> EmotionSpace | None:
    if "emotion_space.safetensors" not in described["files"]:
        return None
    gaussians, _ = load_gaussians(folder / "emotion_space.safetensors")
    labels = label_space(described["label_space"]).labels
    count = int(described["num_context_tokens"]) if has_context(_condition(described)) else 0
    return EmotionSpace(labels, tuple(gaussians[name] for name in labels), count)


def _load_domain(folder: Path, described: Mapping[str, Any]) -> Domain | None:
    if "domain.safetensors" not in described["files"]:
        return None
    gaussians, extra = load_gaussians(folder / "domain.safetensors")
    return Domain(
        gaussians["domain"], extra["distances"].float(), float(described["domain_threshold"])
    )


def _save(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    stored = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_atomic(path, lambda temporary: save_file(stored, temporary))


def _fill(
    live: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], folder: Path
) -> None:
    if set(saved) != set(live) or any(saved[k].shape != live[k].shape for k in saved):
        odd = sorted(set(saved) ^ set(live))[:3]
        raise EmoSymError(
            f"The weights in {folder} do not fit this model: {odd or 'other shapes'}."
        )
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])
