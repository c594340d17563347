"""Recipes from YAML plus key=value, checked and typed; the resolved one is saved with every run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from emosym.config.recipes import STAGES, StageRecipe
from emosym.config.renamed import with_present_keys
from emosym.config.schema import Section
from emosym.errors import UsageError, nearest, unknown_name

RECIPES = Path(__file__).parents[1] / "recipes"
STUDIES = ("ablation",)  # they lie beside the recipes, and `emosym ablate` reads them


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(p.stem for p in RECIPES.glob("*.yaml") if p.stem not in STUDIES)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> StageRecipe:
    """Load a recipe by packaged name or YAML path, with `key=value` or `section.key=value` on top.

    Raises:
        UsageError: for an unknown recipe, an unknown key (the nearest one is named) or a bad value.
    """
    path, names = Path(name_or_path), recipe_names()
    if not path.is_file() and name_or_path.removesuffix(".yaml") in names:
        path = RECIPES / f"{name_or_path.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        raise unknown_name("recipe", name_or_path, names, "Or give the path of a YAML.")
    try:
        raw = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"Recipe {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"Recipe {path} must be a mapping of keys to values.")
    for override in overrides:
        _apply(raw, override)
    return resolve_recipe(raw, str(path))


def resolve_recipe(raw: dict[str, Any], origin: str) -> StageRecipe:
    """Check a mapping and return its typed recipe; errors as in `load_recipe`."""
    stage = str(raw.get("stage", ""))
    if stage not in STAGES:
        raise unknown_name("stage", stage, STAGES, f"(in {origin})")
    model = STAGES[stage]
    try:
        return model.model_validate(with_present_keys(raw, origin))  # type: ignore[return-value]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            valid = _keys_at(model, first["loc"][:-1])
            raise unknown_name(f"recipe key in {origin}", str(first["loc"][-1]), valid) from None
        if first["type"] == "literal_error" and isinstance(first.get("input"), str):
            valid = re.findall(r"'([^']*)'", first["ctx"]["expected"])
            close = nearest(first["input"], valid)
            hint = f" Did you mean {close!r}?" if close else ""
            raise UsageError(
                f"Recipe {origin}: {where} = {first['input']!r} is not one of "
                f"{', '.join(map(repr, valid))}.{hint}"
            ) from None
        raise UsageError(
            f"Recipe {origin}: {where} = {first.get('input')!r}: {first['msg']}."
        ) from None


def dump_recipe(recipe: Section) -> str:
    """Return the resolved recipe as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(raw: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in a raw recipe; the value is read as YAML."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise UsageError(f"Override {override!r} must look like key=value.")
    *sections, last = key.split(".")
    target = raw
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"Override {override!r}: {section!r} is not a section.")
        target = inner
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"Override {override!r}: {error}") from error
    if isinstance(target[last], str):
        with suppress(ValueError):  # YAML 1.1 reads 1e-3 as text
            target[last] = float(target[last])


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the section at `location`."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation if isinstance(part, str) else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return list(model.model_fields)
