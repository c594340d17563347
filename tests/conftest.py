"""A whole model of the real classes, tiny: shared by every test that reads or paints."""

from __future__ import annotations

import os

# One thread computes the same numbers everywhere, and tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("EMOSYM_CPU_PLAN", "float32 eager")

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

TINY_SEED = 3

# A test says what is right, never how fast a loaded machine is.
settings.register_profile("emosym", deadline=None)
settings.load_profile("emosym")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that none is left over at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def forget_the_cpu_plan() -> Iterator[None]:
    """Let no test compute by the CPU plan that another one has set or measured."""
    from emosym.device import cpu_plan

    yield
    cpu_plan.cache_clear()


@dataclass(frozen=True)
class TinyPictures:
    """Drawn storybook pictures, uint8 (N, 64, 64, 3), with class indices (N,)."""

    pictures: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def tiny_pictures() -> TinyPictures:
    """48 storybook pictures of 64 px."""
    from emosym.data import storybook

    stories, pictures = storybook.draw_many(TINY_SEED, "train", 0, 48, 64, 1)
    return TinyPictures(pictures, np.array([story.label for story in stories]))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base folder with reader/, painter/ and base.json, as `storybook-base` has."""
    import torch
    from transformers import Qwen2VLImageProcessorPil

    from emosym.data import storybook
    from emosym.models.painter.autoencoder import build_autoencoder
    from emosym.models.painter.painter import save_painter
    from emosym.models.painter.toy import build_painter
    from emosym.models.presets import write_base
    from emosym.models.reader.reader import TEMPLATES
    from emosym.models.reader.toy import TOY_IMAGE_SIZE, TOY_PATCH, build_toy_reader
    from emosym.models.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tiny") / "base"
    stories = [storybook.draw_story(TINY_SEED, index) for index in range(64)]
    texts = [text for s in stories for text in (storybook.caption_of(s), storybook.rationale_of(s))]
    tokenizer = train_tokenizer([*texts, *TEMPLATES.values()], 512)
    reader = build_toy_reader(tokenizer, TINY_SEED, hidden_size=96, layers=1)
    reader.save_pretrained(str(folder / "reader"))
    tokenizer.save_pretrained(str(folder / "reader"))
    side = TOY_IMAGE_SIZE**2
    Qwen2VLImageProcessorPil(
        patch_size=TOY_PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": side, "longest_edge": side},
    ).save_pretrained(str(folder / "reader"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        vae = build_autoencoder(8, (1, 1, 1), (1, 1, 1), 2)  # 64 px to 8 x 8 latents
        painter = build_painter(tokenizer, (16, 16, 32), 32, 48, vae)
        painter.unet.register_to_config(sample_size=8)
        # zeroed outputs would hide the conditions from an untrained U-Net
        for parameter in painter.unet.parameters():
            if not bool(parameter.any()):
                torch.nn.init.normal_(parameter, std=0.05)
    save_painter(painter, folder / "painter")
    write_base(folder, TOY_IMAGE_SIZE, {"seed": TINY_SEED})
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_base: Path, tiny_pictures: TinyPictures, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint on `tiny_base` with an adapter, an emotion space and a domain.

    Nothing is trained. The space is drawn at random, the domain fitted to `tiny_pictures`.
    """
    import torch

    from emosym.emotions import MIKELS8
    from emosym.models.adapters import add_adapter, lora_config, train_adapter
    from emosym.models.calibration import Calibration
    from emosym.models.checkpoint import save_checkpoint
    from emosym.models.emosym_model import new_model
    from emosym.models.gaussians import fit_domain, fit_emotion_space
    from emosym.models.reader.reader import ADAPTER, domain_features, encode_pictures

    model = new_model(str(tiny_base), 2, True, "emosym", TINY_SEED)
    backbone = model.reader.reasoner.backbone
    add_adapter(backbone, lora_config(2, 4, 0.0), ADAPTER, TINY_SEED)
    generator = torch.Generator().manual_seed(TINY_SEED)
    for parameter in train_adapter(backbone, ADAPTER, False):
        if not bool(parameter.any()):  # peft starts B at 0, and the adapter would do nothing
            parameter.data = 0.02 * torch.randn(parameter.shape, generator=generator)
    model.reader.tokens.recurrent_gate.data.fill_(0.06)  # open, as training may leave it
    truth = np.repeat(np.arange(8), 4)
    latents = torch.randn(32, 3, 96, generator=generator)
    latents += torch.randn(8, 3, 96, generator=generator)[torch.from_numpy(truth)]
    features = domain_features(encode_pictures(model.reader, tiny_pictures.pictures))
    model = replace(
        model,
        emotion_space=fit_emotion_space(MIKELS8.labels, latents[:, 0], latents[:, 1:], truth),
        domain=fit_domain(features[:32], features[32:], threshold=0.1),
        calibrations={"mikels8": Calibration(1.7)},
        stages=("align", "joint"),
        recipes=("stage: align\n", "stage: joint\n"),
    )
    folder = tmp_path_factory.mktemp("tiny-checkpoint") / "checkpoint"
    save_checkpoint(model, folder, card="# A tiny model\n")
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for EMOSYM_MODELS: every preset's reader and painter, tiny, with random weights."""
    from scripts.make_random_snapshot import make_snapshot

    folder = tmp_path_factory.mktemp("tiny-models")
    for preset in ("emosym-2b", "qwen2.5-vl-3b", "qwen3-vl-2b", "internvl3-1b", "emosym-2b-xl"):
        make_snapshot(preset, folder, tiny=True)
    return folder
