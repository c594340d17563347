"""What to paint: a named emotion, a mix, a place in the valence/arousal plane, or a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from emosym.data.images import ImageSource, load_image
from emosym.emotions import LabelSpace, weights_for_affect
from emosym.errors import UsageError
from emosym.models.painter.text_encoder import PLACE

MAX_STEPS = 1000


@dataclass(frozen=True, slots=True)
class PaintRequest:
    """One checked request: emotion `weights` (C,) or a picture to be `like`, and how to paint it.

    `asked` is the request as the user put it, ready for JSON.
    """

    weights: tuple[float, ...] | None
    like: Image.Image | None
    prompt: str
    intensity: float
    num_images: int
    guidance_scale: float
    num_inference_steps: int
    seed: int
    spread: float
    asked: Mapping[str, Any] = field(default_factory=dict)

    def described(self, index: int) -> dict[str, Any]:
        """Return all that decides picture `index`, ready for JSON."""
        return {
            **self.asked,
            "prompt": self.prompt,
            "intensity": self.intensity,
            "guidance_scale": self.guidance_scale,
            "num_inference_steps": self.num_inference_steps,
            "spread": self.spread,
            "index": index,
        }


def paint_request(
    space: LabelSpace,
    emotion: str | Mapping[str, float] | None = None,
    *,
    valence: float | None = None,
    arousal: float | None = None,
    like: ImageSource | None = None,
    prompt: str = PLACE,
    intensity: float = 1.0,
    num_images: int = 1,
    guidance_scale: float = 3.0,
    num_inference_steps: int = 10,
    seed: int = 0,
    spread: float = 1.0,
) -> PaintRequest:
    """Check a request; see `EmoSymPipeline.generate` for what its parts mean.

    Raises:
        UsageError: unless exactly one of emotion, valence with arousal, and like is given; for an
            unknown emotion (names the nearest), a picture that cannot be read, or a number out
            of its range.
    """
    given = [emotion is not None, valence is not None or arousal is not None, like is not None]
    if sum(given) != 1:
        raise UsageError(
            "Say what to paint by exactly one of: an emotion or a mix of emotions, valence with "
            f"arousal, or a picture it should be like; got {sum(given)} of them."
        )
    if (valence is None) != (arousal is None):
        raise UsageError("valence and arousal go together; only one of them was given.")
    _check_number("intensity", intensity, 0.0, 10.0)
    _check_number("spread", spread, 0.0, 10.0)
    _check_number("guidance_scale", guidance_scale, 1.0, 100.0)
    _check_number("num_inference_steps", num_inference_steps, 1, MAX_STEPS)
    _check_number("num_images", num_images, 1, math.inf)
    if prompt.count(PLACE) > 1:
        raise UsageError(f"A prompt may hold one {PLACE}, got {prompt!r}.")
    asked: dict[str, Any]
    weights: tuple[float, ...] | None = None
    picture = None
    if emotion is not None:
        weights = space.weights(emotion)
        asked = {"emotion": emotion if isinstance(emotion, str) else dict(emotion)}
    elif like is not None:
        picture = load_image(like)
        asked = {"like": str(like) if isinstance(like, str | Path) else "a picture in memory"}
    else:
        weights = weights_for_affect(space, float(valence or 0.0), float(arousal or 0.0))
        asked = {"valence": valence, "arousal": arousal}
    if weights is not None:
        asked["weights"] = {
            label: round(w, 4) for label, w in zip(space.labels, weights, strict=True) if w > 5e-5
        }
    return PaintRequest(
        weights=weights,
        like=picture,
        prompt=prompt,
        intensity=float(intensity),
        num_images=int(num_images),
        guidance_scale=float(guidance_scale),
        num_inference_steps=int(num_inference_steps),
        seed=int(seed),
        spread=float(spread),
        asked=asked,
    )


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high or math.isnan(value) or value == math.inf:
        limit = f"{low:g} or more" if high == math.inf else f"between {low:g} and {high:g}"
        raise UsageError(f"{name} must be {limit}, got {value}.")
