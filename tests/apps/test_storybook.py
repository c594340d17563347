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
