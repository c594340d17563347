"""What the tests of several processes run in each of them; alone it is one process's run.

Jobs are a list of {"job": name, ...arguments}.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.training.makers import recipe_of, tiny_feed

from emosym.config.recipes import FeedbackRecipe
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.processes import Processes
from emosym.training.loop import engine
from emosym.training.stages import align, align_loss, bank_painting, joint, m2se, rl, start
from emosym.training.stages.feed import Feed
from emosym.training.stages.feedback import run_feedback

# Parts of four and three pictures: shared by two processes, one of them comes out uneven.
OPTIM = {"steps": 4, "batch_size": 7, "accumulate": 2, "weight_decay": 0.1, "checkpoint_every": 2}


def feed_of(model: EmoSymModel, arrays: str) -> Feed:
    found = np.load(arrays)
    return tiny_feed(model.reader, found["pictures"], found["labels"])


def run_align(out: str, base: str, arrays: str, die_at: int | None = None, **optim: Any) -> None:
    """Align from the base; with `die_at` the last process kills itself at that step."""
    model = new_model(base, 2, True, "emosym", 0)
    recipe = recipe_of(
        "align", Path(out), lora={"r": 2, "dropout": 0.0}, optim={**OPTIM, **optim}, seed=2
    )
    start.use_lora(model, recipe)
    feed = feed_of(model, arrays)
    processes, thinking, calls = Processes(), align_loss.think, [0]

    def dying(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        last = processes.rank == processes.world - 1
        if die_at is not None and last and (calls[0] - 1) // 2 == die_at:
            # the agent names the process whose end it sees first, and that may be the other one
            os.write(1, f"process {processes.rank} kills itself\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        return thinking(*arguments, **more)

    align_loss.think = dying
    try:
        align.train_align(model, feed, recipe, progress=False)
    finally:
        align_loss.think = thinking
    kept = model.reader.reasoner.state_dict()
    assert not any(type(t) is not torch.Tensor for t in kept.values())
    assert all(t.numel() for t in kept.values())
    # what was sharded is whole again, and reads
    reading = model.reader.reasoner.logits(
        align_loss.think(model.reader.reasoner, feed.prefix(np.arange(3))).emotion_latent
    )
    assert reading.isfinite().all()


def run_rl(out: str, checkpoint: str, arrays: str, objective: str) -> None:
    model = load_checkpoint(Path(checkpoint))
    recipe = recipe_of(
        "rl",
        Path(out),
        init=checkpoint,
        objective=objective,
        num_generations=3,
        optim={**OPTIM, "accumulate": 2},
    )
    rl.train_rl(model, feed_of(model, arrays), recipe, progress=False)


def run_m2se(out: str, talks: str) -> None:
    """Conversations with emotions, units, causes and answers in words, from data to checkpoint."""
    recipe = recipe_of(
        "m2se",
        Path(out),
        init=f"{talks}/base",
        data={"source": "storybook-dialogues", "root": talks},
        tasks=["mer", "fer", "ecpe"],
        spoken={"mer": 1.0},
        spoken_batch=3,
        evaluate_every=2,
        lora={"r": 2, "dropout": 0.0},
        optim={"steps": 4, "batch_size": 3, "checkpoint_every": 2},
    )
    m2se.run_m2se(recipe, progress=False)


def run_joint(out: str, checkpoint: str, arrays: str) -> None:
    model = load_checkpoint(Path(checkpoint))
    recipe = recipe_of(
        "joint",
        Path(out),
        init=checkpoint,
        worded=0.4,
        unet_lora_r=2,
        condition_dropout=0.3,
        optim=OPTIM,
    )
    joint.train_joint(model, feed_of(model, arrays), recipe, progress=False)


def run_bank(out: str, checkpoint: str, story: str) -> None:
    """All of stage 4; every process notes the batches that it paints."""
    recipe = FeedbackRecipe.model_validate(
        {
            "stage": "feedback",
            "out": out,
            "init": checkpoint,
            "data": {"root": story, "workers": 1},
            "rounds": 2,
            "paint_per_emotion": 3,
            "num_inference_steps": 2,
            "admission": "train_on",
            "duplicate_similarity": 1.0,
            "ratio": 0.5,
            "optim": {"steps": 2, "batch_size": 6, "lr": 1e-3, "checkpoint_every": 2}
            | {"log_every": 1, "bf16": False},
        }
    )
    painting, notes = bank_painting.paint_entries, Path(out).parent / f"{Path(out).name}-painted"
    notes.mkdir(exist_ok=True)

    def noted(*arguments: Any) -> Any:
        with (notes / str(Processes().rank)).open("a") as stream:
            number, emotion, _, first = arguments[2:]
            stream.write(f"{number} {emotion} {first}\n")
        return painting(*arguments)

    bank_painting.paint_entries = noted
    bank_painting.PAINTED_AT_ONCE = 2
    try:
        run_feedback(recipe, progress=False)
    finally:
        bank_painting.paint_entries, bank_painting.PAINTED_AT_ONCE = painting, 16


def run_understand(out: str, notes: str, arguments: list[str]) -> None:
    """The command itself; every process notes the files that it decodes."""
    from emosym.apps.cli import main
    from emosym.pipelines import inputs

    decoding = inputs.load_image
    Path(notes).mkdir(exist_ok=True)

    def noted(source: Any, *more: Any, **named: Any) -> Any:
        with (Path(notes) / str(Processes().rank)).open("a") as stream:
            stream.write(f"{source}\n")
        return decoding(source, *more, **named)

    inputs.load_image = noted
    before, sys.argv = sys.argv, ["emosym", "understand", *arguments, "--json", out]
    try:
        main.app(standalone_mode=False)
    finally:
        inputs.load_image, sys.argv = decoding, before


def run_fsdp(**arguments: Any) -> None:
    """As `align`, with what `accelerate` sets up on GPUs only: FSDP2, here on a CPU mesh."""
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from accelerate.utils import DistributedType

    plain = engine.new_accelerator

    def sharding() -> Accelerator:
        accelerator = plain()
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )
        return accelerator

    from emosym.training.loop import loop

    loop.new_accelerator = sharding
    try:
        run_align(**arguments)
    finally:
        loop.new_accelerator = plain


JOBS = {
    "align": run_align,
    "rl": run_rl,
    "m2se": run_m2se,
    "joint": run_joint,
    "bank": run_bank,
    "understand": run_understand,
    "fsdp": run_fsdp,
}


def run(jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        arguments = dict(job)
        JOBS[arguments.pop("job")](**arguments)


def run_in_two(jobs: list[dict[str, Any]]) -> None:
    """Run jobs in two forks of this process, under the agent that `accelerate launch` uses."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="static",
        rdzv_endpoint=f"127.0.0.1:{port}",
        rdzv_configs={"rank": 0},
        max_restarts=0,
        start_method="fork",
    )
    elastic_launch(config, run)(jobs)
