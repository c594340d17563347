"""The demo at the smallest size, on the shipped base: what it leaves behind, and its errors."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from emosym.config.load import load_recipe
from emosym.errors import UsageError
from emosym.studies import demo
from emosym.studies.demo import BUDGETS, STAGES, Budget, DemoSettings, run_demo, stage_recipe

STEPS = tuple(f"{stage}.optim.steps=1" for stage in STAGES)
SMALL = (
    *(f"{stage}.optim.batch_size=8" for stage in STAGES),
    *("feedback.rounds=1", "feedback.paint_per_emotion=1", "feedback.num_inference_steps=1"),
    "feedback.admission=published",
)


def test_every_budget_has_a_recipe_for_every_stage(tmp_path: Path) -> None:
    for budget in BUDGETS:
        for stage in STAGES:
            recipe = stage_recipe(DemoSettings(tmp_path, budget=budget), stage, "somewhere")
            assert recipe.stage == stage and recipe.out == tmp_path / stage
            assert load_recipe(f"{budget}-{stage}").stage == stage


@pytest.mark.slow  # four stages, then paintings
def test_the_demo_runs_to_its_report_and_again_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUDGETS, "demo", Budget(train=48, val=16, test=16, paintings=1))
    quick = functools.partial(demo.evaluate_painting, num_inference_steps=1)
    monkeypatch.setattr(demo, "evaluate_painting", quick)
    settings = DemoSettings(tmp_path, workers=1, overrides=(*STEPS, *SMALL))
    said: list[str] = []
    report = run_demo(settings, said.append)
    html = report.read_text()
    assert "<html" in html and "EmoSym demo" in html
    rows = json.loads((tmp_path / "stages.json").read_text())
    assert [row["stage"] for row in rows] == ["data", *STAGES, "test"]
    assert rows[-1]["metrics"]["best_accuracy"] > 0.5
    assert len(said) == 2 + len(STAGES)

    first = (tmp_path / "results" / "understanding.json").read_text()
    monkeypatch.setattr(
        "emosym.training.loop.loop._one_step",
        lambda *a: pytest.fail("a finished stage trained again"),
    )
    run_demo(settings, said.append)
    values = [json.loads(text)["values"] for text in (first, _understanding(tmp_path))]
    assert values[0] == values[1]


def _understanding(out: Path) -> str:
    return (out / "results" / "understanding.json").read_text()


def test_wrong_names_are_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'shipped'"):
        run_demo(DemoSettings(tmp_path / "a", budget="shiped"), print)
    with pytest.raises(UsageError, match="Did you mean 'align'"):
        run_demo(DemoSettings(tmp_path / "a", overrides=("algin.optim.steps=1",)), print)
    assert not (tmp_path / "a").exists()
    assert demo.BUDGETS["demo"].test >= 4000  # what is quoted is measured on 4,000 or more


def test_an_unknown_base_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    settings = DemoSettings(tmp_path / "run", base="storybok-base")
    with pytest.raises(UsageError, match="Did you mean 'storybook-base'"):
        run_demo(settings, lambda line: None)
    assert not (tmp_path / "run").exists()
