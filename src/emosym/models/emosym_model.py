"""The whole model: a reader, a painter, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emosym.models.adapters import load_adapter
from emosym.models.calibration import Calibration
from emosym.models.chat import ChatModel
from emosym.models.gaussians import Domain, EmotionSpace
from emosym.models.once import Once
from emosym.models.painter.mappers import ConditionMappers
from emosym.models.presets import Base, resolve_base
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.models.snapshots import locate

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
        from emosym.models.painter.painter import load_painter

        folder = locate(self.base.painter, f"painter of {self.base.name}")
        painter = load_painter(folder, self.base.torch_dtype(), self.device)
        if self.adapter is not None:
            load_adapter(painter.unet, ADAPTER, self.adapter)
            painter.unet.requires_grad_(False).eval()
        return painter


@dataclass(frozen=True, slots=True)
class EmoSymModel:
    """A reader, a painter and what joins them; parts that a stage has not made yet are None.

    `condition` is what the painter gets (see `training.conditions`).
    """

    base: Base
    reader: Reader
    open_painter: PainterSource
    mappers: ConditionMappers
    emotion_space: EmotionSpace | None
    domain: Domain | None
    calibration: Calibration
    stages: tuple[str, ...]
    recipes: tuple[str, ...] = ()
    four_bit: bool = False
    condition: str = "emotion_context"

    @property
    def temperature(self) -> float:
        """The temperature that was fitted, whether or not the calibration uses it."""
        return self.calibration.temperature

    @property
    def painter(self) -> Painter:
        """The painter, loaded when first asked for."""
        return self.open_painter()


def new_model(
    base: str | Base,
    num_context_tokens: int,
    recurrent: bool,
    template: str,
    seed: int,
    space: str = "mikels8",
    device: str = "cpu",
    four_bit: bool = False,
) -> EmoSymModel:
    """Open a base and put fresh latent tokens, heads and mappers on it."""
    base = resolve_base(base) if isinstance(base, str) else base
    open_painter = PainterSource(base, None, device)
    chat = open_chat(base, device, four_bit)
    painter = open_painter()
    reasoner = EmotionReasoner(
        chat.backbone, num_context_tokens, recurrent, (space,), text_width(painter), seed
    )
    reader = make_reader(chat, reasoner, template, space, device)
    hidden = reasoner.latent_tokens.emotion_embed.shape[1]
    mappers = ConditionMappers(hidden, painter.embed_dims, embedding_rms(painter), seed).to(device)
    fresh = (None, None, Calibration(), ())
    return EmoSymModel(base, reader, open_painter, mappers, *fresh, four_bit=four_bit)


def make_reader(
    chat: ChatModel, reasoner: EmotionReasoner, template: str, space: str, device: str
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
