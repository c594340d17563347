from __future__ import annotations

import pytest

from emosym.errors import UsageError
from emosym.tasks.choice import ask_options, choice, measure_choices, options_of
from emosym.tasks.task import Unparsed
from emosym.types import CHOICE, Sample, Turn

STORY = Sample(
    "q1",
    (Turn(text="Ann won.\nWhat does Ann feel?"),),
    0,
    {CHOICE: "Joy, and pride"},
    {"choices": ("Anger", "Joy, and pride")},
)


def test_options_are_lettered_in_the_order_asked_for() -> None:
    assert options_of(STORY) == ("Anger", "Joy, and pride")
    asked = str(ask_options(STORY, ("Joy, and pride", "Anger"))[0].parts[-1])
    assert "A. Joy, and pride\nB. Anger\n" in asked
    assert choice().teach(STORY)[-1].parts == ("Joy, and pride.",)
    for given in ((), ("one",), ("a", "A."), ("x",) * 30, None, 7):
        with pytest.raises(UsageError, match="must have 2 to 26 different options"):
            options_of(Sample("q", attributes={"choices": given}))


def test_words_of_an_answer() -> None:
    parse = choice().parse
    assert parse("B. Joy and pride!") == parse("joy, AND pride") == "joy and pride"
    assert isinstance(parse(""), Unparsed) and isinstance(parse("?!"), Unparsed)
    values = measure_choices([parse("(b) Joy and pride"), parse("")], ["Joy, and pride", "Anger"])
    assert values == {"accuracy": 0.5, "unreadable": 0.5}
    assert choice().reward(["joy and pride"], label=["Joy, and pride"]) == [1.0]
