"""Run any recipe: the stage's own function, once; a finished run is not run again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.config.load import dump_recipe, read_raw, resolve_recipe
from emosym.config.recipes import (
    AlignRecipe,
    BaseRecipe,
    DialogueBaseRecipe,
    FeedbackRecipe,
    JointRecipe,
    M2seRecipe,
    PhotoRecipe,
    RlRecipe,
    StageRecipe,
)
from emosym.config.text_recipes import PreferenceRecipe, RlTextRecipe
from emosym.errors import UsageError
from emosym.files import read_json, sync, write_json, write_text
from emosym.locks import LOCK, one_writer
from emosym.tasks.names import TASKS, require_tasks
from emosym.types import ECPE, FER, IMAGE_EMOTION, MER, MSA, TEXT_EMOTION

if TYPE_CHECKING:
    from emosym.processes import Processes
    from emosym.training.stages.finish import StageResult

log = logging.getLogger(__name__)
FINISHED = "finished.json"
BASES = (BaseRecipe, DialogueBaseRecipe)


def run_recipe(
    recipe: StageRecipe, progress: bool = True, deadline: float | None = None
) -> tuple[Path, dict[str, float]]:
    """Run a recipe in its output folder; returns its checkpoint or base, and held-out numbers.

    A run that was stopped goes on; one that is finished returns at once. A folder in which another
    recipe failed before it had done anything is free.

    Raises:
        UsageError: when the output folder holds work of another recipe, a base is to be trained by
            several processes, or the stage cannot train the recipe's tasks.
        EmoSymError: when another process trains there.
        StoppedEarly: when training is not finished at `deadline` (see `loop.deadline`).
    """
    from emosym.processes import Processes

    if not isinstance(recipe, (*BASES, PhotoRecipe)):
        trainable: tuple[str, ...] = (IMAGE_EMOTION,)
        if isinstance(recipe, M2seRecipe):
            trainable = (MER, TEXT_EMOTION, MSA, FER, ECPE, IMAGE_EMOTION)
        if isinstance(recipe, (RlTextRecipe, PreferenceRecipe)):
            trainable = tuple(TASKS)
        if recipe.tasks or not (isinstance(recipe, M2seRecipe) and recipe.spoken):
            require_tasks(recipe.tasks, trainable, f"The stage {recipe.stage!r}")
        if isinstance(recipe, M2seRecipe) and recipe.spoken:
            require_tasks(tuple(recipe.spoken), tuple(TASKS), "In words m2se")
    processes = Processes()
    with one_writer(recipe.out, "training") if processes.main else nullcontext():
        return _run(recipe, processes, progress, deadline)


def _run(
    recipe: StageRecipe, processes: Processes, progress: bool, deadline: float | None
) -> tuple[Path, dict[str, float]]:
    """Run a recipe in its folder, of which this is the only run."""
    artefact = recipe.out / ("base" if isinstance(recipe, BASES) else "checkpoint")
    marker = recipe.out / FINISHED
    if isinstance(recipe, (*BASES, PhotoRecipe)) and processes.world > 1:
        raise UsageError(
            f"The stage {recipe.stage!r} is run by one process, which starts its own where that "
            "helps. Run `emosym train` without `accelerate launch`."
        )
    with processes.main_first():
        if processes.main:
            _claim(recipe)
    found = processes.agree(_finished(marker) if artefact.is_dir() else None)
    if found is not None:
        return artefact, found
    values: dict[str, float] = {}
    if isinstance(recipe, BaseRecipe):
        from emosym.training.storybook.pretrain import run_base

        run_base(recipe, progress, deadline)
    elif isinstance(recipe, DialogueBaseRecipe):
        from emosym.training.storybook.dialogues import run_dialogue_base

        run_dialogue_base(recipe, progress, deadline)
    elif isinstance(recipe, PhotoRecipe):
        from emosym.training.photo import run_photo

        values = run_photo(recipe)
    else:
        values = _run_stage(recipe, progress, deadline).values
    if processes.main:
        write_json(marker, values)
    processes.wait()
    return artefact, values


def _claim(recipe: StageRecipe) -> None:
    """Write the recipe into its output folder, unless that holds work of another one.

    The one that is there may be of an older version: what it does not name had the default that
    it has now. `out` may differ: the folder may have been moved.
    """
    resolved, written = dump_recipe(recipe), recipe.out / "recipe.yaml"
    if written.is_file() and written.read_bytes() == resolved.encode():
        return
    if written.is_file() and _has_work(recipe):
        changes = _changes(recipe, written)
        if changes:
            raise UsageError(
                f"{recipe.out} holds a run of another recipe ({written}): {changes}. Choose "
                "another `out`, or remove that folder."
            )
    write_text(written, resolved)
    sync(written)


def _changes(recipe: StageRecipe, written: Path) -> str:
    """Return how a recipe differs from the one that its folder was made with; "" for not at all."""
    try:
        kept = resolve_recipe(read_raw(written), str(written))
    except UsageError as error:
        return f"that one cannot be read, {str(error).removesuffix('.')}"
    now, before = (flat(found.model_dump(mode="json")) for found in (recipe, kept))
    missing = object()
    changed = [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted({*now, *before} - {"out"})
        if now.get(key, missing) != before.get(key, missing)
    ]
    return ", ".join(changed)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a recipe's values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _finished(marker: Path) -> dict[str, float] | None:
    """Return the values of a finished run, or None: it then ends once more, from its last state."""
    if not marker.is_file():
        return None
    try:
        values = read_json(marker, "finished run")
        return {str(name): float(value) for name, value in values.items()}
    except (UsageError, AttributeError, TypeError, ValueError):
        log.warning("%s is torn: the run is finished once more, from its last state.", marker)
        return None


def _has_work(recipe: StageRecipe) -> bool:
    """Return whether a run left anything in its folder that another recipe would go on from."""
    if isinstance(recipe, BASES):  # its drawn data and tokenizer are of that recipe too
        return any(path.name not in ("recipe.yaml", LOCK) for path in recipe.out.iterdir())
    kept = (FINISHED, "checkpoint", "state/step-*", "state/checkpoint-*", "bank", "round-*")
    return any(any(recipe.out.glob(pattern)) for pattern in kept)


def _run_stage(
    recipe: AlignRecipe
    | RlRecipe
    | JointRecipe
    | FeedbackRecipe
    | M2seRecipe
    | RlTextRecipe
    | PreferenceRecipe,
    progress: bool,
    deadline: float | None,
) -> StageResult:
    """Import and run one of the stages."""
    if isinstance(recipe, RlTextRecipe):
        from emosym.training.stages.rl_text import run_rl_text

        return run_rl_text(recipe, progress, deadline)
    if isinstance(recipe, PreferenceRecipe):
        from emosym.training.stages.preference import run_preference

        return run_preference(recipe, progress, deadline)
    if isinstance(recipe, M2seRecipe):
        from emosym.training.stages.m2se import run_m2se

        return run_m2se(recipe, progress, deadline)
    if isinstance(recipe, AlignRecipe):
        from emosym.training.stages.align import run_align

        return run_align(recipe, progress, deadline)
    if isinstance(recipe, RlRecipe):
        from emosym.training.stages.rl import run_rl

        return run_rl(recipe, progress, deadline)
    if isinstance(recipe, JointRecipe):
        from emosym.training.stages.joint import run_joint

        return run_joint(recipe, progress, deadline)
    from emosym.training.stages.feedback import run_feedback

    return run_feedback(recipe, progress, deadline)
