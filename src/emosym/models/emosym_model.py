"""The whole model: a reader, a painter, and what joins them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from emosym.emotions import LabelSpace
from emosym.errors import EmoSymError, unknown_name
from emosym.metrics.scaling import FOLDS
from emosym.models.calibration import Calibration, uncalibrated
from emosym.models.chat import ChatModel
from emosym.models.gaussians import Domain, EmotionSpace
from emosym.models.once import Once
from emosym.models.painter.mappers import ConditionMappers
from emosym.models.presets import Base, resolve_base
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.latent_tokens import PROMPT
from emosym.models.reader.prefix import spare_prompt, text_config
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.tasks.reasoned import FORMS, PLAIN
from emosym.types import IMAGE_EMOTION

if TYPE_CHECKING:
    from emosym.models.painter.painter import Painter


class PainterSource:
    """A base's painter with its U-Net adapter, if any: loaded at the first call, then the same.

    Who only reads pays nothing for it.
    """

    def __init__(self, base: Base, adapter: Path | None, device: str) -> None:
        """Remember where the painter is; nothing is loaded yet."""
        self.base, self.adapter, self.device = base, adapter, device
        self._painter = Once(self._open)

    @property
    def opened(self) -> Painter | None:
        """The painter where it has been loaded, else None."""
        return self._painter.opened

    def __call__(self) -> Painter:
        """Return the painter."""
        return self._painter()

    def _open(self) -> Painter:
        # diffusers and peft are for who paints
        from emosym.models.adapters import load_adapter
        from emosym.models.painter.painter import load_painter

        folder = self.base.painter_folder()
        painter = load_painter(folder, self.base.torch_dtype(), self.device)
        if self.adapter is not None:
            load_adapter(painter.unet, ADAPTER, self.adapter)
            painter.unet.requires_grad_(False).eval()
        return painter


@dataclass(frozen=True, slots=True)
class EmoSymModel:
    """A reader, a painter and what joins them; parts that a stage has not made yet are None.

    The reader answers in one label space, and its reasoner may have heads of others. `calibrations`
    are by the name of their label space: a space without one is not calibrated, so how sure its
    readings are is unknown. `validation` tells on how many held-out pictures of each space the
    model was measured. `condition` is what the painter gets (see `training.conditions`). `causes`
    is the label space of the emotions whose causes the reasoner's pointer finds, where it has one.
    `pictures` is the label space that single pictures are answered in, where that is another one
    than that of conversations; see `of_pictures`.
    """

    base: Base
    reader: Reader
    open_painter: PainterSource | None
    mappers: ConditionMappers | None
    emotion_space: EmotionSpace | None
    domain: Domain | None
    calibrations: Mapping[str, Calibration]
    stages: tuple[str, ...]
    recipes: tuple[str, ...] = ()
    four_bit: bool = False
    condition: str = "emotion_context"
    validation: Mapping[str, int] = field(default_factory=dict)
    causes: LabelSpace | None = None
    pictures: LabelSpace | None = None

    @property
    def space(self) -> LabelSpace:
        """The label space that the model answers in."""
        return self.reader.space

    @property
    def spaces(self) -> tuple[LabelSpace, ...]:
        """The label spaces that it has heads for."""
        return self.reader.reasoner.spaces

    @property
    def is_calibrated(self) -> bool:
        """Whether the space that it answers in has a calibration."""
        return self.space.name in self.calibrations

    @property
    def calibration(self) -> Calibration:
        """The calibration of the space that it answers in; one that changes nothing without."""
        return self.calibrations.get(self.space.name, uncalibrated(self.space))

    @property
    def temperature(self) -> float:
        """The temperature that was fitted, whether or not the calibration uses it."""
        return self.calibration.temperature

    @property
    def painter(self) -> Painter:
        """The painter, loaded when first asked for.

        Raises:
            EmoSymError: when the model has none.
        """
        if self.open_painter is None:
            raise EmoSymError(f"The base {self.base.name} has no painter: this model only reads.")
        return self.open_painter()

    def require_mappers(self) -> ConditionMappers:
        """Return the mappers.

        Raises:
            EmoSymError: when the model has none, because its base has no painter.
        """
        if self.mappers is None:
            raise EmoSymError(f"The base {self.base.name} has no painter: this model only reads.")
        return self.mappers


def new_model(
    base: str | Base,
    num_context_tokens: int,
    recurrent: bool,
    template: str,
    seed: int,
    space: str | LabelSpace = "mikels8",
    device: str = "cpu",
    four_bit: bool = False,
    after: str = PROMPT,
    adapts_prompt: bool = True,
) -> EmoSymModel:
    """Open a base and put fresh latent tokens, heads and, where it paints, mappers on it."""
    base = resolve_base(base) if isinstance(base, str) else base
    chat = open_chat(base, device, four_bit)
    spare_prompt(chat.backbone, not adapts_prompt)
    open_painter = PainterSource(base, None, device) if base.painter else None
    painter = open_painter() if open_painter is not None else None
    # without a painter the frozen language model embeds the rationales
    width = text_config(chat.backbone).hidden_size if painter is None else text_width(painter)
    reasoner = EmotionReasoner(
        chat.backbone, num_context_tokens, recurrent, (space,), width, seed, after
    )
    reader = make_reader(chat, reasoner, template, reasoner.spaces[0], device)
    hidden = reasoner.latent_tokens.emotion_embed.shape[1]
    mappers = None
    if painter is not None:
        rms = embedding_rms(painter)
        mappers = ConditionMappers(hidden, painter.embed_dims, rms, seed).to(device)
    return EmoSymModel(base, reader, open_painter, mappers, None, None, {}, (), four_bit=four_bit)


def answering_in(model: EmoSymModel, space: str | LabelSpace) -> EmoSymModel:
    """Return the same model, which answers in another of its label spaces, pictures too.

    Raises:
        UsageError: when it has no head of that space; names the nearest one that it has.
    """
    name = space if isinstance(space, str) else space.name
    known = {found.name: found for found in model.spaces}
    if name not in known:
        raise unknown_name("label space of this model", name, known)
    return replace(model, reader=replace(model.reader, space=known[name]), pictures=None)


def finds_causes(model: EmoSymModel) -> bool:
    """Return whether its pointer finds the causes of the emotions that it answers in."""
    return model.causes is not None and model.causes.name == model.space.name


def of_pictures(model: EmoSymModel) -> EmoSymModel:
    """Return the model as it answers single pictures: most answer them as anything else."""
    return model if model.pictures is None else answering_in(model, model.pictures)


def with_calibration(model: EmoSymModel, calibration: Calibration) -> EmoSymModel:
    """Return the model with a calibration of the space that it answers in."""
    found = {**model.calibrations, model.space.name: calibration}
    return replace(model, calibrations=found)


def tasks_of(model: EmoSymModel) -> tuple[str, ...]:
    """Return the tasks that a model was taught, which its stages' recipes name, in order."""
    found: dict[str, None] = {}
    for text in model.recipes:
        try:
            recipe = yaml.safe_load(text)
        except yaml.YAMLError:  # it may have been edited by hand
            continue
        named = recipe.get("tasks") if isinstance(recipe, dict) else None
        found |= dict.fromkeys(map(str, named) if isinstance(named, list) else ())
    return tuple(found) or (IMAGE_EMOTION,)


def form_of(model: EmoSymModel) -> str:
    """Return the form that a model was last taught to answer in words: see `tasks.reasoned`."""
    form = PLAIN
    for text in model.recipes:
        try:
            recipe = yaml.safe_load(text)
        except yaml.YAMLError:  # it may have been edited by hand
            continue
        if isinstance(recipe, dict) and (recipe.get("spoken") or "form" in recipe):
            form = str(recipe.get("form", recipe.get("spoken_form", form)))
    return form if form in FORMS else PLAIN


def unknowns(model: EmoSymModel) -> list[str]:
    """Return, in sentences, what nobody knows of a model for want of held-out pictures."""
    space, count = model.space, model.validation.get(model.space.name)
    seen = "" if count is None else f" ({count} held out)"
    told = []
    if not model.is_calibrated:
        told.append(
            f"How sure its readings in {space.name} are is unknown: calibration and abstention "
            f"need {FOLDS * len(space)} validation pictures, five of each label{seen}."
        )
    domain = model.domain
    if domain is not None and not domain.tells_outside:
        told.append(
            "Whether a picture is outside of what it knows is unknown: a threshold of "
            f"{domain.threshold:g} needs {math.ceil(1 / domain.threshold)} validation pictures "
            f"({len(domain.distances)} held out)."
        )
    return told


def make_reader(
    chat: ChatModel,
    reasoner: EmotionReasoner,
    template: str,
    space: LabelSpace,
    device: str,
    history: bool = True,
) -> Reader:
    """Put a reasoner's own parts on a device, and join it with what feeds its backbone."""
    for name, module in reasoner.named_children():
        if name != "backbone":  # it is where it belongs, and 4-bit weights do not move
            module.to(device)
    return Reader(
        reasoner.eval(),
        chat.tokenizer,
        chat.image_processor,
        chat.image_size,
        template,
        space,
        chat.processor,
        history,
    )


def text_width(painter: Painter) -> int:
    """Return the width D of the first text encoder's pooled output."""
    return int(painter.text_encoders[0].config.hidden_size)  # type: ignore[union-attr, arg-type]


def embedding_rms(painter: Painter) -> list[float]:
    """Return the root mean square of each text encoder's input embeddings."""
    return [
        float(e.get_input_embeddings().weight.float().square().mean().sqrt())  # type: ignore[operator]
        for e in painter.text_encoders
    ]
