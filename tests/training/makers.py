"""A tiny feed, and which parameters a run moved: shared by the tests of the stages."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emosym.config.load import resolve_recipe
from emosym.config.recipes import AlignRecipe, JointRecipe, M2seRecipe, RlRecipe
from emosym.emotions import MIKELS8
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.reader.reader import Reader
from emosym.training.stages import align, start
from emosym.training.stages.feed import Feed, label_targets, picture_feed
from emosym.types import picture_sample

Snapshot = dict[str, torch.Tensor]


def tiny_feed(reader: Reader, pictures: np.ndarray, labels: np.ndarray) -> Feed:
    """Pictures with labels, captions and rationales, of which the first two are equal."""
    from emosym.data import storybook

    stories = [storybook.draw_story(3, index) for index in range(len(labels))]
    rationales = [storybook.rationale_of(story) for story in stories]
    rationales[1] = rationales[0]
    samples = [
        picture_sample(
            id=str(i),
            label=MIKELS8.labels[label],
            caption=storybook.caption_of(story),
            rationale=text,
        )
        for i, (label, story, text) in enumerate(zip(labels, stories, rationales, strict=True))
    ]
    return picture_feed(reader, samples, label_targets(samples, reader.space), pictures)


def recipe_of(stage: str, out: Path, **changes: Any) -> Any:
    """A recipe of three steps over batches of four, in fp32."""
    optim = {
        "steps": 3,
        "batch_size": 4,
        "lr": 1e-2,
        "log_every": 1,
        "checkpoint_every": 2,
        "bf16": False,
        "weight_decay": 0.0,
        "warmup": 0.01,
        **changes.pop("optim", {}),
    }
    raw = {"stage": stage, "out": str(out), "optim": optim, "lora": {"r": 2, "dropout": 0.1}}
    if stage not in ("align", "m2se"):
        del raw["lora"]
    recipe = resolve_recipe({**raw, **changes}, "test")
    assert isinstance(recipe, (AlignRecipe, RlRecipe, JointRecipe, M2seRecipe))
    return recipe


def model_parameters(model: EmoSymModel) -> dict[str, nn.Parameter]:
    """Every parameter of reader, mappers and painter, by the name it has without an adapter."""
    modules: dict[str, nn.Module] = {"reasoner": model.reader.reasoner, "mappers": model.mappers}
    modules |= model.painter.modules()
    return {
        f"{m}.{n}".replace(".base_layer", ""): p
        for m, module in modules.items()
        for n, p in module.named_parameters()
    }


def snapshot(model: EmoSymModel) -> Snapshot:
    return {name: p.detach().clone() for name, p in model_parameters(model).items()}


def moved(before: Snapshot, model: EmoSymModel) -> set[str]:
    """Names of parameters with any other bit than before (new ones are not looked at)."""
    after = model_parameters(model)
    return {name for name, old in before.items() if not torch.equal(old, after[name].detach())}


def count_calls(module: nn.Module, calls: list[str], name: str) -> Any:
    """Append `name` to `calls` at every forward of a module; returns the hook's handle."""
    return module.register_forward_hook(lambda *_: calls.append(name))


def metrics(out: Path) -> list[dict[str, float]]:
    """The rows of metrics.jsonl without their speed."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "samples_per_second"} for row in rows]


def align_start(base: Path, arrays: Path) -> tuple[EmoSymModel, Feed]:
    """What an align run starts from: a new model of a base, and the pictures in an .npz."""
    found = np.load(arrays)
    model = new_model(str(base), 2, True, "emosym", 0)
    return model, tiny_feed(model.reader, found["pictures"], found["labels"])


def align_run(model: EmoSymModel, feed: Feed, out: Path, die_at: int | None = None) -> None:
    """Align for five steps; dies by SIGKILL at a step if told to."""
    recipe = recipe_of("align", out, optim={"steps": 5, "muon_lr": 1e-3})
    start.use_lora(model, recipe)
    if die_at is not None:
        loop = align.run_loop

        def dying(
            settings: Any, modules: Any, opt: Any, schedule: Any, size: Any, fn: Any, **k: Any
        ):
            def loss_fn(step: int, indices: np.ndarray) -> Any:
                if step == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return fn(step, indices)

            return loop(settings, modules, opt, schedule, size, loss_fn, **k)

        align.run_loop = dying
    align.train_align(model, feed, recipe, progress=False)


def align_killed(base: Path, arrays: Path, out: Path) -> None:
    """Align to the end in out/whole; die at step 3 and go on in out/cut. Each is a fork."""
    model, feed = align_start(base, arrays)  # every fork has its own copy
    for folder, die_at, signalled in (("whole", None, 0), ("cut", 3, 9), ("cut", None, 0)):
        child = os.fork()
        if not child:
            code = 1
            try:
                align_run(model, feed, out / folder, die_at)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == signalled, (folder, status)
        left = sorted(p.name for p in (out / folder / "state").iterdir())
        sys.stdout.write(f"{folder} {left}\n")


ADAPTED = tuple(
    f"reasoner.backbone.model.language_model.layers.0.{layer}.lora_{side}.emosym.weight"
    for layer in (
        *(f"self_attn.{n}_proj" for n in "qkvo"),
        *(f"mlp.{n}_proj" for n in ("gate", "up", "down")),
    )
    for side in "AB"
)
TOKENS = tuple(
    f"reasoner.latent_tokens.{n}" for n in ("context_embeds", "emotion_embed", "recurrent_gate")
)
HEAD = tuple(f"reasoner.heads.mikels8.net.{i}.{n}" for i in (0, 2) for n in ("weight", "bias"))
PROJECTOR = tuple(f"reasoner.context_projector.{n}" for n in ("net.weight", "net.bias"))
LOG_SCALE = "reasoner.context_projector.log_scale"
MAPPERS = (
    "mappers.output_scale",
    *(
        f"mappers.{which}_mapper.0.{layer}.{n}"
        for which in ("emotion", "context")
        for layer in (0, 1, 3, 4)
        for n in ("weight", "bias")
    ),
)
