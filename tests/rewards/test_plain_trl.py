"""The rewards as somebody else uses them: a TRL script that knows nothing else of this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.toy_wheels import write_wheels

SCRIPT = """
import json, sys
from functools import partial

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from emosym.data.wheel_tables import read_wheels
from emosym.rewards.text import accuracy, answer_format, brier
from emosym.rewards.trust import trust_weighted
from emosym.rewards.wheel import wheel
from emosym.rewards.writing import length, repetition

own = {name for name in sys.modules if name.startswith("emosym.")}
assert not any(name.split(".")[1] in ("models", "pipelines", "training", "tasks") for name in own)

words = ["<think>", "</think>", "<answer>", "</answer>", "glad", "sad", "mad", "?", "[pad]", "."]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "?"))
plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[pad]", eos_token=".")
config = GPT2Config(vocab_size=len(words), n_positions=32, n_embd=16, n_layer=1, n_head=1)
config.bos_token_id, config.eos_token_id, config.pad_token_id = 9, 9, 8

rows = {"prompt": ["? ?", "? mad"] * 4, "label": ["sad", "mad"] * 4}
settings = GRPOConfig(
    output_dir=sys.argv[2], max_steps=3, per_device_train_batch_size=4, num_generations=4,
    max_completion_length=6, learning_rate=1e-2, report_to=[], logging_steps=1, use_cpu=True,
    save_strategy="no", disable_tqdm=True, reward_weights=[1.0, 0.5, 0.5, 0.2, 0.1, 0.1, 0.1],
)
trainer = GRPOTrainer(
    GPT2LMHeadModel(config),
    [
        partial(wheel, wheels=read_wheels(sys.argv[1])),
        partial(accuracy, label_space=sys.argv[3]),
        partial(trust_weighted, reasoning=answer_format, label_space=sys.argv[3]),
        partial(brier, label_space=sys.argv[3]),
        answer_format,
        length,
        repetition,
    ],
    args=settings, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer,
)
trainer.train()
print(json.dumps([row for row in trainer.state.log_history if "reward" in row]))
"""


@pytest.mark.slow  # a fresh interpreter imports torch, transformers, trl and datasets: 15 s
def test_a_trl_script_trains_on_them(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(write_wheels(tmp_path / "wheels"))]
    source = str(Path(__file__).resolve().parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, str(tmp_path / "out"), "emory7"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    logged = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(logged) == 3
    names = ("wheel", "accuracy", "trust_weighted", "brier", "answer_format", "length")
    for row in logged:
        assert {f"rewards/{name}/mean" for name in names} <= set(row)
        assert 0.0 <= row["rewards/wheel/mean"] <= 1.0
        assert row["rewards/brier/mean"] == -1.0  # nothing stated a confidence
        assert row["grad_norm"] >= 0.0
