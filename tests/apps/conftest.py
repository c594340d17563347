"""The command, run in this process, and a checkpoint with judges: shared by the verbs' tests."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from emosym.apps.cli.main import main
from emosym.emotions import MIKELS8


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


@pytest.fixture(scope="session")
def judged(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_checkpoint: Path
) -> Path:
    """A checkpoint whose base has (untrained) judges."""
    import torch

    from emosym.data.storybook import ACTIONS, FACES, OBJECTS, SCENES
    from emosym.models.judges.judge import JUDGE_NAMES, judge_config, save_judge
    from emosym.models.judges.nets import JudgeNet
    from emosym.models.presets import write_base

    root = tmp_path_factory.mktemp("judged")
    base = Path(shutil.copytree(tiny_base, root / "base"))
    names = {
        **{"scene": tuple(SCENES), "object": tuple(OBJECTS)},
        **{"face": tuple(FACES), "action": tuple(ACTIONS)},
    }
    torch.manual_seed(0)
    for name in JUDGE_NAMES:
        config = judge_config(name, MIKELS8.labels, names)
        save_judge(JudgeNet(config), config, base / "judges")
    write_base(base, 64, {})
    folder = Path(shutil.copytree(tiny_checkpoint, root / "checkpoint"))
    described = json.loads((folder / "emosym.json").read_text())
    (folder / "emosym.json").write_text(json.dumps(described | {"base": str(base)}))
    return folder
