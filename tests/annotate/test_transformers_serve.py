"""`transformers serve` with the shipped toy base on loopback: a real model behind a real server.

The toy base was taught one question about pictures, and greedy decoding is the same everywhere:
what the served model says must be, word for word, what the same weights say in this process.
Marked slow: the server imports torch and loads the model in a process of its own, ten seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.annotate.loopback import free_port
from tests.annotate.makers import server_plan

from emosym.annotate.knowledge import read_knowledge
from emosym.annotate.run import fill
from emosym.apps.cli.annotate_plans import open_speaker
from emosym.data import storybook
from emosym.errors import EmoSymError
from emosym.models.presets import WEIGHTS
from emosym.training.storybook.reader import STANDS_OUT
from emosym.types import picture_sample

for library in ("openai", "fastapi", "uvicorn"):
    pytest.importorskip(library)

# Qwen2VLProcessor asks for a video processor, which needs torchvision; pictures do not.
PROCESSOR = """
from transformers import ProcessorMixin
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor


class PictureProcessor(Qwen2VLProcessor):
    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)
"""
START_SECONDS = 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader of storybook-base with a processor for pictures alone."""
    copy = tmp_path_factory.mktemp("served") / "reader"
    shutil.copytree(WEIGHTS / "storybook-base" / "reader", copy)
    (copy / "processing_pictures.py").write_text(PROCESSOR)
    told = {
        "processor_class": "PictureProcessor",
        "auto_map": {"AutoProcessor": "processing_pictures.PictureProcessor"},
    }
    (copy / "processor_config.json").write_text(json.dumps(told))
    return copy


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve` with that folder, on a free port of 127.0.0.1."""
    port, log = free_port(), folder.parent / "log"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(tmp_path_factory.mktemp("modules")),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        *(sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
        "--trust-remote-code",
    ]
    with (
        log.open("wb") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream, env=environment) as process,
    ):
        try:
            _until_it_answers(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(START_SECONDS * 5):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not come up: {log.read_text()[-3000:]}")


@pytest.mark.slow
def test_a_served_model_says_what_it_says_here(served: str, folder: Path, tmp_path: Path) -> None:
    _, pixels = storybook.draw_many(11, "test", 0, 4, 64, 1)
    samples = []
    for number, array in enumerate(pixels):
        path = tmp_path / f"{number}.png"
        Image.fromarray(array).save(path)
        samples.append(picture_sample(str(number), path))
    speak, _, question, _ = open_speaker("storybook-base", "cpu")
    shown = [Image.fromarray(array) for array in pixels]
    here = [text.strip() for text in speak(shown, str(question))]
    assert len(set(here)) == 4
    for structured in (True, False):
        out = tmp_path / f"{structured}.parquet"
        plan = server_plan(
            served, prompt=STANDS_OUT, model=str(folder), timeout=60.0, structured=structured
        )
        tally = fill(out, samples, plan)
        assert tally.statuses == {"ok": 4}, tally.reasons
        assert tally.tokens_in > 4 * 16 and tally.tokens_out > 4 * 10
        said = {row.id: row.rationale for row in read_knowledge(out).rows.values()}
        if not structured:  # the note on JSON is not there to change its words
            assert [said[str(number)] for number in range(4)] == here


@pytest.mark.slow
def test_a_pinned_server_refuses_another_model(served: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(path)
    samples = [picture_sample(str(n), path) for n in range(5)]
    with pytest.raises(EmoSymError, match="Server is pinned to"):
        fill(tmp_path / "kb.parquet", samples, server_plan(served))
