"""Every command at the size of Qwen2-VL-2B and Stable Diffusion 1.5, on random weights.

Off by default: it needs 24 GB of memory, 8 GB of disk and twenty minutes of two cores. Run it by

    EMOSYM_REAL_SIZE=/tmp/models python -m pytest tests/test_real_size.py -s

which writes the snapshot there when it is not there yet, and prints seconds and peak memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.images import load_image
from emosym.emotions import MIKELS8
from emosym.types import BadInput

MODELS = os.environ.get("EMOSYM_REAL_SIZE")
SIDE = 224  # 64 tokens a picture
PEAK_GB = 24.0

pytestmark = [
    pytest.mark.slow,  # twenty minutes: two billion parameters on a CPU
    pytest.mark.skipif(MODELS is None, reason="set EMOSYM_REAL_SIZE to a folder for 8 GB"),
]


def run(words: str, environment: dict[str, str]) -> float:
    """Run `emosym` with these words; returns its peak memory in GB. A failure shows its output."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "emosym", *words.split()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    peak = used.ru_maxrss * 1024 / 1e9
    label = " ".join(words.split()[: 1 + words.startswith("train")])
    label += " --zero-shot" if "--zero-shot" in words else ""
    sys.stderr.write(f"{label:36} {time.monotonic() - start:7.1f} s {peak:6.1f} GB\n")
    assert os.waitstatus_to_exitcode(status) == 0, said
    return peak


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    from scripts.make_random_snapshot import make_snapshot

    start = time.monotonic()
    make_snapshot("emosym-2b", Path(str(MODELS)))
    sys.stderr.write(f"\n{'random snapshot':36} {time.monotonic() - start:7.1f} s\n")
    found = {**os.environ, "EMOSYM_MODELS": str(MODELS), "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}
    for name in ("OMP_NUM_THREADS", "EMOSYM_CPU_PLAN"):  # what conftest.py sets for small tests
        del found[name]
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two storybook pictures of each emotion to train on and one to validate on."""
    from emosym.data import storybook

    folder = tmp_path_factory.mktemp("real-size") / "data"
    stories, pictures = storybook.draw_many(0, "train", 0, 160, SIDE, 1)
    truth = np.array([story.label for story in stories])
    for split, rows in (("train", slice(0, 2)), ("val", slice(2, 3))):
        for code, emotion in enumerate(MIKELS8.labels):
            (folder / split / emotion).mkdir(parents=True)
            for i in np.flatnonzero(truth == code)[rows]:
                Image.fromarray(pictures[i]).save(folder / split / emotion / f"{i}.png")
    return folder


def test_every_command_at_two_billion_parameters(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    picture = next(data.glob("val/awe/*.png"))
    small = (
        f"data.source=folder data.root={data} data.workers=2 optim.steps=1 optim.batch_size=2 "
        "optim.accumulate=1 optim.log_every=1 optim.checkpoint_every=1"
    )
    stages = {
        "align": "init=emosym-2b",
        "rl": f"init={tmp_path}/align/checkpoint data.train_split=train data.val_split=val",
        "joint": f"init={tmp_path}/rl/checkpoint",
        "feedback": f"init={tmp_path}/joint/checkpoint rounds=1 paint_per_emotion=1 "
        "num_inference_steps=2 admission=train_on",
    }
    peaks = []
    for stage, more in stages.items():
        words = f"train emosym-2b-{stage} out={tmp_path}/{stage} {small} {more}"
        peaks.append(run(words, environment))
        assert (tmp_path / stage / "state").is_dir() or stage == "feedback"
    model, rows = f"{tmp_path}/feedback/checkpoint", tmp_path / "rows.json"
    peaks.append(run(f"understand {picture} -m {model} --explain --json {rows}", environment))
    trained = json.loads(rows.read_text())[0]
    assert sum(trained["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    words = f"understand {picture} --preset emosym-2b --zero-shot --json {rows}"
    peaks.append(run(words, environment))
    assert len(json.loads(rows.read_text())[0]["probabilities"]) == 8
    peaks.append(run(f"generate awe -n 1 --steps 2 -m {model} --out {tmp_path}/own", environment))
    words = f"generate awe -n 1 --steps 2 --preset emosym-2b --zero-shot --out {tmp_path}/stock"
    peaks.append(run(words, environment))
    for folder in ("own", "stock"):
        painting = next(p for p in (tmp_path / folder).glob("*.png") if p.name != "sheet.png")
        found = load_image(painting)
        assert not isinstance(found, BadInput) and found.size == (512, 512)
    assert max(peaks) < PEAK_GB
