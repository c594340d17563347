from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.notes import Note
from emosym.data.sources.detect import detect_source
from emosym.data.sources.expressions import load_expressions, write_expressions
from emosym.data.storybook.faces import PRESSED, action_units
from emosym.data.unit_tables import ActionUnits
from emosym.errors import UsageError
from emosym.tasks.expression import expression, expression_target, parts_of, units_of_peak
from emosym.tasks.task import Unparsed
from emosym.types import EXPRESSION, FER, Sample, Turn

TRUE = ("AU04=2.5", "AU23", "anger", "surprise")


def test_an_answer_is_read_and_taught() -> None:
    task = expression()
    face = Sample("f", (Turn(frames=(Path("f.png"),)),), 0, {EXPRESSION: TRUE})
    said = str(task.teach(face)[-1].parts[0])
    assert said == "AU04 (2.5); AU23. Anger, surprise."
    assert task.parse(said) == TRUE
    assert task.parse("Brows lowered; lips tightened. Angry and surprised") == (
        "AU04",
        "AU23",
        "anger",
        "surprise",
    )
    assert task.parse("AU4=9, AU99, au12: 3") == ("AU04", "AU12=3")  # 9 is no strength
    assert task.parse("happy") == ("joy",)
    for nothing in ("", "?", "zebra " * 10_000, "我不知道", None):
        assert isinstance(task.parse(nothing), Unparsed)  # type: ignore[arg-type]
    # storybook's truth: units of a face as it is drawn
    assert parts_of(expression_target(action_units(PRESSED), ["anger"]))[0] == (
        *("AU04", "AU07", "AU24"),
    )


def test_values_by_hand() -> None:
    task = expression()
    found = [("AU04=2", "anger"), ("AU12", "joy"), Unparsed("", "it is empty")]
    values = task.measure(found, [TRUE, ("AU12=3", "joy"), ("AU12", "joy")])
    # units: hits AU04, AU12; named 2, there 2 + 1 + 1; AU12: one of two found
    assert values["unit_micro_precision"] == 1.0 and values["unit_micro_recall"] == 0.5
    by_unit = dict(zip(_codes(), values["unit_f1_per_label"], strict=True))
    assert by_unit["AU04"] == 1.0 and by_unit["AU23"] == 0.0
    assert by_unit["AU12"] == pytest.approx(2 / 3) and by_unit["AU01"] is None
    assert values["emotion_exact_match"] == pytest.approx(1 / 3)  # a half compound is none
    assert values["strength_mae"] == 0.5 and values["strengths"] == 1
    assert values["unreadable"] == pytest.approx(1 / 3)
    earned = task.reward(["AU4. Anger.", "none"], label=[TRUE, TRUE])
    assert earned == [pytest.approx((2 / 3 + 2 / 3) / 2), 0.0]


def _codes() -> list[str]:
    from emosym.data.action_units import UNITS

    return list(UNITS)


def test_strengths_are_those_of_the_table_or_none() -> None:
    seen = np.array([[True, False]])
    frames, seconds = np.array([7]), np.array([np.nan])
    openface = ActionUnits(("AU04", "AU12"), np.array([[2.5, 0.2]]), seen, frames, seconds)
    assert units_of_peak(openface) == {"AU04": 2.5}
    pyfeat = ActionUnits(("AU04", "AU12"), np.array([[0.9, 0.2]]), seen, frames, seconds)
    assert units_of_peak(pyfeat) == {"AU04": None}
    with pytest.raises(UsageError, match=r"within 0\.\.5, got nan"):
        expression_target({"AU04": float("nan")}, [])
    with pytest.raises(UsageError, match="Unknown action unit"):
        expression_target(["AU99"], [])


def test_lines_are_read_written_and_counted(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    rows: list[object] = [
        {"image": "a.png", "action_units": {"AU4": 2.5, "23": None}, "emotion": "Angry"},
        {"image": "b.png", "action_units": [1, "AU02"], "emotion": ["fear", "surprise"]},
        {"image": "c.png", "action_units": {"AU4": float("nan")}},
        {"image": "d.png", "action_units": ["AU99"]},
        {"image": "../e.png", "action_units": ["AU4"]},
        {"image": "f.png", "action_units": [], "emotion": "zebra"},
        {"image": "g.png", "action_units": []},
        {"action_units": ["AU4"]},
        7,
    ]
    (tmp_path / "faces.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    assert detect_source(tmp_path) == "expressions"
    notes: list[Note] = []
    found = load_expressions(tmp_path, notes=notes)
    assert found.ids() == ("a.png", "b.png") and len(notes) == 8
    assert found[0].targets == {EXPRESSION: ("AU04=2.5", "AU23", "anger"), FER: ("AU04", "AU23")}
    assert write_expressions(tmp_path / "again.jsonl", found, tmp_path) == 2
    (tmp_path / "faces.jsonl").unlink()
    again = load_expressions(tmp_path)
    assert [sample.targets for sample in again] == [sample.targets for sample in found]
