"""The stages on Qwen2-VL and Stable Diffusion folders, tiny: pictures of many sizes, bf16 bases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.makers import moved, snapshot

from emosym.config.load import resolve_recipe
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.pipelines.trained import EmoSymPipeline
from emosym.training.stages import start
from emosym.training.stages.align import run_align
from emosym.training.stages.feed import open_feeds
from emosym.training.stages.joint import run_joint
from emosym.types import only_picture

EMOTIONS = ["amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two training pictures of each emotion and one to validate on, of several sizes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1)):
        for i, emotion in enumerate(EMOTIONS):
            place = tmp_path / "data" / split / emotion
            place.mkdir(parents=True)
            for n in range(count):
                size = (60 + 8 * i, 120 - 6 * n, 3)
                picture = rng.integers(0, 256, size, dtype=np.uint8)
                Image.fromarray(picture).save(place / f"{n}.png")
    return tmp_path / "data"


def recipe(stage: str, folder: Path, init: str, **more: object) -> object:
    optim = {"steps": 2, "batch_size": 4, "accumulate": 2, "lr": 1e-2, "log_every": 1}
    raw = {
        "stage": stage,
        "out": str(folder.parent / stage),
        "init": init,
        "data": {"source": "folder", "root": str(folder), "workers": 2},
        "optim": {**optim, "checkpoint_every": 1, "weight_decay": 0.0, "bf16": True},
        **more,
    }
    if stage == "align":
        raw["optim"]["gradient_checkpointing"] = True  # type: ignore[index]
    return resolve_recipe(raw, "test")


def test_align_and_joint_and_a_painting(  # slow: two stages of two real families, 8 s
    folder: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    built = {}
    new_model = start.new_model

    def remembered(*args: object, **kwargs: object) -> object:
        model = new_model(*args, **kwargs)  # type: ignore[arg-type]
        built["before"] = snapshot(model)
        return model

    monkeypatch.setattr(start, "new_model", remembered)
    lora = {"r": 2, "alpha": 4, "dropout": 0.0}
    done = run_align(recipe("align", folder, "emosym-2b", lora=lora, max_pixels=9408), False)  # type: ignore[arg-type]
    changed = moved(built["before"], done.model)
    assert changed and all(
        name.split(".")[1] in ("latent_tokens", "heads", "context_projector") for name in changed
    )
    adapters = {k: p for k, p in done.model.reader.reasoner.named_parameters() if "lora_B" in k}
    assert len(adapters) == 14 and all(float(p.abs().max()) > 0 for p in adapters.values())
    assert done.model.domain is not None and done.model.base.max_pixels == 9408
    opened = load_checkpoint(done.checkpoint)
    assert opened.base.max_pixels == 9408
    joint = run_joint(  # type: ignore[arg-type]
        recipe("joint", folder, str(done.checkpoint), unet_lora_r=2, cache_prefixes=True), False
    )
    pipeline = EmoSymPipeline.from_pretrained(joint.checkpoint, "cpu")
    painting = pipeline.generate({"awe": 0.5, "fear": 0.5}, num_inference_steps=2, seed=1)[0]
    assert painting.image.size == (64, 64) and not painting.withheld
    again = pipeline.generate({"awe": 0.5, "fear": 0.5}, num_inference_steps=2, seed=1)[0]
    assert np.array_equal(np.asarray(painting.image), np.asarray(again.image))
    assert painting.reading.in_domain is not None


def test_pictures_that_are_gone_are_named(
    folder: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    from emosym.models.emosym_model import new_model

    model = new_model("internvl3-1b", 1, True, "emosym", 0)
    train, val = open_feeds(model.reader, recipe("rl", folder, "x"))  # type: ignore[arg-type]
    assert len(train) == 16 and train.features is None and len(val) == 8
    with torch.no_grad():
        now = train.prefix(np.array([3, 0]))
        train.want(np.array([3, 0]))
        ahead = train.prefix(np.array([3, 0]))
    assert torch.equal(now.values[0], ahead.values[0])
    gone = only_picture(train.samples[5])
    assert isinstance(gone, Path)
    gone.unlink()
    train.want(np.array([4, 5]))
    with pytest.raises(UsageError, match=f"{gone.name}.*there is no such file"):
        train.prefix(np.array([4, 5]))
    assert replace(train, ahead=None).prefix(np.array([4])).mask.shape[0] == 1


def test_a_strip_that_the_processor_refuses_is_left_out_and_told(
    folder: Path,
    tiny_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    from emosym.models.emosym_model import new_model

    for split in ("train", "val"):
        Image.new("RGB", (3, 900)).save(folder / split / "awe" / "strip.png")
        Image.new("RGB", (60, 5)).save(folder / split / "awe" / "small.png")
    model = new_model("emosym-2b", 1, True, "emosym", 0)
    train, val = open_feeds(model.reader, recipe("rl", folder, "x"))  # type: ignore[arg-type]
    assert (len(train), len(val)) == (17, 9) == (len(train.targets), len(val.truth))
    assert not any("strip" in sample.id for sample in train.samples)
    assert "Left out 1 of 18 pictures, the first: 'awe/strip.png' is 3 x 900 pixels" in caplog.text
