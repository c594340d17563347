"""Recipes from YAML plus key=value, checked and typed; the resolved one is saved with every run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from emosym.config.recipes import STAGES, StageRecipe
from emosym.config.renamed import with_present_keys
from emosym.config.schema import Folder, Place, Section
from emosym.errors import UsageError, nearest, unknown_name

RECIPES = Path(__file__).parents[1] / "recipes"
NOTHING = ("", "null", "Null", "NULL", "~")
STUDIES = (
    "ablation",
    "m2se-study",
    "appraisal-study",
)  # they lie beside the recipes, and `emosym ablate` reads them


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
    raw = read_raw(path)
    for override in overrides:
        _apply(raw, override)
    return resolve_recipe(raw, str(path))


def read_raw(path: Path) -> dict[str, Any]:
    """Return the mapping in a recipe's file, its texts as they are written.

    Raises:
        UsageError: when the file is no mapping in YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"Recipe {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"Recipe {path} must be a mapping of keys to values.")
    model = STAGES.get(str(raw.get("stage", "")))
    if model is not None:
        _as_written(raw, yaml.load(text, Loader=yaml.BaseLoader), model)
    return raw


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
        # the alternatives of a key have names of the library
        where = ".".join(part for part in map(str, first["loc"]) if "[" not in part)
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
        told = first["msg"].removeprefix("Value error, ")
        got = f"{where} = {first.get('input')!r}: " if where else ""  # else it is of several keys
        raise UsageError(f"Recipe {origin}: {got}{told}.") from None


def dump_recipe(recipe: Section) -> str:
    """Return the resolved recipe as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(raw: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in a raw recipe; the value is read as YAML, texts as they are written."""
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
    model: type[BaseModel] | None = STAGES.get(str(raw.get("stage", "")))
    for section in sections:
        model = model and _section_at(model, section)
    if model is not None and _is_text(model, last) and text.strip()[:1] not in ("'", '"'):
        target[last] = None if text.strip() in NOTHING else text
        return
    try:
        target[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"Override {override!r}: {error}") from error
    number = model is None or not _is_text(model, last)
    if number and isinstance(target[last], str):
        with suppress(ValueError):  # YAML 1.1 reads 1e-3 as text
            target[last] = float(target[last])


def _as_written(raw: dict[str, Any], written: dict[str, Any], model: type[BaseModel]) -> None:
    """Give texts of a recipe what is written: YAML makes a date of 2025-01-01, and 7 of 007."""
    for key, value in raw.items():
        section = _section_at(model, key)
        if section is not None and isinstance(value, dict):
            _as_written(value, written.get(key, {}), section)
        elif _is_text(model, key) and isinstance(value, (bool, int, float, date)):
            raw[key] = written.get(key, value)


def _is_text(model: type[BaseModel], key: str) -> bool:
    """Return whether a key of a section holds a text: a path, a name, one of some words."""
    found = model.model_fields.get(key)
    kinds: set[Any] = {found.annotation} if found else set()
    if found and get_origin(found.annotation) in (UnionType, Union, Annotated, Literal):
        kinds |= set(get_args(found.annotation))  # not what a list or a mapping is made of
    return not kinds.isdisjoint({str, Path, Folder, Place}) or any(
        isinstance(kind, str) for kind in kinds
    )


def _section_at(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the section that a key of a model holds, or None where it holds a value."""
    found = model.model_fields.get(key)
    kind = found.annotation if found else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the section at `location`."""
    for part in location:
        section = _section_at(model, str(part))
        if section is None:
            break
        model = section
    return list(model.model_fields)
