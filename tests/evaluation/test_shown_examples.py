"""Tasks asked after alike dialogues, from the shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.data.sources.open import open_dataset
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result
from emosym.memory.dialogues import dialogue_bank, voted
from emosym.tasks.mer import mer

PRESET = "storybook-dialogue-base"


def test_a_task_after_alike_dialogues_and_what_they_tell_alone(tmp_path: Path) -> None:
    write_dialogues(tmp_path, {"train": 6, "val": 1, "test": 2}, seed=3)
    out = tmp_path / "mer.json"
    asked = ["evaluate", "--zero-shot", "--preset", PRESET, "-o", str(out), "--examples", "2"]
    data = ["--source", "storybook-dialogues", "--data", str(tmp_path), "--limit", "3"]
    done = CliRunner().invoke(
        app, [*asked, "--tasks", "mer", *data, "--device", "cpu"], catch_exceptions=False
    )
    assert done.exit_code == 0
    result = read_result(out)
    train, test = (open_dataset("storybook-dialogues", tmp_path, s) for s in ("train", "test"))
    bank, some = dialogue_bank(list(train), mer()), [test[place] for place in range(3)]
    said = voted(bank, some, 2)
    right = sum(one == sample.label_of("mer") for one, sample in zip(said, some, strict=True))
    assert result["values"]["examples_accuracy"] == pytest.approx(right / 3)
    assert result["subject"]["zero_shot"] == {"preset": PRESET, "spoken": False, "examples": 2}
    with pytest.raises(UsageError, match="give --tasks mer"):
        CliRunner().invoke(app, [*asked, *data], catch_exceptions=False)
