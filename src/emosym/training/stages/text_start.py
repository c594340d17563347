"""What the stages that train what is said open: model, task, samples, and a first score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emosym.config.load import dump_recipe
from emosym.config.recipes import AlignRecipe, M2seRecipe
from emosym.config.text_recipes import TextRecipe
from emosym.data.changes import with_changes
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.models.chat import ChatModel
from emosym.models.emosym_model import EmoSymModel
from emosym.processes import Processes
from emosym.tasks.names import open_task
from emosym.tasks.reasoned import in_form
from emosym.tasks.task import Task
from emosym.training.stages.feed import open_split
from emosym.training.stages.finish import StageResult, write_stage
from emosym.training.stages.said import said_values
from emosym.training.stages.sets import is_of_pictures
from emosym.training.stages.start import open_start
from emosym.types import Sample

BEFORE = "before.json"


@dataclass(frozen=True, slots=True)
class TextStart:
    """A model, the task that it is asked, and samples with a truth; `held` are held out."""

    model: EmoSymModel
    space: LabelSpace
    task: Task
    train: tuple[Sample, ...]
    held: tuple[Sample, ...]

    @property
    def chat(self) -> ChatModel:
        """The model that speaks."""
        return self.model.reader.chat


def open_text(recipe: TextRecipe) -> TextStart:
    """Open what a recipe starts from: a checkpoint that speaks, or a base.

    Raises:
        UsageError: for several processes, or data that tell nothing of the task.
    """
    if Processes().world > 1:
        raise UsageError(
            f"The stage {recipe.stage!r} is run by one process: run `emosym train` without "
            "`accelerate launch`."
        )
    model = open_start(_as_start(recipe))
    space = model.space
    task = in_form(open_task(recipe.tasks[0], space), recipe.form)
    train, held = (
        tuple(
            sample
            for sample in with_changes(
                open_split(recipe.data, space, recipe.seed, training), recipe.tasks
            )
            if task.name in sample.targets
        )
        for training in (True, False)
    )
    for split, found in ((recipe.data.train_split, train), (recipe.data.val_split, held)):
        if not found:
            raise UsageError(f"No sample of the split {split!r} has a truth of {task.name!r}.")
    return TextStart(model, space, task, train, held[: recipe.held_out])


def _as_start(recipe: TextRecipe) -> AlignRecipe | M2seRecipe:
    """Return what `open_start` needs of a recipe: pictures or conversations to begin with."""
    shared = {name: getattr(recipe, name) for name in ("seed", "out", "init", "data", "lora")}
    if is_of_pictures(recipe.data):
        return AlignRecipe(stage="align", **shared)
    return M2seRecipe(stage="m2se", **shared)


def score_before(start: TextStart, recipe: TextRecipe) -> Mapping[str, float]:
    """Return what the model scores before it is trained; a run that goes on finds it written."""
    path = recipe.out / BEFORE
    if path.is_file():
        return {str(k): float(v) for k, v in read_json(path, "first scores").items()}
    values = said_values(start.chat, start.task, start.held, recipe.form, recipe.longest)
    write_json(path, values)
    return values


def finish_text(start: TextStart, recipe: TextRecipe, before: Mapping[str, float]) -> StageResult:
    """Score the trained model on what is held out, and write recipe.out/checkpoint.

    Its latents read through the same adapter, so their calibration holds no longer and is left out.
    """
    values = said_values(start.chat, start.task, start.held, recipe.form, recipe.longest)
    values |= {f"{name} before": value for name, value in before.items()}
    return write_stage(start.model, recipe, dump_recipe(recipe), {}, values)
