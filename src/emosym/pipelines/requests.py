"""What to paint: a named emotion, a mix, a place in the valence/arousal plane, or a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from PIL import Image

from emosym.emotions import VAD_MAX, VAD_MIN, LabelSpace, weights_for_affect
from emosym.errors import UsageError
from emosym.models.painter.prompt import PLACE
from emosym.pipelines.inputs import Picture, open_picture

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAX_STEPS = 1000
RANGES = {  # of the numbers of a request, both ends within
    "valence": (VAD_MIN, VAD_MAX),
    "arousal": (VAD_MIN, VAD_MAX),
    "intensity": (0.0, 10.0),
    "spread": (0.0, 10.0),
    "guidance_scale": (1.0, 100.0),
    "num_inference_steps": (1, MAX_STEPS),
    "num_images": (1, math.inf),
}


class PaintArguments(TypedDict, total=False):
    """What may be asked of a painting, beside or instead of an emotion; all may be left out.

    Instead of an emotion: `valence`, 1 (unpleasant) to 9 (pleasant), with `arousal`, 1 (calm) to 9
    (stirred up); or `like`, a picture in whose mood to paint. `prompt`: what to paint; the emotion
    goes to the braces: "a {} street". `intensity`: 0 is the centre of all emotions, 1 as learned,
    more goes beyond. `num_images`: how many. `guidance_scale`: how strictly the request is
    followed, 1 is unguided. `num_inference_steps`: steps of the sampler. `seed`: picture i of a
    seed is the same for any number of pictures and any batch size. `spread`: how much draws of one
    emotion differ, 0 takes its mean (`like` has no draws).
    """

    valence: float | None
    arousal: float | None
    like: Picture | None
    prompt: str
    intensity: float
    num_images: int
    guidance_scale: float | None
    num_inference_steps: int | None
    seed: int
    spread: float


@dataclass(frozen=True, slots=True)
class PaintRequest:
    """One checked request: emotion `weights` (C,) or a picture to be `like`, and how to paint it.

    `asked` is the request as the user put it, ready for JSON. The other fields are those of
    `PaintArguments`, with what holds where nothing is said.
    """

    weights: tuple[float, ...] | None
    like: Image.Image | None
    asked: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = PLACE
    intensity: float = 1.0
    num_images: int = 1
    guidance_scale: float = 3.0
    num_inference_steps: int = 10
    seed: int = 0
    spread: float = 1.0

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
    **arguments: Unpack[PaintArguments],
) -> PaintRequest:
    """Check a request; `PaintArguments` says what its parts mean.

    Raises:
        UsageError: unless exactly one of emotion, valence with arousal, and like is given; for an
            unknown emotion (names the nearest), a picture that cannot be read, or a number out
            of its range.
        TypeError: for an argument of another name.
    """
    settings: dict[str, Any] = {k: v for k, v in arguments.items() if v is not None}
    valence, arousal = settings.pop("valence", None), settings.pop("arousal", None)
    like = settings.pop("like", None)
    given = [emotion is not None, valence is not None or arousal is not None, like is not None]
    if sum(given) != 1:
        raise UsageError(
            "Say what to paint by exactly one of: an emotion or a mix of emotions, valence with "
            f"arousal, or a picture it should be like; got {sum(given)} of them."
        )
    if (valence is None) != (arousal is None):
        raise UsageError("valence and arousal go together; only one of them was given.")
    checked = PaintRequest(None, None, **settings)
    for name in ("intensity", "spread", "guidance_scale", "num_inference_steps", "num_images"):
        _check_number(name, getattr(checked, name), *RANGES[name])
    if checked.prompt.count(PLACE) > 1:
        raise UsageError(f"A prompt may hold one {PLACE}, got {checked.prompt!r}.")
    asked: dict[str, Any]
    weights: tuple[float, ...] | None = None
    picture = None
    if emotion is not None:
        weights = space.weights(emotion)
        asked = {"emotion": emotion if isinstance(emotion, str) else dict(emotion)}
    elif like is not None:
        picture = open_picture(like)
        asked = {"like": str(like) if isinstance(like, str | Path) else "a picture in memory"}
    else:
        weights = weights_for_affect(space, float(valence or 0.0), float(arousal or 0.0))
        asked = {"valence": valence, "arousal": arousal}
    if weights is not None:
        asked["weights"] = {
            label: round(w, 4) for label, w in zip(space.labels, weights, strict=True) if w > 5e-5
        }
    return replace(
        checked,
        weights=weights,
        like=picture,
        asked=asked,
        intensity=float(checked.intensity),
        num_images=int(checked.num_images),
        guidance_scale=float(checked.guidance_scale),
        num_inference_steps=int(checked.num_inference_steps),
        seed=int(checked.seed),
        spread=float(checked.spread),
    )


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high or math.isnan(value) or value == math.inf:
        limit = f"{low:g} or more" if high == math.inf else f"between {low:g} and {high:g}"
        raise UsageError(f"{name} must be {limit}, got {value}.")
