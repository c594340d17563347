"""README, PARITY and docs: every command parses, every link and named test exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from emosym.apps.cli.main import app
from emosym.config.load import load_recipe, recipe_names
from emosym.config.recipes import STAGES
from emosym.config.schema import DataSection, OptimSection

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(emosym [^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
PLACEHOLDER = re.compile(r"\.\.\.|…")
COMMAND: Any = typer.main.get_command(app)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words after `emosym` of every command line of a page."""
    blocks = [body for language, body in FENCE.findall(text) if language in ("", "sh", "bash")]
    indented = [line for line in FENCE.sub("", text).splitlines() if line.startswith("    ")]
    lines = [line for block in blocks for line in block.splitlines()] + indented
    for line in [*lines, *INLINE.findall(text)]:
        stripped = line.strip().removeprefix("$ ")
        if stripped.startswith("emosym ") and not PLACEHOLDER.search(stripped):
            words = shlex.split(stripped, comments=True)[1:]
            ends = [i for i, word in enumerate(words) if word in ("|", ">", ">>", "&&", ";")]
            yield words[: ends[0]] if ends else words


def parse(words: list[str]) -> None:
    """Parse a command line as the shell would, without running it."""
    command, parent = COMMAND, None
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no verb {words[0]!r}"
        name, command = words[0], command.commands[words[0]]
        words = words[1:]
        parent = command.context_class(command, info_name=name, parent=parent)
    if hasattr(command, "commands") and set(words) <= {"--version", "--help"}:
        return
    try:
        command.make_context("emosym", list(words))
    except Exception as error:
        if type(error).__name__ != "MissingParameter":  # a verb may be named without arguments
            raise


def test_a_wrong_command_would_be_noticed() -> None:
    parse(["understand", "photos/", "--csv", "x.csv"])
    for wrong in (["understan", "x"], ["bank", "list", "x"]):
        with pytest.raises(AssertionError, match="no verb"):
            parse(wrong)
    for wrong in (["understand", "--cvs", "x"], ["generate", "awe", "-n", "many"]):
        with pytest.raises(Exception, match=r"(?i)no such option|valid integer"):
            parse(wrong)
    found = list(
        commands("```sh\n$ emosym train x a=1  # why\nmake demo\n```\nsee `emosym doctor`")
    )
    assert found == [["train", "x", "a=1"], ["doctor"]]


@pytest.mark.parametrize("name", NAMES)
def test_commands_parse(name: str) -> None:
    for words in commands((ROOT / name).read_text(encoding="utf-8")):
        parse(words)


@pytest.mark.parametrize("name", NAMES)
def test_recipes_in_commands_resolve(name: str) -> None:
    for words in commands((ROOT / name).read_text(encoding="utf-8")):
        if words[0] == "train" and len(words) > 1 and words[1] in recipe_names():
            load_recipe(words[1], words[2:])


def test_messages_name_commands_and_recipes_that_are_there() -> None:
    recipes, commands_seen = [], 0
    for path in (ROOT / "src" / "emosym").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            recipes += re.findall(r"emosym train ([a-z][\w-]*)", node.value)
            for line in INLINE.findall(node.value):
                if PLACEHOLDER.search(line) or "|" in line:
                    continue
                commands_seen += 1
                try:
                    parse(shlex.split(line)[1:])
                except Exception as error:
                    # an option may be named without its value
                    if type(error).__name__ != "BadOptionUsage":
                        raise AssertionError(f"{path.name}: {line}") from error
    assert "demo-align" in recipes and set(recipes) <= set(recipe_names())
    assert commands_seen > 20


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for groups in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = (groups[0] or groups[1]).partition("#")[0]
        if target and not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), f"{name} links to {target}"


@pytest.mark.parametrize("name", NAMES)
def test_python_examples_are_python(name: str) -> None:
    for language, body in FENCE.findall((ROOT / name).read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(body)


def test_parity_names_real_tests_in_every_row() -> None:
    text = (ROOT / "PARITY.md").read_text(encoding="utf-8")
    known: dict[str, set[str]] = {}
    named = NAMED_TEST.findall(text)
    for file, test in named:
        path = ROOT / "tests" / file
        if file not in known:
            assert path.is_file(), f"PARITY names {file}"
            tree = ast.parse(path.read_text(encoding="utf-8"))
            known[file] = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        assert test in known[file], f"PARITY names {file}::{test}"
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    bare = [row for row in rows if "::" not in row and not row.startswith("| ---")]
    allowed = 5  # the four heads, and the row that points to the last table
    assert len(bare) == allowed, bare


def keys_of(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(inner)


def test_every_recipe_key_is_documented() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w.-]+)`", text))
    sections: list[Any] = [*STAGES.values(), DataSection, OptimSection]
    assert {key for section in sections for key in keys_of(section)} - told == set()
    assert set(recipe_names()) - told == set()


def test_every_value_of_a_reading_is_documented() -> None:
    import numpy as np

    from emosym.emotions import MIKELS8
    from emosym.evaluation.storybook.oracle import best_achievable
    from emosym.evaluation.understanding import evaluate_understanding

    shares = np.full((8, 8), 0.05) + 0.6 * np.eye(8)
    values = evaluate_understanding(shares, np.arange(8), shares, MIKELS8)
    values |= best_achievable(shares, np.arange(8))
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(values) - set(re.findall(r"`(\w+)`", text)) == set()
