"""The report's colours, light and dark: the page's style and its figures take them from here.

A figure is drawn in the light colours; in a page each becomes the CSS variable of its name, which
the style sheet sets for both.
"""

from __future__ import annotations

from collections.abc import Iterable

from emosym.emotions import MIKELS8

ROLES = {  # name: (light, dark)
    "paper": ("#f8f4ec", "#17161b"),
    "card": ("#fffdf9", "#201f26"),
    "ink": ("#25211c", "#eee8de"),
    "muted": ("#6a6156", "#a39b90"),
    "line": ("#e5dccd", "#37343f"),
    "accent": ("#2a736e", "#6cc3ba"),
    "good": ("#21754a", "#5fc48c"),
    "bad": ("#b3432c", "#e9806a"),
    "warn": ("#855800", "#f2c86b"),
    "warnbg": ("#fdf0cf", "#3a3019"),
}
CYCLE = (  # the first eight are Mikels' emotions
    ("#8f6100", "#edb54a"),
    ("#3463bf", "#82a9f5"),
    ("#2b7a45", "#74cc8e"),
    ("#bd471a", "#f58b5e"),
    ("#bd2d2d", "#ee6b63"),
    ("#666c14", "#bac353"),
    ("#7450b4", "#b295ee"),
    ("#426c82", "#86b6cf"),
    ("#a13b76", "#e58fbf"),
    ("#006d77", "#5cc8cf"),
    ("#7a4a2b", "#cfa07d"),
    ("#4b5563", "#b0b8c4"),
)
LIGHT = {name: light for name, (light, _) in ROLES.items()}
VARIABLES = {
    **{light: f"var(--{name})" for name, (light, _) in ROLES.items()},
    **{light: f"var(--k{place})" for place, (light, _) in enumerate(CYCLE)},
}


def places_of(labels: Iterable[str]) -> dict[str, int]:
    """Return a place in CYCLE for each label: a known emotion has its own, others get free ones."""
    found = {label: place for place, label in enumerate(MIKELS8.labels)}
    wanted = list(dict.fromkeys(labels))
    taken = {found[label] for label in wanted if label in found}
    free = [place for place in range(len(CYCLE)) if place not in taken] or [0]
    new = [label for label in wanted if label not in found]
    return found | {label: free[place % len(free)] for place, label in enumerate(new)}


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """Return the light colour of each label."""
    return {label: CYCLE[place][0] for label, place in places_of(labels).items()}


def css_name(label: str) -> str:
    """Return the name of a label's CSS variable."""
    return "--e-" + "".join(c for c in label.lower() if c.isalnum() or c == "-")


def colour(label: str) -> str:
    """Return a label's colour as CSS, grey for one the page does not know."""
    return f"var({css_name(label)}, var(--muted))"
