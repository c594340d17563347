"""docs/your-pictures.md, run from its first line to its last on a tiny base, with fewer steps."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from tests.test_docs import FENCE

from emosym.apps.cli.main import main
from emosym.models.checkpoint import load_checkpoint

PAGE = Path(__file__).parent.parent / "docs" / "your-pictures.md"


def test_the_page_runs(
    tiny_base: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for language, body in FENCE.findall(PAGE.read_text()):
        if language == "python":
            exec(body.replace(", 330, 64)", ", 96, 64)"), names)
            continue
        words = shlex.split(body)
        if words[1] == "train":
            started = any(word.startswith("init=") for word in words)
            words = [w for w in words if not w.startswith(("init=", "optim."))]
            base = tiny_checkpoint if started else tiny_base
            words += [f"init={base}", "optim.steps=2", "optim.batch_size=4"]
            words += ["latents={num_context_tokens: 2}"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        said = capfd.readouterr()
        assert not caught.value.code, said.err[-500:]
    mine, more = (load_checkpoint(tmp_path / "runs" / n / "checkpoint") for n in ("mine", "more"))
    assert mine.space.name == more.space.name == "calm-fear-joy-sad"
    assert [space.name for space in more.spaces] == ["mikels8", "calm-fear-joy-sad"]
