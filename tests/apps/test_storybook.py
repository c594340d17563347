"""`emosym data storybook`: what it says, and the table of cues only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from emosym.apps.cli.main import app


@pytest.mark.parametrize("asked", [False, True])
def test_the_table_is_printed_only_when_asked(tmp_path: Path, asked: bool) -> None:
    more = ["--table", "--sheet", str(tmp_path / "sheet.png")] if asked else []
    done = CliRunner().invoke(
        app, ["data", "storybook", str(tmp_path / "out"), "--count", "10", *more]
    )
    assert done.exit_code == 0
    assert "(train 7, val 1, test 2, 64 px, seed 0)." in done.stdout
    assert "Best possible accuracy on unmixed pictures: 97.2%" in done.stdout
    assert ("scene + light + object + face + action" in done.stdout) == asked
    if asked:
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.width == sheet.height == 8 * 66 + 2


def test_conversations_are_written_and_what_can_be_known_is_told_when_asked(tmp_path: Path) -> None:
    few = ["--train", "2", "--val", "1", "--test", "1", "--seed", "4"]
    command = ["data", "storybook-dialogues", str(tmp_path / "out"), *few]
    done = CliRunner().invoke(app, [*command, "--table"])
    assert done.exit_code == 0
    assert "(train 2, val 1, test 1 conversations, seed 4)." in done.stdout
    assert "ecpe, F1 of self + previous" in done.stdout and "52.1%" in done.stdout
    again = CliRunner().invoke(app, command)
    assert "Already complete:" in again.stdout and "ecpe" not in again.stdout
    other = CliRunner().invoke(app, [*command, "--size", "16"])
    assert other.exit_code != 0 and "--size must lie in 64..512" in str(other.exception)


@pytest.mark.parametrize("kind", ["storybook", "storybook-dialogues"])
def test_a_folder_that_holds_something_else_is_one_sentence(
    kind: str, tmp_path: Path, command
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code, out, err = command("data", kind, str(tmp_path))
    assert code == 2 and not out  # no bar before it
    assert err == f"Error: {tmp_path} is not empty and holds no storybook; choose another folder.\n"
