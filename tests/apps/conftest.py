"""The command, run in this process: shared by the tests of its verbs."""

from __future__ import annotations

import sys

import pytest

from emosym.apps.cli.main import main


@pytest.fixture
def command(monkeypatch, capfd):
    """Run the command in this process; returns (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emosym", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        return int(caught.value.code or 0), out, err

    monkeypatch.setenv("COLUMNS", "120")
    return run
