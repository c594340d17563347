"""The emotion space in two dimensions: latents of pictures and the Gaussians painted from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.files import write_json

if TYPE_CHECKING:
    from emosym.models.gaussians import EmotionSpace, Gaussian


def write_space(
    root: Path,
    latents: np.ndarray,
    labels: Sequence[str],
    painted: np.ndarray | None = None,
    painted_labels: Sequence[str] = (),
    space: EmotionSpace | None = None,
    most: int = 600,
) -> None:
    """Project emotion latents (N, H) to the plane that separates the emotions, and write it.

    The plane is spanned by the two principal components of the emotions' mean latents of the real
    pictures (of all latents where there are fewer than three emotions). Painted latents (P, H) and
    the Gaussians of `space` are put into the same plane. At most `most` of each are written,
    evenly picked; the file says of how many.
    """
    from sklearn.decomposition import PCA

    names = sorted(set(labels))
    kinds = np.asarray([names.index(label) for label in labels])
    means = np.stack([latents[kinds == kind].mean(axis=0) for kind in range(len(names))])
    basis = means if len(names) > 2 else latents
    plane = PCA(n_components=min(2, *basis.shape)).fit(basis)
    points: list[list[Any]] = []
    counts: dict[str, int] = {}
    groups = [(latents, labels, "real")]
    if painted is not None and len(painted):
        groups.append((painted, painted_labels, "painted"))
    for rows, row_labels, kind in groups:
        counts[kind] = len(rows)
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
        flat = _two_columns(plane.transform(rows[chosen]))  # (M, 2)
        for position, (x, y) in zip(chosen, flat, strict=True):
            points.append([round(float(x), 4), round(float(y), 4), row_labels[position], kind])
    share = float(np.sum(plane.explained_variance_ratio_))
    gaussians = []
    if space is not None:
        for label, gaussian in zip(space.labels, space.gaussians, strict=True):
            mean, covariance = project_gaussian(gaussian, plane.components_, plane.mean_)
            gaussians.append(
                {"emotion": label, "mean": mean.tolist(), "covariance": covariance.tolist()}
            )
    found = {
        "note": "Plane of the two principal components of the emotions' mean latents.",
        "share": share if np.isfinite(share) else None,
        "counts": counts,
        "points": points,
        "gaussians": gaussians,
    }
    write_json(root / "emotion_space.json", found, indent=None)


def project_gaussian(
    gaussian: Gaussian, axes: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (2,) and covariance (2, 2) of a Gaussian of (e, c) in the plane of e.

    `axes` (A, H) are orthonormal, A <= 2; `centre` (H,) becomes the plane's origin.
    """
    size = axes.shape[1]
    mean = gaussian.mean[:size].double().numpy()
    inside = gaussian.directions[:, :size].double().numpy() @ axes.T  # (R, A)
    rest = float(gaussian.rest)
    excess = gaussian.variances.double().numpy() - rest  # (R,)
    covariance = inside.T @ (excess[:, None] * inside) + rest * np.eye(len(axes))
    missing = 2 - len(axes)
    return (
        np.pad((mean - centre) @ axes.T, (0, missing)),
        np.pad(covariance, ((0, missing), (0, missing))),
    )


def _two_columns(flat: np.ndarray) -> np.ndarray:
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
