"""Pretrain storybook-base: reader and painter without any emotion word, and the judges.

The parts run side by side in spawned processes of one thread each, which finish more on a CPU
than one process of many threads; on a GPU they share it. Every part resumes where it was stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from emosym.config.load import dump_recipe
from emosym.config.recipes import BaseRecipe
from emosym.device import wanted_threads
from emosym.errors import StoppedEarly
from emosym.files import write_json, write_text
from emosym.training.loop.deadline import is_late
from emosym.training.storybook.corpus import (
    IMAGE_SIZE,
    draw_corpus,
    load_judge_data,
    load_texts,
    prepare_data,
    tokenizer_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

log = logging.getLogger(__name__)


def run_base(recipe: BaseRecipe, progress: bool = True, deadline: float | None = None) -> Path:
    """Make the data, train the recipe's parts, and assemble recipe.out/base; returns it.

    Raises:
        UsageError: for settings the parts refuse.
        StoppedEarly: when not all parts are finished at the deadline; the same call goes on.
    """
    recipe.out.mkdir(parents=True, exist_ok=True)
    write_text(recipe.out / "recipe.yaml", dump_recipe(recipe))
    prepare_data(recipe, deadline)
    parts = [part for part in recipe.parts if not is_finished(recipe, part)]
    together = min(recipe.workers, len(recipe.parts))
    threads = max(1, wanted_threads() // together)
    if together == 1:
        for number, part in enumerate(parts):
            if number and is_late(deadline):
                raise StoppedEarly(f"{part} not begun")
            train_part(recipe, part, threads, progress, deadline)
    elif parts:
        _train_side_by_side(recipe, parts, together, threads, deadline)
    return assemble(recipe)


def _train_side_by_side(
    recipe: BaseRecipe, parts: Sequence[str], together: int, threads: int, deadline: float | None
) -> None:
    """Train parts in spawned processes, `together` at a time; none is begun after the deadline."""
    waiting, running, stopped = list(parts), set[Future[None]](), list[str]()
    with ProcessPoolExecutor(together, get_context("spawn")) as pool:
        while running or waiting:
            while waiting and len(running) < together:
                part = waiting.pop(0)
                running.add(pool.submit(train_part, recipe, part, threads, True, deadline))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    future.result()
                except StoppedEarly as error:
                    stopped.append(str(error))
            if waiting and is_late(deadline):
                stopped += [f"{part} not begun" for part in waiting]
                waiting = []
    if stopped:
        raise StoppedEarly(", ".join(stopped))


def is_finished(recipe: BaseRecipe, part: str) -> bool:
    """Return whether a part is trained and in recipe.out/base."""
    return _marker(recipe, part).is_file() and (recipe.out / "base" / part).is_dir()


def _marker(recipe: BaseRecipe, part: str) -> Path:
    return recipe.out / f"{part}-finished.json"


def train_part(
    recipe: BaseRecipe, part: str, threads: int, progress: bool, deadline: float | None = None
) -> None:
    """Train one part and leave it in recipe.out/base; what it reads is there already.

    Raises:
        StoppedEarly: at the deadline; the next call goes on.
    """
    import torch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    from emosym.models.speed import keep_freed_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    log.info("%s: training on %d thread(s)", part, threads)
    {"reader": _train_reader, "painter": _train_painter, "judges": _train_judges}[part](
        recipe, progress, deadline
    )
    write_json(_marker(recipe, part), {"part": part})
    log.info("%s: finished", part)


def _train_reader(recipe: BaseRecipe, progress: bool, deadline: float | None) -> None:
    from transformers import Qwen2VLImageProcessorPil

    from emosym.models.reader.toy import TOY_PATCH
    from emosym.training.stages.finish import use_bf16
    from emosym.training.storybook.reader import train_reader

    tokenizer = tokenizer_of(recipe)
    optim = recipe.reader.optim
    model = train_reader(
        recipe.out / "reader",
        tokenizer,
        draw_corpus(recipe),
        load_texts(recipe),
        recipe.seed,
        optim.steps,
        optim.batch_size,
        optim.lr,
        optim.muon_lr,
        recipe.reader.hidden_size,
        recipe.reader.layers,
        use_bf16(optim),
        progress,
        deadline,
        recipe.reader.says,
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


def _train_painter(recipe: BaseRecipe, progress: bool, deadline: float | None) -> None:
    import torch

    from emosym.device import has_bf16
    from emosym.models.painter.painter import save_painter
    from emosym.models.painter.toy import PROMPT_LENGTH
    from emosym.training.storybook.painter import BasePainterSettings, train_base_painter

    settings = BasePainterSettings(
        autoencoder_steps=recipe.painter.autoencoder_steps,
        autoencoder_batch_size=recipe.painter.autoencoder_batch_size,
        unet_steps=recipe.painter.unet_steps,
        batch_size=recipe.painter.batch_size,
        seed=recipe.seed,
        bf16=has_bf16(),
    )
    tokenizer = tokenizer_of(recipe)
    painter = train_base_painter(
        recipe.out / "painter",
        tokenizer,
        draw_corpus(recipe),
        load_texts(recipe).prompts(tokenizer, PROMPT_LENGTH),
        settings,
        progress,
        deadline,
    )
    save_painter(painter, recipe.out / "base" / "painter", torch.bfloat16)


def _train_judges(recipe: BaseRecipe, progress: bool, deadline: float | None) -> None:
    from emosym.device import has_bf16
    from emosym.training.storybook.judges import JudgeSettings, train_judges

    judges = recipe.judges
    train_judges(
        recipe.out / "base" / "judges",
        recipe.seed,
        load_judge_data(recipe),
        JudgeSettings(steps=judges.steps, batch_size=judges.batch_size, bf16=has_bf16()),
        progress=progress,
        deadline=deadline,
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
