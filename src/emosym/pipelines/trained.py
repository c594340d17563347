"""`EmoSymPipeline`: read the emotion a picture evokes, and paint pictures that evoke one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import overload

from PIL import Image

from emosym.data.images import Given, ImageSource, decode_batches, load_image
from emosym.device import best_device
from emosym.emotions import LabelSpace, label_space
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.models.checkpoint import DESCRIPTION, is_checkpoint, load_checkpoint, save_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.odd_shapes import check_shape
from emosym.models.painter.text_encoder import PLACE
from emosym.models.presets import WEIGHTS, Base
from emosym.models.snapshots import HUB_ID, cached_snapshot
from emosym.pipelines.requests import PaintRequest, paint_request
from emosym.pipelines.trained_painting import paint_stream, require_space
from emosym.pipelines.trained_reading import read_pictures
from emosym.types import BadInput, GenerationOutput, StoredImage, UnderstandingOutput

SHIPPED = ("storybook",)
CARD = "README.md"


class EmoSymPipeline:
    """Inference with one model. The painter is loaded when something is first painted."""

    def __init__(self, model: EmoSymModel, card: str | None = None) -> None:
        """Hold a model in evaluation mode; `card` is its model card."""
        self.model = model
        self.card = card
        model.reader.reasoner.eval()

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path = "storybook", device: str | None = None
    ) -> EmoSymPipeline:
        """Open a shipped model by name, or a checkpoint folder; nothing is downloaded.

        A hub id (`owner/name`) is looked up among what `hf download` has put on this machine.

        Raises:
            UsageError: for an unknown name, a folder that is no checkpoint, or another format.
            EmoSymError: when weights are missing or a checksum is wrong.
        """
        folder = find_checkpoint(name_or_folder)
        model = load_checkpoint(folder, str(best_device(device or "auto")))
        card = folder / CARD
        return cls(model, card.read_text(encoding="utf-8") if card.is_file() else None)

    @property
    def space(self) -> LabelSpace:
        """The label space of the readings."""
        return label_space(self.model.reader.space)

    @property
    def abstain_below(self) -> float | None:
        """The confidence below which a reading abstains; None where the checkpoint has none."""
        return self.model.calibration.abstain_below

    @property
    def can_paint(self) -> bool:
        """Whether the model went through the joint stage."""
        return self.model.emotion_space is not None

    @property
    def base(self) -> Base:
        """What the model stands on."""
        return self.model.base

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.reader.reasoner.device)

    def require_painter(self) -> None:
        """Raise EmoSymError when the model has not been through the joint stage."""
        require_space(self.model)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a checkpoint folder; an older checkpoint in its place is replaced.

        Raises:
            UsageError: when the folder holds anything else.
        """
        save_checkpoint(self.model, checkpoint_place(folder), self.card)

    def push_to_hub(self, repo_id: str, private: bool = True) -> str:
        """Upload the checkpoint to the Hugging Face hub and return its address.

        Raises:
            EmoSymError: when the hub refuses or cannot be reached.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        api = HfApi()
        with tempfile.TemporaryDirectory() as temporary:
            self.save_pretrained(Path(temporary) / "checkpoint")
            try:
                api.create_repo(repo_id, private=private, exist_ok=True)
                return str(
                    api.upload_folder(repo_id=repo_id, folder_path=Path(temporary) / "checkpoint")
                )
            except (HfHubHTTPError, OfflineModeIsEnabled, ConnectionError, ValueError) as error:
                reason = str(error).strip().split("\n", 1)[0]
                raise EmoSymError(f"Could not upload to {repo_id!r}: {reason}") from error

    @overload
    def understand(  # type: ignore[overload-overlap]  # a str is one picture, though a sequence
        self, images: ImageSource, explain: bool = ..., batch_size: int = ...
    ) -> UnderstandingOutput: ...
    @overload
    def understand(
        self, images: Sequence[ImageSource], explain: bool = ..., batch_size: int = ...
    ) -> list[UnderstandingOutput]: ...
    def understand(
        self,
        images: ImageSource | Sequence[ImageSource],
        explain: bool = False,
        batch_size: int = 32,
    ) -> UnderstandingOutput | list[UnderstandingOutput]:
        """Read one picture or a list of them; a picture is a path, encoded bytes or a PIL image.

        A reading does not depend on what else is in its batch, beyond floating-point rounding.
        With `explain` it comes with a spoken rationale.

        Raises:
            UsageError: when a picture cannot be read; `understand_many` goes on instead.
        """
        _check_batch_size(batch_size)
        if isinstance(images, str | bytes | Path | StoredImage | Image.Image):
            return read_pictures(self.model, [load_image(images)], explain)[0]
        readings: list[UnderstandingOutput] = []
        for start in range(0, len(images), batch_size):
            pictures = [load_image(image) for image in images[start : start + batch_size]]
            readings += read_pictures(self.model, pictures, explain, batch_size)
        return readings

    def understand_many(
        self,
        paths: Iterable[Given],
        batch_size: int = 32,
        workers: int = 2,
        explain: bool = False,
    ) -> Iterator[tuple[str, UnderstandingOutput | BadInput]]:
        """Yield (path, reading) for any number of files, in order; a bad file is a `BadInput`.

        Memory does not grow with the number of files: the next batch is decoded by `workers`
        threads while this one is read.
        """
        size = self.model.reader.image_size
        accept = partial(check_shape, self.model.reader.chat)
        for batch in decode_batches(paths, batch_size, size, workers, accept):
            pictures = [found for _, found in batch if isinstance(found, Image.Image)]
            readings = iter(read_pictures(self.model, pictures, explain, batch_size))
            for source, found in batch:
                yield source, found if isinstance(found, BadInput) else next(readings)

    def generate(
        self,
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
        batch_size: int = 16,
        spread: float = 1.0,
    ) -> list[GenerationOutput]:
        """Paint pictures that evoke what is asked for; each comes with the model's own reading.

        Args:
            emotion: A label, or a mix such as {"awe": .7, "fear": .3}.
            valence: 1 (unpleasant) to 9 (pleasant), with `arousal` instead of an emotion.
            arousal: 1 (calm) to 9 (stirred up).
            like: A picture in whose mood to paint, instead of an emotion.
            prompt: What to paint; the emotion goes to the braces: "a {} street".
            intensity: 0 is the centre of all emotions, 1 as learned, more goes beyond.
            num_images: How many.
            guidance_scale: How strictly the request is followed; 1 is unguided.
            num_inference_steps: Steps of the sampler.
            seed: Picture i of a seed is the same for any number of pictures and any batch size.
            batch_size: Pictures painted at once.
            spread: How much draws of one emotion differ; 0 takes its mean (`like` has no draws).

        Raises:
            UsageError: unless exactly one of emotion, valence with arousal, and like is given;
                for an unknown emotion, or a value out of its range.
            EmoSymError: when the model has not been through the joint stage.
        """
        request = paint_request(
            self.space,
            emotion,
            valence=valence,
            arousal=arousal,
            like=like,
            prompt=prompt,
            intensity=intensity,
            num_images=num_images,
            guidance_scale=guidance_scale,
            num_inference_steps=num_inference_steps,
            seed=seed,
            spread=spread,
        )
        return list(self.paint(request, batch_size))

    def paint(
        self, request: PaintRequest, batch_size: int = 16, only: range | None = None
    ) -> Iterator[GenerationOutput]:
        """Paint a checked request (`paint_request`), or a stretch of it, one picture at a time.

        Raises:
            EmoSymError: at the call, when the model has not been through the joint stage.
        """
        _check_batch_size(batch_size)
        require_space(self.model)
        return paint_stream(self.model, request, batch_size, only)


def checkpoint_place(folder: str | Path) -> Path:
    """Return the absolute path of a folder that a checkpoint may be written to.

    Raises:
        UsageError: when it exists and holds anything but a checkpoint.
    """
    target = Path(folder)
    if target.exists() and not is_checkpoint(target):
        if not target.is_dir() or any(target.iterdir()):
            raise UsageError(f"{target} exists and is not a checkpoint; choose a new folder.")
        target.rmdir()
    return target.resolve()


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """Return the checkpoint folder that a shipped name, folder or downloaded hub id stands for.

    Raises:
        UsageError: for an unknown name, or a folder that is not a checkpoint.
        EmoSymError: when a shipped model is not in this installation.
    """
    name = str(name_or_folder)
    if name in SHIPPED and not is_checkpoint(Path(name)):
        if not is_checkpoint(WEIGHTS / name):
            raise EmoSymError(
                f"The weights of {name!r} are not in this installation. Run `make demo`, which "
                "trains it in minutes, and give the checkpoint folder; or install emosym again."
            )
        return WEIGHTS / name
    folder = Path(name_or_folder)
    if folder.is_dir():
        if not is_checkpoint(folder):
            raise UsageError(f"{folder} is not an emosym checkpoint: it has no {DESCRIPTION}.")
        return folder
    if isinstance(name_or_folder, str) and HUB_ID.fullmatch(name):
        downloaded = cached_snapshot(name)
        if downloaded is not None and is_checkpoint(downloaded):
            return downloaded
        raise UsageError(
            f"There is no folder {name!r}, and no such repository has been downloaded; "
            f"nothing is fetched unasked: run `hf download {name}` first."
        )
    if folder.exists() or len(folder.parts) > 1:
        raise UsageError(f"There is no checkpoint folder {name!r}.")
    raise unknown_name("model", name, SHIPPED, "Or give the folder of a checkpoint.")


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, got {batch_size}.")
