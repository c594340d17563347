"""What may be given as a picture, and one sentence for what may not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from emosym.errors import UsageError
from emosym.pipelines.inputs import decode_named, is_picture, named_pictures, open_picture
from emosym.pipelines.trained import EmoSymPipeline
from emosym.types import BadInput, picture_sample

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        PIXELS.astype(np.float32) / 255,
        PIXELS.astype(np.float64).transpose(2, 0, 1) / 255,
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        (torch.from_numpy(PIXELS).permute(2, 0, 1) / 255).requires_grad_(),
        PIXELS[:, ::-1][:, ::-1],
        encoded(),
        bytearray(encoded()),
        io.BytesIO(encoded()),
        Image.fromarray(PIXELS),
        picture_sample("a", encoded()),
    ],
)
def test_the_same_picture_in_many_forms(given) -> None:
    assert is_picture(given)
    opened = open_picture(given)
    assert opened.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(opened), PIXELS)


def test_shapes_that_could_be_both_follow_their_kind() -> None:
    both = np.zeros((3, 9, 3), np.uint8)
    assert open_picture(both).size == (9, 3)
    assert open_picture(torch.from_numpy(both)).size == (3, 9)
    assert open_picture(PIXELS[..., 0]).size == (7, 5)
    assert open_picture(np.dstack([PIXELS, PIXELS[..., :1]])).mode == "RGB"
    assert open_picture(torch.rand(3, 6, 4).bfloat16()).size == (4, 6)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (PIXELS.astype(np.float32), "goes from 0 to 248: divide it by 255"),
        (PIXELS / 127.5 - 1, "scale it first"),
        (np.full((4, 4, 3), np.nan), "goes from nan to nan"),
        (PIXELS.astype(np.int64), "this one is int64"),
        (np.zeros((2, 5, 7, 3), np.uint8), "several pictures: give them as a list"),
        (np.zeros((5, 7, 2), np.uint8), "this one is 5 x 7 x 2"),
        (np.zeros(5, np.uint8), "this one is 5"),
        (np.zeros((0, 7, 3), np.uint8), "has no pixels"),
        (torch.zeros(5, 7, 9), "A picture as tensor"),
        (io.StringIO("text"), "open it as bytes"),
        (io.BytesIO(b""), "it is empty"),
        (3.5, "got a float"),
        ({"a": 1}, "got a dict"),
        (None, "got a NoneType"),
    ],
)
def test_what_is_no_picture_is_one_sentence(given, sentence) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        open_picture(given)
    assert "\n" not in str(caught.value)


def test_names_are_kept_and_made(tmp_path) -> None:
    assert next(iter(named_pictures({"x": PIXELS, "y": b"z"}))) == ("x", PIXELS)
    assert [name for name, _ in named_pictures([("id 7", PIXELS), tmp_path, PIXELS])] == [
        "id 7",
        str(tmp_path),
        "picture 3",
    ]
    with pytest.raises(UsageError, match="put the one into a list"):
        list(named_pictures(PIXELS))  # type: ignore[arg-type]
    assert decode_named(("bad", b"x"), None)[1] == BadInput(
        "bad",
        decode_named(("bad", b"x"), None)[1].error,  # type: ignore[union-attr]
    )


def test_a_pipeline_reads_all_of_them(tiny_checkpoint, tiny_pictures) -> None:
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint, device="cpu")
    pixels = tiny_pictures.pictures[:2]
    by_file = pipeline.understand([Image.fromarray(picture) for picture in pixels])
    wanted = [reading.probabilities for reading in by_file]
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    assert [r.probabilities for r in pipeline.understand(list(tensors))] == wanted
    assert [r.probabilities for r in pipeline.understand(iter(pixels))] == wanted
    named = pipeline.understand_many({"one": pixels[0], "bad": np.zeros(3), "two": pixels[1]})
    found = dict(named)
    assert list(found) == ["one", "bad", "two"]
    assert isinstance(found["bad"], BadInput)
    with pytest.raises(UsageError, match="understand_many keeps names"):
        pipeline.understand({"one": pixels[0]})  # type: ignore[call-overload]
