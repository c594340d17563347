"""What may be given as a picture to read: paths, bytes, pictures, arrays, tensors, open files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from emosym.data.images import MAX_BYTES, Accept, ImageSource, decode, decoded, load_image, square
from emosym.errors import UsageError
from emosym.types import BadInput, Sample, StoredImage, only_picture

if TYPE_CHECKING:
    import torch

Picture: TypeAlias = "ImageSource | np.ndarray[Any, Any] | torch.Tensor | IO[bytes] | Sample"
Pictures: TypeAlias = (
    "Iterable[Picture | BadInput | tuple[str | Path, Picture]] | Mapping[str, Picture]"
)
NamedPicture: TypeAlias = "tuple[str, Picture | BadInput]"

CHANNELS = (1, 3, 4)
LARGEST = 255


def is_picture(given: object) -> bool:
    """Return whether something is one picture, and not several of them."""
    if isinstance(given, str | bytes | bytearray | memoryview | Path | StoredImage | Sample):
        return True
    return (
        isinstance(given, Image.Image | np.ndarray) or _is_tensor(given) or hasattr(given, "read")
    )


def open_picture(source: Picture) -> Image.Image:
    """Return one picture as upright 8-bit RGB.

    Arrays and tensors are (H, W), (H, W, C) or (C, H, W) of 1, 3 or 4 channels: uint8, or floats
    from 0 to 1. An open file is read from where it stands. A sample gives its one picture.

    Raises:
        UsageError: for anything that is no whole picture: one sentence.
    """
    if isinstance(source, Sample):
        return open_picture(only_picture(source))
    if isinstance(source, bytearray | memoryview):
        return load_image(bytes(source))
    if isinstance(source, str | bytes | Path | StoredImage | Image.Image):
        return load_image(source)
    if isinstance(source, np.ndarray):
        return load_image(_of_array(source, "array", channels_first=False))
    if _is_tensor(source):
        tensor: Any = source
        tensor = tensor.detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        return load_image(_of_array(tensor.numpy(), "tensor", channels_first=True))
    if hasattr(source, "read"):
        name = repr(getattr(source, "name", "the open file"))
        found: Any = source.read(MAX_BYTES + 1)
        if not isinstance(found, bytes):
            raise UsageError(f"{name} gives text: open it as bytes, by open(path, 'rb').")
        return decode(found, name)
    raise UsageError(
        "A picture is a path, encoded bytes, a PIL image, a numpy array, a tensor or an open file; "
        f"got {_described(source)}."
    )


def named_pictures(pictures: Pictures) -> Iterator[NamedPicture]:
    """Yield (name, picture) of a mapping, of pairs, or of pictures alone, as they come.

    A path or a stored picture is its own name; what has none is "picture 1", "picture 2", ... What
    is a `BadInput` already stays one.

    Raises:
        UsageError: for one picture where several belong.
    """
    if is_picture(pictures):
        raise UsageError("understand_many takes several pictures: put the one into a list.")
    if isinstance(pictures, Mapping):
        yield from ((str(name), picture) for name, picture in pictures.items())
        return
    for number, item in enumerate(pictures, start=1):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str | Path):
            yield str(item[0]), item[1]
        elif isinstance(item, str | Path | StoredImage):
            yield str(item), item
        elif isinstance(item, BadInput):
            yield item.source, item
        elif isinstance(item, Sample):
            yield item.id, item
        else:
            yield f"picture {number}", item


def decode_named(
    named: NamedPicture, size: int | None, accept: Accept | None = None
) -> tuple[str, Image.Image | Sample | BadInput]:
    """Open one named picture, cut square to `size` where it is given; a bad one is a `BadInput`.

    So is one that `accept`, told the picture and its name, refuses. A sample that is no single
    picture is given back with its pictures decoded.
    """
    name, source = named
    if isinstance(source, BadInput):
        return name, source
    try:
        if isinstance(source, Sample) and not source.is_picture:
            return name, decoded(source)
        image = open_picture(source)
        if accept is not None:
            accept(image, repr(name))
    except UsageError as error:
        return name, BadInput(name, str(error))
    return name, image if size is None else square(image, size)


def _is_tensor(given: object) -> bool:
    """Return whether something is a torch tensor; torch is not imported for it."""
    return hasattr(given, "detach") and hasattr(given, "is_floating_point")


def _of_array(values: np.ndarray[Any, Any], kind: str, channels_first: bool) -> Image.Image:
    """Return an array's picture; `channels_first` decides where both readings are possible."""
    shape = " x ".join(map(str, values.shape))
    first = values.ndim == 3 and values.shape[0] in CHANNELS
    last = values.ndim == 3 and values.shape[2] in CHANNELS
    if values.ndim == 4:
        raise UsageError(
            f"A {kind} of {shape} holds several pictures: give them as a list, list({kind})."
        )
    if values.ndim != 2 and not first and not last:
        raise UsageError(
            f"A picture as {kind} is (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels; this "
            f"one is {shape}."
        )
    if first and (channels_first or not last):
        values = values.transpose(1, 2, 0)
    if values.size == 0:
        raise UsageError(f"A picture as {kind} of {shape} has no pixels.")
    levels = _levels(values, kind)
    return Image.fromarray(levels[..., 0] if levels.shape[2:] == (1,) else levels)


def _levels(values: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    """Return an array's values as uint8."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise UsageError(
            f"A picture as {kind} is uint8 (0 to 255) or floats from 0 to 1; this one is "
            f"{values.dtype}."
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # NaN included
        hint = f"divide it by {LARGEST}" if low >= 0 and 1 < high <= LARGEST else "scale it first"
        raise UsageError(
            f"A picture of floats goes from 0 to 1; this {kind} goes from {low:g} to {high:g}: "
            f"{hint}."
        )
    levels: np.ndarray[Any, Any] = np.asarray(np.rint(values * LARGEST), np.uint8)
    return np.ascontiguousarray(levels)


def _described(source: object) -> str:
    name = type(source).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
