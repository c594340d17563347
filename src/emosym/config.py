"""Recipes: YAML plus key=value, checked and typed. The resolved recipe is saved with every run.

Config objects stop at constructors: what lies below takes plain arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emosym.errors import UsageError, nearest, unknown_name

RECIPES = Path(__file__).parent / "recipes"
STUDIES = ("ablation",)  # they lie beside the recipes, and `emosym ablate` reads them


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(Section):
    """Where the labelled pictures are.

    `part` keeps a stretch of the training split, so that two stages can see different pictures;
    `label_fraction` keeps a share of that. Both are seeded and stratified. `knowledge` is a file of
    `emosym data annotate`, whose rationales `align` takes where they fit the picture as it is. The
    columns, `config` and `download` (may fetch what is not here) are for the source `hub`.
    """

    source: Literal["storybook", "emoset", "folder", "fi", "oasis", "ldl", "hub"] = "storybook"
    root: Path = Path("runs/data")
    train_split: str = "train"
    val_split: str = "val"
    part: tuple[float, float] = (0.0, 1.0)
    label_fraction: float = Field(1.0, gt=0, le=1)
    image_column: str | None = None
    label_column: str | None = None
    config: str | None = None
    download: bool = False
    knowledge: Path | None = None
    workers: int = Field(2, ge=1)


class OptimSection(Section):
    """How long and how fast.

    `muon_lr` switches Muon on for matrices (toy sizes); `bf16` unset means: measured on a CPU, on
    elsewhere. `gradient_checkpointing` computes each decoder layer again in the backward pass,
    which takes a third more time and little memory.
    """

    steps: int = Field(300, ge=0)
    batch_size: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)
    muon_lr: float | None = None
    weight_decay: float = Field(0.1, ge=0)
    warmup: float = Field(0.03, gt=0, lt=1)
    max_grad_norm: float = 1.0
    accumulate: int = Field(1, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    log_every: int = Field(10, ge=1)
    bf16: bool | None = None
    gradient_checkpointing: bool = False


class LoraSection(Section):
    """Low-rank adapter of the language model; r = 0 trains the new tokens and heads only.

    `four_bit` keeps the frozen weights below it in 4 bits (QLoRA; needs the extra `4bit`).
    """

    r: int = Field(8, ge=0)
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    four_bit: bool = False


class LatentSection(Section):
    """The [CTX] x K and [EMO] tokens; K = 0 leaves [EMO] alone."""

    num_context_tokens: int = Field(4, ge=0)
    recurrent: bool = True
    template: Literal["emosym", "picture"] = "emosym"


class Recipe(Section):
    """What every stage has: its name, its seed, its output folder and its data."""

    stage: str
    seed: int = 0
    out: Path
    init: str = "storybook-base"
    data: DataSection = DataSection()
    optim: OptimSection = OptimSection()


class ReaderSection(Section):
    """Pretraining of the toy reader: describe pictures, answer questions."""

    hidden_size: int = 192
    layers: int = 4
    optim: OptimSection = OptimSection()


class PainterSection(Section):
    """Pretraining of the toy painter: autoencoder, then text encoder and U-Net together."""

    autoencoder_steps: int = Field(2000, ge=0)
    autoencoder_batch_size: int = Field(16, ge=1)
    unet_steps: int = Field(8000, ge=0)
    batch_size: int = Field(32, ge=1)


class JudgeSection(Section):
    """Training of the two emotion judges and the attribute judge, on real pictures only."""

    count: int = Field(20000, ge=1)
    steps: int = Field(1500, ge=0)
    batch_size: int = Field(64, ge=1)


class BaseRecipe(Section):
    """Pretrain storybook-base, without any emotion word, and the judges (which see labels)."""

    stage: Literal["base"]
    seed: int = 0
    out: Path
    count: int = Field(60000, ge=64)
    workers: int = Field(2, ge=1)
    parts: tuple[Literal["reader", "painter", "judges"], ...] = ("reader", "painter", "judges")
    reader: ReaderSection = ReaderSection()
    painter: PainterSection = PainterSection()
    judges: JudgeSection = JudgeSection()


class AlignRecipe(Recipe):
    """Stage 1: compress emotional reasoning into the tokens (DESIGN section 1).

    `reader` and `painter`, folders or hub ids, take the place of those of the preset `init`;
    `max_pixels` bounds what a picture may cost. With `w_cls: 0` it learns from rationales alone and
    uses no label; `rl` with `objective: supervised` can then learn from few.
    """

    stage: Literal["align"]
    reader: str | None = None
    painter: str | None = None
    max_pixels: int | None = Field(None, ge=28 * 28)
    latents: LatentSection = LatentSection()
    lora: LoraSection = LoraSection()
    rationale: Literal["label_blind", "label_aware", "shuffled", "shuffled_within", "none"] = (
        "label_blind"
    )
    w_cls: float = Field(0.5, ge=0)
    w_align: float = Field(0.5, ge=0)
    w_say: float = Field(0.25, ge=0)
    gist_probability: float = Field(0.5, ge=0, le=1)
    symmetric: bool = True


class RlRecipe(Recipe):
    """Stage 2: verifiable rewards against the frozen stage-1 policy.

    Controls: `supervised` takes as many steps on the labels themselves, and `shuffled_labels`
    rewards every picture by the label of another one.
    """

    stage: Literal["rl"]
    objective: Literal["expected", "grpo", "parity", "supervised"] = "expected"
    reward: str = "accuracy"
    shuffled_labels: bool = False
    proper_weight: float = Field(1.0, ge=0)
    beta: float = Field(0.1, ge=0)
    sigma: float = Field(0.1, gt=0)
    num_generations: int = Field(8, ge=2)
    clip: float = Field(0.2, gt=0)
    inner_steps: int = Field(2, ge=1)


class JointRecipe(Recipe):
    """Stage 3: condition embeddings through the painter's text encoder, then the emotion space.

    `worded` is the share of prompts that hold words of the picture beside the emotion; `condition`
    is what the painter gets: e and c (ours), e alone, a learned row for each emotion, its word.
    """

    stage: Literal["joint"]
    prompt: str = "{}"
    condition: Literal["emotion_context", "emotion", "inversion", "class_word"] = "emotion_context"
    worded: float = Field(0.0, ge=0, le=1)
    w_cls: float = Field(0.1, ge=0)
    w_attr: float = Field(0.1, ge=0)
    condition_dropout: float = Field(0.1, ge=0, lt=1)
    unet_lora_r: int = Field(0, ge=0)
    reader_lr_scale: float = Field(0.2, gt=0)
    cache_prefixes: bool = True


class FeedbackRecipe(Recipe):
    """Stage 4: paint, score, select, remember, train on, keep the best on held-out real data.

    `keep: last` keeps the last round whatever it does, for measuring what training on does. With
    `ratio: 0` nothing is painted.
    """

    stage: Literal["feedback"]
    scope: Literal["head", "lora"] = "head"
    rounds: int = Field(2, ge=1)
    paint_per_emotion: int = Field(16, ge=1)
    num_inference_steps: int = Field(10, ge=1)
    guidance_scale: float = Field(3.0, ge=1)
    admission: str = "agree_informative"
    eviction: str = "oldest"
    quota: int = Field(64, ge=1)
    capacity: int = Field(4096, ge=1)
    duplicate_similarity: float = Field(0.995, gt=0, le=1)
    ratio: float = Field(0.25, ge=0)
    keep: Literal["best", "last"] = "best"
    cache_prefixes: bool = True


StageRecipe = BaseRecipe | AlignRecipe | RlRecipe | JointRecipe | FeedbackRecipe
STAGES: dict[str, type[Section]] = {
    "base": BaseRecipe,
    "align": AlignRecipe,
    "rl": RlRecipe,
    "joint": JointRecipe,
    "feedback": FeedbackRecipe,
}


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(p.stem for p in RECIPES.glob("*.yaml") if p.stem not in STUDIES)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> StageRecipe:
    """Load a recipe by packaged name or YAML path, with `key=value` or `section.key=value` on top.

    Raises:
        UsageError: for an unknown recipe, an unknown key (the nearest one is named) or a bad value.
    """
    path, names = Path(name_or_path), recipe_names()
    if not path.is_file() and name_or_path.removesuffix(".yaml") in names:
        path = RECIPES / f"{name_or_path.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        raise unknown_name("recipe", name_or_path, names, "Or give the path of a YAML.")
    try:
        raw = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"Recipe {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"Recipe {path} must be a mapping of keys to values.")
    for override in overrides:
        _apply(raw, override)
    return resolve_recipe(raw, str(path))


def resolve_recipe(raw: dict[str, Any], origin: str) -> StageRecipe:
    """Check a mapping and return its typed recipe; errors as in `load_recipe`."""
    stage = str(raw.get("stage", ""))
    if stage not in STAGES:
        raise unknown_name("stage", stage, STAGES, f"(in {origin})")
    model = STAGES[stage]
    try:
        return model.model_validate(raw)  # type: ignore[return-value]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            valid = _keys_at(model, first["loc"][:-1])
            raise unknown_name(f"recipe key in {origin}", str(first["loc"][-1]), valid) from None
        if first["type"] == "literal_error" and isinstance(first.get("input"), str):
            valid = re.findall(r"'([^']*)'", first["ctx"]["expected"])
            close = nearest(first["input"], valid)
            hint = f" Did you mean {close!r}?" if close else ""
            raise UsageError(
                f"Recipe {origin}: {where} = {first['input']!r} is not one of "
                f"{', '.join(map(repr, valid))}.{hint}"
            ) from None
        raise UsageError(
            f"Recipe {origin}: {where} = {first.get('input')!r}: {first['msg']}."
        ) from None


def dump_recipe(recipe: Section) -> str:
    """Return the resolved recipe as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(raw: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in a raw recipe; the value is read as YAML."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise UsageError(f"Override {override!r} must look like key=value.")
    *sections, last = key.split(".")
    target = raw
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"Override {override!r}: {section!r} is not a section.")
        target = inner
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"Override {override!r}: {error}") from error
    if isinstance(target[last], str):
        with suppress(ValueError):  # YAML 1.1 reads 1e-3 as text
            target[last] = float(target[last])


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the section at `location`."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation if isinstance(part, str) else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return list(model.model_fields)
