"""EmoVerse's tasks from data to report, tiny."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from emosym.data.dataset import Dataset
from emosym.data.sources.open import open_dataset
from emosym.errors import UsageError
from emosym.evaluation.answer_tasks import answer_tasks
from emosym.models.checkpoint import load_checkpoint
from emosym.pipelines.dialogue_reasons import gives_reasons
from emosym.studies.emoverse import RECIPES, EmoVerseSettings, answer_all_tasks, run_emoverse

SMALL = (
    "optim.steps=3",
    "optim.batch_size=4",
    "optim.log_every=2",
    "optim.checkpoint_every=2",
    "optim.bf16=false",
)
OF_M2SE = ("evaluate_every=2", "lora.r=2", "spoken_batch=2")


def rows_of(data: Dataset, ids: Sequence[str]) -> list[int]:
    return [row for row, sample in enumerate(data) if sample.id in ids]


def settings_in(out: Path, base: Path) -> EmoVerseSettings:
    overrides = tuple(f"{stage}.{key}" for stage in RECIPES for key in (*SMALL, *OF_M2SE))
    return EmoVerseSettings(
        out, 12, 6, 8, reasons=4, base=str(base), workers=1, overrides=overrides
    )


@pytest.mark.slow  # two stages train
def test_from_data_to_report_and_again_without_training(tmp_path: Path, tiny_base: Path) -> None:
    settings, told = settings_in(tmp_path / "run", tiny_base), []
    report = run_emoverse(settings, told.append)
    assert [line.split()[0] for line in told] == ["Drawing", *["Training"] * 2, "Answering"]
    results = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "run/results").iterdir()}
    tasks = {"mer", "msa", "fer", "ecpe", "ecpe_predicted", "eri"}
    assert set(results) == tasks | {"contradictions", "reasons"}
    assert results["mer"]["n"] > 8 and results["eri"]["n"] == 4
    kept = [tmp_path / f"run/{stage}/checkpoint/emosym.json" for stage in ("stage1", "stage2")]
    points = [bool(json.loads(path.read_text()).get("causes")) for path in kept]
    assert points == [False, True]  # the pointer to causes comes with the task ecpe
    # reasons are of what was found, so the checkpoint explains dialogues as it is
    model = load_checkpoint(kept[1].parent)
    assert gives_reasons(model)
    test = open_dataset("storybook-dialogues", tmp_path / "run/data", "test", model.space)
    told_why = next(one for one in answer_all_tasks(model, test, 2) if one.name == "eri")
    (grounded,) = answer_tasks(model, ["eri_grounded"], test.subset(rows_of(test, told_why.ids)))
    assert told_why.answers == grounded.answers
    page = report.read_text()
    for words in ("emotion: right", "cause pairs, emotions given: F1", "the most frequent one"):
        assert words in page
    assert "reasons that also say what happened to it" in page  # what a name alone would hide
    assert page.count('class="comic card"') == 8
    states = sorted((tmp_path / "run").glob("*/finished.json"))
    before = [path.stat().st_mtime_ns for path in states]
    assert run_emoverse(settings, told.append) == report
    assert [path.stat().st_mtime_ns for path in states] == before and len(states) == 2
    assert report.read_text() == page


def test_an_override_of_no_stage_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    settings = EmoVerseSettings(tmp_path, base=str(tiny_base), overrides=("stage3.seed=1",))
    with pytest.raises(UsageError, match=r"Did you mean 'stage[12]'"):
        run_emoverse(settings, lambda line: None)


def test_an_unknown_base_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    settings = EmoVerseSettings(tmp_path / "run", base="storybok-base")
    with pytest.raises(UsageError, match="Did you mean 'storybook-base'"):
        run_emoverse(settings, lambda line: None)
    assert not (tmp_path / "run").exists()
