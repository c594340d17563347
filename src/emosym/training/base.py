"""Pretrain storybook-base: reader and painter without any emotion word, and the judges.

The parts run side by side in spawned processes of one thread each, which finish more on a CPU
than one process of many threads. Every part resumes where it was stopped.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emosym.config import BaseRecipe, dump_recipe
from emosym.data import storybook
from emosym.files import write_atomic, write_text
from emosym.seeds import stream_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

log = logging.getLogger(__name__)
IMAGE_SIZE = 64
TOKENIZER_STORIES = 20000
VOCABULARY = 1024


def run_base(recipe: BaseRecipe, progress: bool = True) -> Path:
    """Draw the corpus, train the recipe's parts, and assemble recipe.out/base; returns it.

    Raises:
        UsageError: for settings the parts refuse.
    """
    recipe.out.mkdir(parents=True, exist_ok=True)
    write_text(recipe.out / "recipe.yaml", dump_recipe(recipe))
    draw_corpus(recipe)
    tokenizer_of(recipe)
    threads = max(1, (os.cpu_count() or 1) // recipe.workers)
    if recipe.workers == 1:
        for part in recipe.parts:
            train_part(recipe, part, threads, progress)
    else:
        context = get_context("spawn")
        with ProcessPoolExecutor(min(recipe.workers, len(recipe.parts)), context) as pool:
            running = [pool.submit(train_part, recipe, p, threads, True) for p in recipe.parts]
            for future in running:
                future.result()
    return assemble(recipe)


def world_seed(recipe: BaseRecipe) -> int:
    """Return the storybook seed of the base's pictures, which no other stream shares."""
    return stream_seed(recipe.seed, "base-world") % 2**31


def draw_corpus(recipe: BaseRecipe) -> NDArray[np.uint8]:
    """Return the base's pictures (N, 64, 64, 3), drawn once and kept in recipe.out/corpus.npy."""
    path = recipe.out / "corpus.npy"
    if not path.is_file():
        log.info("drawing %d pictures", recipe.count)
        seed = world_seed(recipe)
        _, pictures = storybook.draw_many(
            seed, "train", 0, recipe.count, IMAGE_SIZE, recipe.workers
        )
        write_atomic(path, lambda temporary: np.save(temporary, pictures))
    stored: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return stored


def stories_of(recipe: BaseRecipe, count: int) -> list[storybook.Story]:
    """Return the stories of the corpus: they are a pure function of the seed."""
    seed = world_seed(recipe)
    return [storybook.draw_story(seed, i, "train") for i in range(count)]


def tokenizer_of(recipe: BaseRecipe) -> PreTrainedTokenizerBase:
    """Return the tokenizer, trained once on captions, rationales and dialogues."""
    from emosym.models.tokenizer import load_tokenizer, train_tokenizer

    folder = recipe.out / "tokenizer"
    if not (folder / "tokenizer_config.json").is_file():
        stories = stories_of(recipe, min(recipe.count, TOKENIZER_STORIES))
        texts: list[str] = []
        for story in stories:
            texts += [storybook.caption_of(story), storybook.rationale_of(story)]
            texts += [f"{q} {a}" for q, a in storybook.questions_of(story)]
        texts += ["What is the emotion of the image?", "Describe the picture."]
        train_tokenizer(texts, VOCABULARY).save_pretrained(str(folder))
    return load_tokenizer(folder)


def train_part(recipe: BaseRecipe, part: str, threads: int, progress: bool) -> None:
    """Train one part, unless it is finished."""
    import torch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    from emosym.models.speed import keep_freed_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    log.info("%s: training on %d thread(s)", part, threads)
    {"reader": _train_reader, "painter": _train_painter, "judges": _train_judges}[part](
        recipe, progress
    )
    log.info("%s: finished", part)


def _train_reader(recipe: BaseRecipe, progress: bool) -> None:
    from transformers import Qwen2VLImageProcessorPil

    from emosym.models.toy import TOY_PATCH
    from emosym.training.base_reader import tokenize_texts, train_reader
    from emosym.training.finish import use_bf16

    tokenizer = tokenizer_of(recipe)
    stories = stories_of(recipe, recipe.count)
    texts = tokenize_texts(
        tokenizer,
        [storybook.caption_of(s) for s in stories],
        [storybook.rationale_of(s) for s in stories],
        [storybook.questions_of(s) for s in stories],
    )
    optim = recipe.reader.optim
    model = train_reader(
        recipe.out / "reader",
        tokenizer,
        draw_corpus(recipe),
        texts,
        recipe.seed,
        optim.steps,
        optim.batch_size,
        optim.lr,
        optim.muon_lr,
        recipe.reader.hidden_size,
        recipe.reader.layers,
        use_bf16(optim),
    )
    folder = recipe.out / "base" / "reader"
    save_reader(model, tokenizer, folder)
    side = IMAGE_SIZE * IMAGE_SIZE
    processor = Qwen2VLImageProcessorPil(
        patch_size=TOY_PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": side, "longest_edge": side},
    )
    processor.save_pretrained(str(folder))


def save_reader(
    model: Qwen2VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write a reader in bf16 with its tokenizer, in the hub's layout."""
    import copy

    import torch

    stored = copy.deepcopy(model).to(torch.bfloat16)
    stored.config.dtype = torch.bfloat16
    stored.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))


def _train_painter(recipe: BaseRecipe, progress: bool) -> None:
    import torch

    from emosym.models.painter import save_painter
    from emosym.training.base_painter import BasePainterSettings, train_base_painter

    settings = BasePainterSettings(
        autoencoder_steps=recipe.painter.autoencoder_steps,
        unet_steps=recipe.painter.unet_steps,
        batch_size=recipe.painter.batch_size,
        seed=recipe.seed,
    )
    captions = [storybook.caption_of(s) for s in stories_of(recipe, recipe.count)]
    painter = train_base_painter(
        recipe.out / "painter", tokenizer_of(recipe), draw_corpus(recipe), captions, settings
    )
    save_painter(painter, recipe.out / "base" / "painter", torch.bfloat16)


def _train_judges(recipe: BaseRecipe, progress: bool) -> None:
    from emosym.training.judges import JudgeSettings, draw_judge_data, train_judges

    data = draw_judge_data(recipe.seed, recipe.judges.count, IMAGE_SIZE, 1)
    train_judges(
        recipe.out / "base" / "judges",
        recipe.seed,
        data,
        JudgeSettings(steps=recipe.judges.steps),
    )


def assemble(recipe: BaseRecipe) -> Path:
    """Write base.json with checksums over what the parts left in recipe.out/base."""
    import shutil

    from emosym.models.presets import write_base
    from emosym.provenance import git_hash, package_versions

    folder = recipe.out / "base"
    for state in (folder / "judges").glob("state-*"):
        shutil.move(str(state), str(recipe.out / state.name))
    write_base(
        folder,
        IMAGE_SIZE,
        {
            "seed": recipe.seed,
            "parts": list(recipe.parts),
            "pictures": recipe.count,
            "versions": package_versions(),
            "git": git_hash(),
        },
    )
    return folder
