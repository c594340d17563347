"""Trees of emotions: which emotion is a kind of which other one (Parrott, Plutchik)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from emosym.errors import unknown_name
from emosym.taxonomies import FORMS, ROOTS, TREES

Path = tuple[str, ...]


@cache
def tree_paths(name: str) -> Mapping[str, Path]:
    """Return {word: its path from the root, itself last} of a tree.

    A word that stands at several places, such as sadness below sadness, belongs at the highest.

    Raises:
        UsageError: for an unknown tree; names the nearest.
    """
    if name not in TREES:
        raise unknown_name("tree of emotions", name, TREES)
    found: dict[str, Path] = {root: (root,) for root in TREES[name]}
    for root, branches in TREES[name].items():
        for branch in branches:
            found.setdefault(branch, (root, branch))
    for root, branches in TREES[name].items():
        for branch, leaves in branches.items():
            for leaf in leaves.split():
                found.setdefault(leaf, (*found[branch], leaf) if branch != root else (root, leaf))
    return found


def path_of(word: str, name: str) -> Path | None:
    """Return a word's path in a tree, another form of it counting ("sad" is sadness); else None."""
    paths = tree_paths(name)
    plain = " ".join(word.lower().split())
    if plain in paths:
        return paths[plain]
    root = next((root for root, forms in FORMS.items() if plain in forms), None)
    return paths.get(root) if root is not None else None


def level_labels(name: str, level: int) -> tuple[str, ...]:
    """Return the words of a tree's roots (level 1) or their kinds (2), in the tree's order.

    A kind that has its root's name, such as sadness below sadness, is the root.
    """
    tree_paths(name)  # refuses an unknown name
    roots = TREES[name]
    if level == 1:
        return tuple(roots)
    return tuple(kind for root, kinds in roots.items() for kind in kinds if kind != root)


def level_polarities(name: str, level: int) -> tuple[str, ...]:
    """Return the polarity of each word of a level: that of its root."""
    return tuple(ROOTS[tree_paths(name)[word][0]] for word in level_labels(name, level))


def tree_distance(first: Path, second: Path) -> int:
    """Return how many edges lie between two words; roots are two apart, through nothing."""
    common = sum(1 for one, other in zip(first, second, strict=False) if one == other)
    return len(first) + len(second) - 2 * common
