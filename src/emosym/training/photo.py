"""Stage `photo`: valence and arousal of photographs from frozen features, measured theme by theme.

Pictures of one theme ("Fire 1" to "Fire 11") are alike: folds that split a theme flatter. So what
is reported of a picture was predicted without any picture of its theme, by a kernel that was chosen
without them too.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emosym.config.load import dump_recipe
from emosym.config.recipes import PhotoRecipe
from emosym.data.dataset import Dataset
from emosym.data.images import load_image
from emosym.data.sources.open import open_dataset
from emosym.data.stored_splits import ALL
from emosym.errors import UsageError
from emosym.files import write_text
from emosym.models.photo.encoder import Encoder, encoder_folder, open_encoder, squashed
from emosym.models.photo.head import (
    RATED,
    Blocks,
    Kernel,
    LeftOut,
    choose_kernel,
    conformal_width,
    correlation,
    distances,
    fit_head,
    fit_scaling,
    leave_groups_out,
    scaled,
)
from emosym.models.photo.store import save_head
from emosym.models.snapshots import fingerprint
from emosym.seeds import numpy_rng

log = logging.getLogger(__name__)
NUMBERED = re.compile(r"[ _-]*\d+$")
FEWEST_THEMES = 5
COLOURS = 4  # steps of each of red, green and blue: 64 bins
RIDGE = 1.0  # of the colour histogram's linear kernel
PREDICTIONS = "predictions.csv"
SIDE = 64  # pixels of the picture whose colours are counted


@dataclass(frozen=True, slots=True)
class Rated:
    """Rated pictures: ratings (n, 2) of 1..7, names and themes (n,)."""

    dataset: Dataset
    ratings: np.ndarray
    names: tuple[str, ...]
    themes: np.ndarray


def run_photo(recipe: PhotoRecipe) -> dict[str, float]:
    """Fit on all rated pictures, measure theme by theme, and write recipe.out; returns values.

    Raises:
        UsageError: for a folder without rated pictures, too few themes, or no encoder.
        EmoSymError: when the encoder cannot be opened.
    """
    rated = open_rated(recipe.root)
    place = encoder_folder(recipe.encoder)
    blocks, colours = features_of(rated.dataset, open_encoder(place), recipe.batch_size)
    kernels = [Kernel(gamma, noise) for gamma in recipe.gammas for noise in recipe.noises]
    groups = dealt(rated.themes, recipe.folds, recipe.seed)
    told = [left_out(blocks, rated.ratings[:, column], groups, kernels) for column in (0, 1)]
    values = measured(rated, groups, told, colours)
    head = fit_head(blocks, rated.ratings, rated.themes, rated.names, kernels)
    data = f"{len(rated.names)} pictures of {len(np.unique(rated.themes))} themes of OASIS (Kurdi, "
    data += "Lozano and Banaji 2017), each rated by about 100 people"
    folder = recipe.out / "checkpoint"
    save_head(folder, head, recipe.encoder, fingerprint(place), data, values)
    write_text(folder / "recipe.yaml", dump_recipe(recipe))
    write_text(recipe.out / PREDICTIONS, predictions_table(rated, groups, told))
    for name, value in values.items():
        log.info("%s: %.3f", name.replace("_", " "), value)
    return values


def open_rated(root: Path) -> Rated:
    """Open a folder of rated pictures.

    Raises:
        UsageError: as the source oasis, or for fewer than five themes.
    """
    dataset = open_dataset("oasis", root, ALL)
    assert dataset.affect is not None and dataset.about is not None
    names = tuple(
        str(about.get("theme") or Path(image).stem)
        for about, image in zip(dataset.about, dataset.images, strict=True)
    )
    themes = np.array([NUMBERED.sub("", name) or name for name in names])
    count = len(np.unique(themes))
    if count < FEWEST_THEMES:
        raise UsageError(
            f"The rated pictures of {str(root)!r} have {count} themes, and what is measured is of "
            f"themes that were left out: {FEWEST_THEMES} are needed."
        )
    return Rated(dataset, dataset.affect, names, themes)


def features_of(
    dataset: Dataset, encoder: Encoder, batch_size: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the features (n, d) of all pictures by block, and shares of colours (n, 64)."""
    parts, colours = list[Mapping[str, np.ndarray]](), []
    for start in range(0, len(dataset), batch_size):
        end = min(start + batch_size, len(dataset))
        pictures = [load_image(dataset.picture(index)) for index in range(start, end)]
        parts.append(encoder.read(pictures))
        colours += [colours_of(squashed(picture, SIDE)) for picture in pictures]
        log.info("read %d of %d pictures", end, len(dataset))
    blocks = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return blocks, np.stack(colours)


def colours_of(picture: np.ndarray) -> np.ndarray:
    """Return the share of each of 64 colours in a picture (H, W, 3) of 0..255."""
    steps = picture.astype(np.int64) * COLOURS // 256
    bins = (steps[..., 0] * COLOURS + steps[..., 1]) * COLOURS + steps[..., 2]
    return np.bincount(bins.ravel(), minlength=COLOURS**3) / bins.size


def dealt(themes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the group (n,) that each picture is left out with: its theme, or a fold of themes.

    Themes are dealt to folds in the order of the stream (seed, "photo-folds").
    """
    known, codes = np.unique(themes, return_inverse=True)
    if folds < 2:
        return np.asarray(codes)
    place = np.argsort(numpy_rng(seed, "photo-folds").permutation(len(known)))
    return np.asarray(place[codes] % folds)


def left_out(
    blocks: Blocks, ratings: np.ndarray, groups: np.ndarray, kernels: Sequence[Kernel]
) -> LeftOut:
    """Return predictions of each group from the others, by a kernel chosen on the others alone.

    Features are scaled by all pictures, of which no rating is looked at.
    """
    scalings = {name: fit_scaling(block) for name, block in blocks.items()}
    ready = {name: scaled(block, scalings[name]) for name, block in blocks.items()}
    squared = distances(ready, ready, scalings)
    whole = {kernel: leave_groups_out(squared, ratings, groups, kernel) for kernel in kernels}
    predicted, deviation = np.empty(len(ratings)), np.empty(len(ratings))
    for group in np.unique(groups):
        mine, others = groups == group, np.flatnonzero(groups != group)
        among = squared[np.ix_(others, others)]
        kernel = choose_kernel(among, ratings[others], groups[others], kernels)
        predicted[mine] = whole[kernel].predicted[mine]
        deviation[mine] = whole[kernel].deviation[mine]
    return LeftOut(predicted, deviation)


def margins(left: LeftOut, ratings: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return half of each interval (n,), as wide as the residuals of other groups say."""
    sizes = np.abs(left.predicted - ratings) / left.deviation
    found = np.empty(len(ratings))
    for group in np.unique(groups):
        mine = groups == group
        found[mine] = left.deviation[mine] * conformal_width(sizes[~mine])
    return found


def covered(left: LeftOut, ratings: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which intervals hold (n,)."""
    return np.asarray(np.abs(left.predicted - ratings) <= margins(left, ratings, groups))


def measured(
    rated: Rated, groups: np.ndarray, told: Sequence[LeftOut], colours: np.ndarray
) -> dict[str, float]:
    """Return how well left-out pictures are read, and how well from their colours alone."""
    values: dict[str, float] = {}
    for column, name in enumerate(RATED):
        truth, left = rated.ratings[:, column], told[column]
        width = conformal_width((left.predicted - truth) / left.deviation)
        values[f"{name}_r"] = correlation(left.predicted, truth)
        values[f"{name}_mean_absolute_error"] = float(np.abs(left.predicted - truth).mean())
        values[f"{name}_interval_holds"] = float(covered(left, truth, groups).mean())
        values[f"{name}_interval_half"] = float((width * left.deviation).mean())
        values[f"{name}_r_of_colours"] = correlation(of_colours(colours, truth, groups), truth)
    return {**values, "pictures": float(len(rated.names))}


def of_colours(colours: np.ndarray, ratings: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return what a ridge regression on shares of colours predicts of each group left out."""
    found = np.empty(len(ratings))
    ready = (colours - colours.mean(axis=0)) / (colours.std(axis=0) + 1e-6)
    for group in np.unique(groups):
        mine, rest = groups == group, groups != group
        mean = ratings[rest].mean()
        inner = ready[rest].T @ ready[rest] / rest.sum() + RIDGE * np.eye(ready.shape[1])
        slope = np.linalg.solve(inner, ready[rest].T @ (ratings[rest] - mean) / rest.sum())
        found[mine] = ready[mine] @ slope + mean
    return found


def predictions_table(rated: Rated, groups: np.ndarray, told: Sequence[LeftOut]) -> str:
    """Return a CSV of every picture: its ratings, and what was predicted without its theme.

    With the interval of each prediction, which other groups' residuals made.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    found = [f"{name}_{kind}" for name in RATED for kind in ("predicted", "low", "high")]
    table.writerow(["name", "theme", *RATED, *found])
    columns = []
    for column, left in enumerate(told):
        half = margins(left, rated.ratings[:, column], groups)
        columns += [left.predicted, left.predicted - half, left.predicted + half]
    numbers = np.column_stack([rated.ratings, *columns])
    for name, theme, row in zip(rated.names, rated.themes.tolist(), numbers, strict=True):
        table.writerow([name, theme, *(f"{number:.4f}" for number in row)])
    return stream.getvalue()
