"""What `--model` may name of readers of photographs; light to import."""

from __future__ import annotations

from pathlib import Path

from emosym.errors import UsageError
from emosym.models.presets import WEIGHTS

PHOTO = "photo"  # the reader that comes with this package
DESCRIPTION = "photo.json"


def is_photo_reader(folder: Path) -> bool:
    """Return whether a folder holds a reader of photographs."""
    return (folder / DESCRIPTION).is_file()


def reads_photographs(name_or_folder: str | Path | None) -> bool:
    """Return whether what `--model` names is a reader of photographs, without opening it."""
    if name_or_folder is None:
        return False
    return str(name_or_folder) == PHOTO or is_photo_reader(Path(name_or_folder))


def photo_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of a reader of photographs.

    Raises:
        UsageError: when there is none.
    """
    folder = Path(name_or_folder)
    if str(name_or_folder) == PHOTO and not is_photo_reader(folder):
        folder = WEIGHTS / PHOTO
    if not is_photo_reader(folder):
        raise UsageError(
            f"{folder} holds no reader of photographs; train one by `emosym train photo "
            "root=OASIS_FOLDER`."
        )
    return folder
