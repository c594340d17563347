"""Packaged recipes as the stages of a study, each in its folder of the study's."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emosym.config.load import load_recipe
from emosym.config.recipes import StageRecipe
from emosym.errors import unknown_name


def check_overrides(overrides: Sequence[str], stages: Collection[str]) -> None:
    """Refuse a "stage.key=value" of no stage; a UsageError names the nearest."""
    for override in overrides:
        stage = override.partition(".")[0]
        if stage not in stages:
            raise unknown_name("stage", stage, stages, f"(in {override!r})")


def packaged_recipe(
    name: str, keys: Mapping[str, Any], stage: str, overrides: Sequence[str]
) -> StageRecipe:
    """Return a packaged recipe with its dotted keys set, and those overrides that are its stage's.

    Raises:
        UsageError: for a wrong key or value.
    """
    own = [f"{key}={json.dumps(value)}" for key, value in keys.items()]
    chosen = [o.partition(".")[2] for o in overrides if o.startswith(f"{stage}.")]
    return load_recipe(name, [*own, *chosen])
