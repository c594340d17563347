"""The seventh task of docs/tasks.md is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from emosym.emotions import MIKELS8
from emosym.evaluation.task_answers import answered, write_task_results
from emosym.tasks.names import TASKS, open_task
from emosym.tasks.task import Unparsed
from emosym.types import Sample, Turn

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def test_one_file_and_one_line_make_a_task(monkeypatch: Any, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    (name,) = re.findall(r'`"(\w+)": next_speaker,`', text)
    monkeypatch.setitem(TASKS, name, made["next_speaker"])
    task = open_task("next_speaker", MIKELS8)
    turns = (Turn("Ann", "Is Bo here?"), Turn("Cy", "No."))
    sample = Sample("d", turns, 1, {"next_speaker": "Ann"})
    asked, answer = task.teach(sample)
    assert asked.parts == ("Ann: Is Bo here?\nCy: No.\n", "Who speaks next?")
    assert answer.parts == ("Ann.",) and task.parse("Ann.") == "Ann"
    assert isinstance(task.parse(""), Unparsed)
    assert task.reward(["Ann", "Cy", "Ann"], label=["Ann", "Ann", None]) == [1.0, 0.0, None]
    found = answered("next_speaker", task, [sample, sample], answers=["Ann.", ""])
    ((_, result),) = write_task_results(
        tmp_path / "x.json", [found], answers=tmp_path / "x.parquet"
    )
    assert result["values"]["accuracy"] == 0.5 and result["values"]["majority_accuracy"] == 1.0


def test_the_page_names_every_task() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in TASKS:
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name
    with pytest.raises(KeyError):
        TASKS["next_speaker"]
