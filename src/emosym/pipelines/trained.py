"""`EmoSymPipeline`: read the emotion a picture evokes, and paint pictures that evoke one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from emosym.data.action_units import UNIT_SPACE
from emosym.data.sources.own_labels import SOURCE_SPACES, space_of_data
from emosym.device import best_device
from emosym.emotions import SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.models.checkpoint import DESCRIPTION, is_checkpoint, load_checkpoint, save_checkpoint
from emosym.models.description import read_description
from emosym.models.emosym_model import (
    EmoSymModel,
    answering_in,
    of_pictures,
    tasks_of,
    unknowns,
)
from emosym.models.odd_shapes import check_shape
from emosym.models.presets import WEIGHTS, Base
from emosym.models.render import require_sight
from emosym.models.snapshots import cached_snapshot, is_hub_id
from emosym.pipelines.dialogue_reasons import explained
from emosym.pipelines.protocol import About, EmotionPipeline, Takes, Usual, check_batch_size
from emosym.pipelines.requests import PaintRequest
from emosym.pipelines.trained_dialogue import read_dialogues
from emosym.pipelines.trained_painting import (
    cannot_paint,
    own_words,
    paint_stream,
    require_space,
)
from emosym.pipelines.trained_reading import read_pictures, read_samples
from emosym.types import (
    IMAGE_EMOTION,
    BadInput,
    DialogueOutput,
    GenerationOutput,
    Sample,
    UnderstandingOutput,
)

if TYPE_CHECKING:
    from emosym.models.painter.sampling import BeforeStep

SHIPPED = "storybook"  # the model that comes with this package
TEXT_MODEL = "emosym-text"  # reads words; with this package where its files are
# Heads of the tasks msa and fer stand beside the emotion; no data set is answered by them alone.
OF_SIDE_TASKS = {SENTIMENT3.name, SENTIMENT7.name, UNIT_SPACE.name}
CARD = "README.md"
Part = Literal["reader", "painter"]


class EmoSymPipeline(EmotionPipeline):
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
        return self.model.reader.space

    def of_pictures(self) -> EmoSymPipeline:
        """Return the same model as it answers single pictures; see `EmoSymModel.pictures`."""
        return EmoSymPipeline(of_pictures(self.model), self.card) if self.model.pictures else self

    def answering(self, space: LabelSpace) -> EmoSymPipeline:
        """Return the same model, which answers in a label space, pictures too; itself without one.

        So what has been opened in a data set's own space is measured by the head of that space.
        """
        if space.name not in self.about().spaces:
            return self
        return EmoSymPipeline(answering_in(self.model, space), self.card)

    @property
    def abstain_below(self) -> float | None:
        """The confidence below which a reading abstains; None where the checkpoint has none."""
        return self.model.calibration.abstain_below

    @property
    def can_paint(self) -> bool:
        """Whether the model went through the joint stage."""
        return self.model.emotion_space is not None

    @property
    def unknowns(self) -> list[str]:
        """What nobody knows of its readings for want of validation pictures, in sentences."""
        return unknowns(self.model)

    @property
    def base(self) -> Base:
        """What the model stands on."""
        return self.model.base

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.reader.reasoner.device)

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

    @property
    def image_size(self) -> int | None:
        """The side of the square that pictures are read at."""
        return self.model.reader.image_size

    def check(self, picture: Image.Image, name: str) -> None:
        """Refuse a picture whose shape the model's processor cannot take, or any picture at all."""
        require_sight(self.model.reader.chat)
        check_shape(self.model.reader.chat.shaping, picture, name)

    def usual(self) -> Usual:
        """Return what a call leaves open."""
        own = self.can_paint and self.base.image_size is not None
        places, lights = own_words() if own else ((), ())
        return Usual(
            guidance_scale=3.0,
            num_inference_steps=10,
            paint_at_once=16,
            read_at_once=32,
            places=places,
            lights=lights,
        )

    def about(self) -> About:
        """Return what the model is and can do."""
        return About(
            name=self.base.name,
            spaces=tuple(self.model.reader.reasoner.heads),
            tasks=tasks_of(self.model),
            takes=self._takes(),
            can_read=True,
            can_paint=self.can_paint,
            device=self.device,
            tells_outside=self.model.domain is not None and self.model.domain.tells_outside,
            history=self.model.reader.history,
        )

    def _takes(self) -> frozenset[Takes]:
        """Return what the base can be shown, as far as the model was taught to read it."""
        tasks = tasks_of(self.model)
        if not self.model.reader.chat.reads_pictures:
            return frozenset({"text", "conversation"})
        pictures: set[Takes] = {"image"} if IMAGE_EMOTION in tasks else set()
        words: set[Takes] = {"text", "conversation"} if {*tasks} - {IMAGE_EMOTION} else set()
        return frozenset(pictures | words)

    def why_not(self, part: Part) -> str | None:
        """Return why the model cannot paint, where it cannot."""
        if part == "painter" and not self.can_paint:
            return cannot_paint(self.model)
        return None

    def require(self, part: Part) -> None:
        """Raise EmoSymError when the model cannot paint and is to."""
        if part == "painter":
            require_space(self.model)

    def load(self, part: Part) -> None:
        """Open the painter now; the reader is open."""
        self.require(part)
        if part == "painter":
            _ = self.model.painter

    def read(
        self, pictures: Sequence[Image.Image], explain: bool = False, batch_size: int = 32
    ) -> list[UnderstandingOutput]:
        """Read RGB pictures in batches."""
        return read_pictures(self.model, pictures, explain, batch_size)

    def read_samples(
        self, samples: Sequence[Sample], explain: bool = False, batch_size: int = 32
    ) -> list[UnderstandingOutput | BadInput]:
        """Read words, dialogues and several pictures at once; see `trained_reading`."""
        return read_samples(self.model, samples, explain, batch_size)

    def read_dialogues(
        self, samples: Sequence[Sample], batch_size: int = 16, explain: bool = False
    ) -> list[DialogueOutput | BadInput]:
        """Read every turn of conversations, what caused its emotion and, on demand, say why."""
        found = read_dialogues(self.model, samples, batch_size)
        return explained(self.model, samples, found, batch_size) if explain else found

    def paint(
        self,
        request: PaintRequest,
        batch_size: int | None = None,
        only: range | None = None,
        before_step: BeforeStep | None = None,
    ) -> Iterator[GenerationOutput]:
        """Paint a checked request, or a stretch of it, one picture at a time.

        Raises:
            EmoSymError: at the call, when the model has not been through the joint stage.
        """
        size = check_batch_size(batch_size, self.usual().paint_at_once)
        require_space(self.model)
        return paint_stream(self.model, request, size, only, before_step)


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


def shipped_models() -> tuple[str, ...]:
    """Return the names of the trained models in this installation, `storybook` first."""
    found = sorted(WEIGHTS.iterdir()) if WEIGHTS.is_dir() else ()
    others = [path.name for path in found if is_checkpoint(path)]
    return (SHIPPED, *(name for name in others if name != SHIPPED))


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """Return the checkpoint folder that a shipped name, folder or downloaded hub id stands for.

    Raises:
        UsageError: for an unknown name, or a folder that is not a checkpoint.
        EmoSymError: when a shipped model is not in this installation.
    """
    name = str(name_or_folder)
    shipped = shipped_models()
    if name in shipped and not is_checkpoint(Path(name)):
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
    if isinstance(name_or_folder, str) and is_hub_id(name):
        downloaded = cached_snapshot(name)
        if downloaded is not None and is_checkpoint(downloaded):
            return downloaded
        raise UsageError(
            f"There is no folder {name!r}, and no such repository has been downloaded; "
            f"nothing is fetched unasked: run `hf download {name}` first."
        )
    if folder.exists() or len(folder.parts) > 1:
        raise UsageError(
            f"There is no checkpoint folder {name!r}: give a folder that holds {DESCRIPTION}, such "
            f"as runs/demo/feedback/checkpoint, or a model by its name: {', '.join(shipped)}."
        )
    raise unknown_name("model", name, shipped, "Or give the folder of a checkpoint.")


def space_named(
    name_or_folder: str | Path, source: str, root: str | Path, wanted: str | None = None
) -> LabelSpace:
    """Return what a checkpoint answers in about a data set, without opening it.

    That is `wanted`, else the data's own label space where the checkpoint has a head of it, else
    the one that it answers pictures, or conversations, in; errors as in `find_checkpoint`.

    Raises:
        UsageError: when the checkpoint has no head of the label space that is wanted.
    """
    described = read_description(find_checkpoint(name_or_folder))
    if wanted is not None:
        heads = {s.name: s for s in described.spaces if s.name not in OF_SIDE_TASKS}
        if wanted not in heads:
            raise unknown_name("label space of this model", wanted, heads)
        return heads[wanted]
    usual = described.space
    if source not in SOURCE_SPACES and described.pictures is not None:
        usual = described.pictures
    if len(described.spaces) == 1:
        return usual
    try:
        own = space_of_data(source, Path(root))
    except UsageError:  # odd folders: whoever opens the data says what is wrong with them
        return usual
    known = {space.name for space in described.spaces} - OF_SIDE_TASKS
    return own if own is not None and own.name in known else usual
