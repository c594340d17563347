"""A storybook model to time: the shipped base, or untrained weights of the same sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import WEIGHTS

BASE = "storybook-base"
VOCABULARY = 1024


def quiet_libraries() -> None:
    """Leave only tables in the output."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


@contextmanager
def storybook_base() -> Iterator[tuple[str, str]]:
    """Yield the name or folder of a base to time, and what to call its weights."""
    quiet_libraries()
    if (WEIGHTS / BASE).is_dir():
        yield BASE, BASE
        return
    with TemporaryDirectory() as temporary:
        yield str(untrained_base(Path(temporary) / "base")), f"untrained weights of {BASE}'s sizes"


@contextmanager
def storybook_model(
    num_context: int = 4, adapter_rank: int = 8
) -> Iterator[tuple[EmoSymModel, str]]:
    """Yield a model as stage 1 starts with it, and the name of its weights."""
    from emosym.models.adapters import add_adapter, lora_config
    from emosym.models.reader.reader import ADAPTER

    with storybook_base() as (base, told):
        model = new_model(base, num_context, True, "emosym", seed=0)
        adapter = lora_config(adapter_rank, 2 * adapter_rank, 0.0)
        add_adapter(model.reader.reasoner.backbone, adapter, ADAPTER, 0)
        yield model, told


def untrained_base(folder: Path) -> Path:
    """Write a base folder of storybook-base's sizes with weights as they are initialised."""
    from transformers import Qwen2VLImageProcessorPil

    from emosym.data import storybook
    from emosym.models.painter.painter import save_painter
    from emosym.models.painter.toy import build_painter
    from emosym.models.presets import write_base
    from emosym.models.reader.reader import TEMPLATES
    from emosym.models.reader.toy import TOY_IMAGE_SIZE, TOY_PATCH, build_toy_reader
    from emosym.models.tokenizer import train_tokenizer

    stories = [storybook.draw_story(0, index) for index in range(500)]
    texts = [text for s in stories for text in (storybook.caption_of(s), storybook.rationale_of(s))]
    tokenizer = train_tokenizer([*texts, *TEMPLATES.values()], VOCABULARY)
    build_toy_reader(tokenizer, 0).save_pretrained(str(folder / "reader"))
    tokenizer.save_pretrained(str(folder / "reader"))
    side = TOY_IMAGE_SIZE**2
    Qwen2VLImageProcessorPil(
        patch_size=TOY_PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": side, "longest_edge": side},
    ).save_pretrained(str(folder / "reader"))
    save_painter(build_painter(tokenizer), folder / "painter")
    write_base(folder, TOY_IMAGE_SIZE, {"seed": 0})
    return folder


def pictures(count: int) -> np.ndarray:
    """Draw storybook pictures, uint8 (count, 64, 64, 3)."""
    from emosym.data import storybook

    return storybook.draw_many(0, "test", 0, count, 64, 1)[1]
