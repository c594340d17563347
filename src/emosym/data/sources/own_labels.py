"""Which label space a set of pictures is in: as told, else as its folders are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from emosym.data.sources.folder import split_folders
from emosym.data.walk import find_images
from emosym.emotions import LabelSpace, label_space, nearest_space, normal, own_space
from emosym.errors import UsageError
from emosym.types import BadInput

# Sources of conversations and texts, and the label space that each has by itself.
SOURCE_SPACES: dict[str, str] = {
    "meld": "meld7",
    "ecf": "meld7",
    "reccon": "meld7",
    "emorynlp": "emory7",
    "mosei": "sentiment3",
    "goemotions": "goemotions28",
    "emobench": "ekman7",
    "open-words": "ekman7",
    "statements": "mikels8",
    "expressions": "ekman7",
    "storybook-dialogues": "meld7",
    "amt": "meld7",
}


def space_of_source(source: str) -> LabelSpace:
    """Return the label space that a source has where nobody names one."""
    return label_space(SOURCE_SPACES.get(source, "mikels8"))


def space_of_data(
    source: str,
    root: Path,
    labels: Sequence[str] | None = None,
    polarity: Mapping[str, str] | None = None,
    norms: Mapping[str, Sequence[float]] | None = None,
) -> LabelSpace | None:
    """Return the label space of `labels`, else that of a source; None where untold.

    Sources of conversations have one of their own, and so has a folder of folders.

    Raises:
        UsageError: for labels that cannot be, or polarity and norms of none.
    """
    if labels is None and source == "folder":
        space = space_of_folders(root)
        labels = space.labels if space is not None and (polarity or norms) else None
        if labels is None:
            return space
    if labels is None:
        if polarity or norms:
            raise UsageError("polarity and norms are of labels of your own: give data.labels, too.")
        return label_space(SOURCE_SPACES[source]) if source in SOURCE_SPACES else None
    return own_space(labels, None, polarity, norms)


def space_of_folders(root: Path) -> LabelSpace | None:
    """Return the label space that the folders of pictures in `root` name.

    It is a published one where that has all of the names, else one of these names. None where
    there are not two folders of pictures.

    Raises:
        UsageError: when most names are those of a published space and some are not: then they are
            probably misspelt.
    """
    base = next((root / name for name in split_folders(root)), root)
    found = [path for path in find_images([base]) if not isinstance(path, BadInput)]
    parts = [path.relative_to(base).parts for path in found]
    names = sorted({part[0] for part in parts if len(part) > 1})
    words = sorted({normal(name) for name in names})
    if len(words) < 2:
        return None
    space = nearest_space(words)
    odd = [word for word in words if word not in space.labels]
    if not odd:
        return space
    if 2 * len(odd) < len(words):
        raise UsageError(
            f"In {str(root)!r} most folders are named after the emotions of {space.name} "
            f"({', '.join(space.labels)}), but {', '.join(map(repr, odd))} is not. Rename it, or "
            f"say that these are labels of your own: data.labels=[{', '.join(words)}]."
        )
    return own_space(words)
