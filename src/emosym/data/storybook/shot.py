"""What one picture of a conversation is painted from; a `world.Story` has the same fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture without an emotion of its own; the fields are those of `world.Story`.

    `face` may be any of `faces.PARTS`.
    """

    scene: str
    light: str
    objects: tuple[str, ...]
    face: str
    action: str
    side: str
    places: tuple[tuple[float, float], ...]
    variant: int
    looks: tuple[int, int, int, int]
    colours: tuple[int, ...]
    facing: int
