"""The study: every arm and seed by folds of whole themes, beside the kernel on the same folds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result, subject_of
from emosym.files import read_json, write_atomic, write_json
from emosym.metrics.intervals import bootstrap
from emosym.models.chat import ChatModel
from emosym.models.photo.encoder import encoder_folder, open_encoder
from emosym.models.photo.head import (
    RATED,
    Blocks,
    Kernel,
    LeftOut,
    conformal_width,
    correlation,
    fit_scaling,
    scaled,
)
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reader import OF_PICTURES, Reader
from emosym.models.snapshots import fingerprint
from emosym.studies.photo_anatomy.folds import (
    ARMS,
    SHIPPED,
    Photographs,
    Settings,
    Told,
    train_and_read,
)
from emosym.studies.photo_anatomy.network import build_network, read_question
from emosym.training.photo import Rated, covered, dealt, features_of, left_out, open_rated
from emosym.training.stages.align import embed_by_reading

log = logging.getLogger(__name__)
GAUSSIAN_90 = 1.6448536269514722  # deviations that hold 90 % of a Gaussian to both sides
DRAWS = 2000  # of themes, for the interval of a difference
FEATURES, SETTINGS = "features.npz", "settings.json"
KERNELS = tuple(Kernel(gamma, noise) for gamma in (0.5, 1.0, 1.5) for noise in (0.03, 0.1, 0.3))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study is of: a folder of rated pictures, an encoder, a language model, seeds."""

    root: Path
    out: Path
    settings: Settings
    seeds: int = 5
    encoder: str = "efficientnet-lite1"
    base: str = "smollm2-135m"
    arms: tuple[str, ...] = ARMS
    dtype: str = "bfloat16"  # of the frozen language model: half of the time where CPUs have it


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything that does not depend on what is trained, computed once."""

    chat: ChatModel
    prompt: Prefix
    rated: Rated
    blocks: Blocks
    photographs: Photographs
    encoder: str


def run_study(asked: Asked) -> dict[str, Any]:
    """Train all arms, seeds and folds that are not done yet, and return the result.

    Raises:
        UsageError: when pictures, encoder or language model are not here, or `out` holds a study
            with other settings.
    """
    rated = open_rated(asked.root)
    subject = subject_of(None, "each theme left out by folds", rated.names)
    described = {**asdict(asked.settings), "encoder": asked.encoder, "base": asked.base}
    same_settings(
        asked.out / SETTINGS, {**described, "dtype": asked.dtype, "pictures": subject["ids"]}
    )
    opened = open_all(asked, rated)
    told: dict[str, list[Told]] = {name: [] for name in (SHIPPED, *asked.arms)}
    groups = []
    for seed in range(asked.seeds):
        folds = dealt(opened.rated.themes, asked.settings.folds, seed)
        groups.append(folds)
        told[SHIPPED].append(of_kernel(opened, folds))
        for arm in asked.arms:
            told[arm].append(by_folds(asked, opened, arm, folds, seed))
            found = measured(told[arm][-1], opened.rated.ratings, folds)
            log.info("%s, seed %d: %s", arm, seed, ", ".join(map(_shown, found.items())))
    values = summary(told, opened.rated, groups)
    return make_result(
        "photo-anatomy",
        values,
        len(opened.rated.names),
        0,
        extractors={"encoder": opened.encoder},
        subject=subject,
    )


def _shown(item: tuple[str, float]) -> str:
    return f"{item[0].replace('_', ' ')} {item[1]:.3f}"


def same_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write what a study is made with, or compare it with what is written.

    Raises:
        UsageError: where it differs.
    """
    if path.is_file() and read_json(path, "settings of the study") != settings:
        raise UsageError(
            f"{path.parent} holds a study of other pictures or with other settings: give another "
            "folder, or delete it."
        )
    write_json(path, dict(settings))


def open_all(asked: Asked, rated: Rated) -> Opened:
    """Read the pictures' features (once: they are kept), the question, and the themes' words."""
    place = encoder_folder(asked.encoder)
    made_of, kept = fingerprint(place), asked.out / FEATURES
    if kept.is_file():
        blocks = dict(np.load(kept, allow_pickle=False))
    else:
        blocks, _ = features_of(rated.dataset, open_encoder(place), 16)
        write_atomic(kept, lambda temporary: np.savez(temporary, **blocks))  # type: ignore[arg-type]
    chat = open_chat(resolve_base(asked.base))
    chat.backbone.to(getattr(torch, asked.dtype))
    prompt = read_question(chat)
    ready = []
    for block in blocks.values():
        even = scaled(block, fit_scaling(block)) * block.shape[1] ** 0.5
        ready.append(torch.from_numpy(even).float())
    words = words_of(chat, prompt, rated.themes)
    photographs = Photographs(tuple(ready), rated.ratings, rated.themes, words)
    return Opened(chat, prompt, rated, blocks, photographs, made_of)


def words_of(chat: ChatModel, prompt: Prefix, themes: np.ndarray) -> torch.Tensor:
    """Return unit embeddings (n, H) of the words of themes by the frozen language model."""
    reasoner = build_network(chat, prompt, (1,), 1, 0).reasoner
    reader = Reader(reasoner, chat.tokenizer, None, None, OF_PICTURES, MIKELS8)
    known, places = np.unique(themes, return_inverse=True)
    return embed_by_reading(reader, [str(theme).lower() for theme in known])[places]


def by_folds(asked: Asked, opened: Opened, arm: str, folds: np.ndarray, seed: int) -> Told:
    """Return what an arm says of every picture, each read where its fold was left out."""
    ratings = opened.rated.ratings
    whole = Told(np.empty_like(ratings), np.empty_like(ratings))
    for fold in np.unique(folds).tolist():
        held = folds == fold
        path = asked.out / "told" / f"{arm.replace(' ', '-')}-{seed}-{fold}.json"
        if path.is_file():
            kept = read_json(path, "numbers of a fold")
            found = Told(np.array(kept["mean"]), np.array(kept["deviation"]))
        else:
            found = train_and_read(
                opened.chat, opened.prompt, opened.photographs, held, arm, asked.settings, seed
            )
            kept = {"mean": found.mean.tolist(), "deviation": found.deviation.tolist()}
            write_json(path, kept, indent=None)
        whole.mean[held], whole.deviation[held] = found.mean, found.deviation
    return whole


def of_kernel(opened: Opened, folds: np.ndarray) -> Told:
    """Return what the shipped kind of head says on the same folds, chosen without each of them."""
    ratings = opened.rated.ratings
    both = [left_out(opened.blocks, ratings[:, column], folds, KERNELS) for column in (0, 1)]
    return Told(
        np.stack([one.predicted for one in both], axis=1),
        np.stack([one.deviation for one in both], axis=1),
    )


def measured(told: Told, ratings: np.ndarray, folds: np.ndarray) -> dict[str, float]:
    """Return how well left-out pictures are read.

    `_interval_holds` is of conformal intervals, `_gaussian_holds` of 1.645 deviations as they are.
    """
    values = {}
    for column, name in enumerate(RATED):
        truth, left = ratings[:, column], LeftOut(told.mean[:, column], told.deviation[:, column])
        sizes = np.abs(left.predicted - truth) / left.deviation
        values[f"{name}_r"] = correlation(left.predicted, truth)
        values[f"{name}_mean_absolute_error"] = float(np.abs(left.predicted - truth).mean())
        values[f"{name}_interval_holds"] = float(covered(left, truth, folds).mean())
        half = conformal_width(sizes) * left.deviation
        values[f"{name}_interval_half"] = float(half.mean())
        values[f"{name}_gaussian_holds"] = float((sizes <= GAUSSIAN_90).mean())
    return values


def summary(
    told: Mapping[str, Sequence[Told]], rated: Rated, groups: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Return each arm's values by seed, their means, and differences in r with their intervals."""
    values: dict[str, Any] = {}
    for arm, each in told.items():
        key = arm.replace(" ", "_")
        found = [measured(one, rated.ratings, g) for one, g in zip(each, groups, strict=True)]
        for name in found[0]:
            values[f"{key}_{name}"] = [one[name] for one in found]
            values[f"{key}_{name}_mean"] = float(np.mean([one[name] for one in found]))
    pairs = [(arm, SHIPPED) for arm in told if arm != SHIPPED]
    pairs += [(ARMS[0], other) for other in ARMS[1:] if {ARMS[0], other} <= set(told)]
    for one, other in pairs:
        for column, name in enumerate(RATED):
            key = f"{one}_less_{other}_{name}_r".replace(" ", "_")
            values[key] = difference(told[one], told[other], rated, column)
    return values


def difference(
    some: Sequence[Told], others: Sequence[Told], rated: Rated, column: int
) -> list[float]:
    """Return the difference in r, mean over seeds, and its 95 % interval over draws of themes."""
    themes, truth = np.unique(rated.themes, return_inverse=True)[1], rated.ratings[:, column]
    members = [np.flatnonzero(themes == theme) for theme in range(int(themes.max()) + 1)]

    def of_themes(drawn: np.ndarray) -> float:
        rows = np.concatenate([members[theme] for theme in drawn])
        pairs = zip(some, others, strict=True)
        return float(
            np.mean(
                [_r(one, truth, column, rows) - _r(two, truth, column, rows) for one, two in pairs]
            )
        )

    found = bootstrap([np.arange(len(members))], of_themes, 0, DRAWS)
    return [found.value, found.low, found.high]


def _r(told: Told, truth: np.ndarray, column: int, rows: np.ndarray) -> float:
    return correlation(told.mean[rows, column], truth[rows])
