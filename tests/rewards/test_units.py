from __future__ import annotations

import pytest

from emosym.data.action_units import UNITS
from emosym.errors import UsageError
from emosym.rewards.units import action_units, facial_r1


def written(answer: str, think: str = "Look.") -> str:
    return f"<think>{think}</think><answer>{answer}</answer>"


def test_f1_by_hand() -> None:
    said = [
        "Brows lowered; lips tightened.",
        written("AU4, AU12"),  # 1 of 2 named, 1 of 3 there: 2 * 1 / 5
        "None.",
        "none",
        "sad",
        written("AU4"),
    ]
    true: list[object] = [["AU04", "AU23"], "AU04 AU07 AU23", [], ["AU04"], [], None]
    assert action_units(said, units=true) == [1.0, pytest.approx(0.4), 1.0, 0.0, 0.0, None]


def test_units_are_not_earned_by_naming_all_or_thinking_only() -> None:
    every = written(", ".join(UNITS))
    (all_units, thought) = action_units(
        [every, written("fine", think="AU4")], units=[["AU04"], ["AU04"]]
    )
    assert all_units == pytest.approx(2 / (len(UNITS) + 1))
    assert thought == 0.0


def test_facial_r1_by_hand() -> None:
    said = [
        written("anger", think="AU4 and AU23."),
        written("joy", think="AU4."),  # 2/3 + 0 + 1
        "<think>AU4 AU23, so it is anger</think>",  # units only: the emotion is thought, not said
        written("anger", think="A face."),  # no unit named: 0 + 1 + 1
        written("neutral", think="A still face."),  # none there, none named: 1 + 1 + 1
        written("anger"),
    ]
    units: list[object] = [["AU04", "AU23"]] * 4 + [[], None]
    label = ["anger"] * 4 + ["neutral", "anger"]
    assert facial_r1(said, label=label, units=units) == [
        3.0,
        pytest.approx(2 / 3 + 1),
        1.0,
        2.0,
        3.0,
        None,
    ]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(UsageError, match="column 'units'"):
        action_units(["AU4"])
    with pytest.raises(UsageError, match="Unknown action unit 'AU99'"):
        action_units(["AU4"], units=[["AU99"]])
    with pytest.raises(UsageError, match="must be a list of codes"):
        action_units(["AU4"], units=[4])
