"""`make benchmark` writes its tables between marks of the page, and the bars of all to the top."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "run_benchmarks", ROOT / "scripts" / "run_benchmarks.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_marks_for_every_benchmark(script: ModuleType) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in (*script.NAMES, script.BARS):
        assert all(page.count(mark) == 1 for mark in script.marks(name)), name
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert files == {*script.NAMES, "gpu"}, "a benchmark is neither run nor excepted"


def test_tables_and_bars_go_to_their_places(script: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    sections = [f"# {n}\n{'x'.join(script.marks(n))}\nwords of {n}\n" for n in script.NAMES]
    page.write_text("\n".join([*script.marks(script.BARS), *sections]).replace("x<", "\nold\n<"))
    bars = "| asked | measured |\n| --- | --- |\n| {} | {} |\n"
    script.update(page, "start", "### Title\n\n" + bars.format("a", 1) + "\nMachine: m.")
    script.update(page, "bank", bars.format("b", 2))
    script.update(page, "start", bars.format("a", 3))
    text = page.read_text()
    told = script.section(text, script.BARS).split()
    assert told == [
        "|",
        "asked",
        "|",
        "measured",
        "|",
        "|",
        "---",
        "|",
        "---",
        "|",
        "|",
        "a",
        "|",
        "3",
        "|",
        "|",
        "b",
        "|",
        "2",
        "|",
    ]
    assert "old" not in script.section(text, "start") and "old" in script.section(text, "reading")
    assert "words of start" in text and "Machine" not in text
    assert script.deeper("### T\n#### U\nx ### y") == "#### T\n#### U\nx ### y"


def test_a_page_without_marks_is_said_and_left_alone(script: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("mine")
    with pytest.raises(SystemExit, match="has no lines"):
        script.update(page, "start", "told")
    assert page.read_text() == "mine"
