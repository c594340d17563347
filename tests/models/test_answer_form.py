"""A checkpoint is asked in the form that it was last taught to answer in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from emosym.config.text_recipes import AnswerForm
from emosym.models.emosym_model import form_of, new_model
from emosym.tasks.reasoned import FORMS

SAID = "stage: m2se\nspoken: {image_emotion: 1.0}\nspoken_form: "


def test_recipes_know_the_forms_that_there_are() -> None:
    assert get_args(AnswerForm) == FORMS


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("last", ["stage: rl_text\nform: ", SAID])
def test_the_last_form_counts(last: str, form: str, tiny_base: Path) -> None:
    first = new_model(str(tiny_base), 2, True, "emosym", 0)
    assert form_of(first) == "plain"
    later = "stage: align\nspoken_form: plain\n"  # nothing is spoken there
    broken = "a: ["  # edited by hand
    assert form_of(replace(first, recipes=(f"{SAID}sure", f"{last}{form}", later, broken))) == form


def test_a_form_that_there_is_not_is_plain(tiny_base: Path) -> None:
    model = replace(new_model(str(tiny_base), 2, True, "emosym", 0), recipes=(SAID + "loud",))
    assert form_of(model) == "plain"
