"""Where a stage starts: a base, or a checkpoint by its folder, shipped name or hub id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emosym.config.recipes import AlignRecipe, M2seRecipe
from emosym.config.schema import DataSection, Recipe
from emosym.data.sources.own_labels import space_of_data
from emosym.emotions import MIKELS8, LabelSpace, label_space
from emosym.errors import UsageError
from emosym.models.adapters import add_adapter, has_adapter, language_lora
from emosym.models.checkpoint import is_checkpoint, load_checkpoint
from emosym.models.emosym_model import EmoSymModel, answering_in, new_model, of_pictures, tasks_of
from emosym.models.presets import BASE_FILE, PRESETS, resolve_base
from emosym.models.reader.prefix import spares_prompt
from emosym.models.reader.reader import ADAPTER, OF_PICTURES, TURNS
from emosym.models.snapshots import cached_snapshot, is_hub_id
from emosym.pipelines.trained import find_checkpoint, shipped_models
from emosym.training.stages.finish import training_device
from emosym.types import IMAGE_EMOTION


def open_checkpoint(recipe: Recipe) -> EmoSymModel:
    """Open the checkpoint `init`, to answer in the label space of the recipe's data.

    Raises:
        UsageError: when there is no such checkpoint, or it has no head of that space, or a picture
            could have several of its labels.
    """
    model = load_checkpoint(find_checkpoint(recipe.init), training_device())
    space = exclusive(space_of_recipe(recipe))
    return of_pictures(model) if space is None else answering_in(model, space)


def open_start(recipe: AlignRecipe | M2seRecipe) -> EmoSymModel:
    """Open what stage 1 and `m2se` start from: a base with fresh tokens, or a checkpoint.

    A checkpoint, which learns more, keeps its adapter, tokens and mappers. Where the recipe names
    labels, its head of that space is a fresh one. Its emotion space is left behind, since the
    latents will move.

    Raises:
        UsageError: for latents that are not those of the checkpoint.
    """
    space = space_of_recipe(recipe)
    if isinstance(recipe, AlignRecipe):
        exclusive(space)
    if not _names_checkpoint(recipe.init):
        return _on_base(recipe, space or MIKELS8)
    for name in ("reader", "painter", "max_pixels"):
        if getattr(recipe, name) is not None:
            raise UsageError(f"{name} is of a base; {recipe.init} is a checkpoint: leave it out.")
    model = load_checkpoint(find_checkpoint(recipe.init), training_device())
    tokens = model.reader.tokens
    if recipe.latents.template == TURNS and model.reader.template == OF_PICTURES:
        # pictures are asked about in the same words: it learns conversations beside them
        model = replace(model, reader=replace(model.reader, template=TURNS))
        tokens = model.reader.tokens
    own = {
        "num_context_tokens": tokens.num_context_tokens,
        "recurrent": tokens.recurrent,
        "after": tokens.after,
        "template": model.reader.template,
    }
    if not tokens.num_context_tokens:  # of none there is nothing to feed back, nor a place
        own |= {name: getattr(recipe.latents, name) for name in ("recurrent", "after")}
    for name in recipe.latents.model_fields_set:
        if getattr(recipe.latents, name) != own[name]:
            raise UsageError(
                f"The checkpoint {recipe.init} has latents.{name}={own[name]}, which cannot change "
                "any more; leave it out of the recipe."
            )
    spared = spares_prompt(model.reader.reasoner.backbone)
    if "prompt" in recipe.lora.model_fields_set and recipe.lora.prompt == spared:
        raise UsageError(
            f"The checkpoint {recipe.init} has lora.prompt={not spared}, which cannot change any "
            "more; leave it out of the recipe."
        )
    pictures = model.pictures
    if IMAGE_EMOTION in tasks_of(model):
        pictures = pictures or model.space
    if space is not None:
        if space.name not in {known.name for known in model.spaces} or recipe.fresh_head:
            model.reader.reasoner.add_head(space, recipe.seed)
        model = answering_in(model, space)
    if model.reader.template != TURNS or (pictures and pictures.name == model.space.name):
        pictures = None
    return replace(model, emotion_space=None, pictures=pictures)


def use_lora(model: EmoSymModel, recipe: AlignRecipe | M2seRecipe) -> None:
    """Put a fresh adapter on the language model, or leave it bare for r = 0."""
    backbone, lora = model.reader.reasoner.backbone, recipe.lora
    if lora.r and not has_adapter(backbone, ADAPTER):
        config = language_lora(backbone, lora.r, lora.alpha, lora.dropout, lora.last)
        add_adapter(backbone, config, ADAPTER, recipe.seed)


def add_heads(model: EmoSymModel, recipe: AlignRecipe | M2seRecipe) -> list[LabelSpace]:
    """Give a model the heads of the data sets in `also`; returns their label spaces, in order.

    Raises:
        UsageError: when two data sets have the same label space.
    """
    spaces = spaces_of_also(recipe, model.space)
    for space in spaces:
        if space.name not in {known.name for known in model.spaces} or recipe.fresh_head:
            model.reader.reasoner.add_head(space, recipe.seed)
    return spaces


def spaces_of_also(recipe: AlignRecipe | M2seRecipe, main: LabelSpace) -> list[LabelSpace]:
    """Return the label spaces of the data sets in `also`, beside the main one; errors as above."""
    taken, spaces = {main.name}, []
    for data in recipe.also:
        space = space_of_section(data) or MIKELS8
        if isinstance(recipe, AlignRecipe):
            exclusive(space)
        if space.name in taken:
            raise UsageError(
                f"Two data sets of one run have the label space {space.name!r}: each needs one of "
                "its own. Put their pictures into one folder, or give one of them other labels."
            )
        taken.add(space.name)
        spaces.append(space)
    return spaces


def space_of_recipe(recipe: Recipe) -> LabelSpace | None:
    """Return the label space of a recipe's data; None where the model's own is meant."""
    return space_of_section(recipe.data)


def space_of_section(data: DataSection) -> LabelSpace | None:
    """Return the label space of a data set; None where it has none of its own.

    Raises:
        UsageError: for an unknown name of a space, or labels that cannot be.
    """
    if data.space is not None:
        if data.labels is not None:
            raise UsageError("data.space names a published label space: leave out data.labels.")
        return label_space(data.space)
    return space_of_data(data.source, data.root, data.labels, data.polarity, data.norms)


def exclusive(space: LabelSpace | None) -> LabelSpace | None:
    """Return a label space; a UsageError where several of its labels can be true at once."""
    if space is not None and space.several:
        raise UsageError(
            f"Several labels of {space.name} can be true at once: only the stage m2se trains them."
        )
    return space


def _names_checkpoint(init: str) -> bool:
    if init in PRESETS or (Path(init) / BASE_FILE).is_file():
        return False
    if init in shipped_models() or is_checkpoint(Path(init)):
        return True
    found = cached_snapshot(init) if is_hub_id(init) else None
    return found is not None and is_checkpoint(found)


def _on_base(recipe: AlignRecipe | M2seRecipe, space: LabelSpace) -> EmoSymModel:
    latents = recipe.latents
    base = resolve_base(recipe.init, recipe.reader, recipe.painter)
    if recipe.max_pixels is not None:
        base = replace(base, max_pixels=recipe.max_pixels)
    return new_model(
        base,
        latents.num_context_tokens,
        latents.recurrent,
        latents.template,
        seed=recipe.seed,
        space=space,
        device=training_device(),
        four_bit=recipe.lora.four_bit,
        after=latents.after,
        adapts_prompt=recipe.lora.prompt,
    )
