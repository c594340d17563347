from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from emosym.data.images import load_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    read = np.asarray(load_image(encoded(Image.fromarray(ramp), kind)))
    assert np.array_equal(read, np.repeat((ramp // 257)[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 25700, 65535]], dtype=np.int32), [0, 100, 255]),
        (np.array([[-10, 0, 10]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 500_000, 1_000_000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.2, 1.0]], dtype=np.float32), [0, 51, 255]),
        (np.array([[0.0, 0.1, 0.2]], dtype=np.float32), [0, 26, 51]),
        (np.array([[0.0, 2.0, 4.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 51.0, 200.0]], dtype=np.float32), [0, 51, 200]),
        (np.array([[-3e38, 0.0, 3e38]], dtype=np.float32), [0, 128, 255]),
        (np.array([[np.nan, np.inf, 1.0]], dtype=np.float32), [0, 255, 255]),
        (np.array([[np.nan, np.nan]], dtype=np.float32), [0, 0]),
        (np.array([[7, 7]], dtype=np.int32), [7, 7]),
    ],
)
def test_wide_integers_and_floats(values: np.ndarray, expected: list[int]) -> None:
    image = Image.fromarray(values)
    for source in (image, encoded(image, "TIFF")):
        read = np.asarray(load_image(source))
        assert read[0, :, 0].tolist() == expected


def test_twelve_bit_pgm_reaches_white() -> None:
    data = b"P5 2 1 4095\n" + struct.pack(">HH", 0, 4095)
    assert np.asarray(load_image(data))[0, :, 0].tolist() == [0, 255]


def test_a_dark_sixteen_bit_pgm_stays_dark() -> None:
    data = b"P5 2 1 65535\n" + struct.pack(">HH", 0, 200)
    assert np.asarray(load_image(data))[0, :, 0].tolist() == [0, 1]


def test_tiff_where_white_is_zero() -> None:
    for depth in (np.uint8, np.uint16):
        top = np.iinfo(depth).max
        data = bytearray(encoded(Image.fromarray(np.array([[0, top]], dtype=depth)), "TIFF"))
        start = struct.unpack_from("<I", data, 4)[0]
        for entry in range(struct.unpack_from("<H", data, start)[0]):
            if struct.unpack_from("<H", data, start + 2 + 12 * entry)[0] == 262:
                struct.pack_into("<H", data, start + 2 + 12 * entry + 8, 0)
        assert np.asarray(load_image(bytes(data)))[0, :, 0].tolist() == [255, 0]


def test_cmyk_and_lab_have_sensible_colours() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for source in (red, encoded(red, "TIFF")):
        assert load_image(source).getpixel((8, 8)) == RED
    pixel = load_image(encoded(red, "JPEG", quality=95)).getpixel((8, 8))
    assert np.abs(np.subtract(pixel, RED)).max() <= 4
    gray = load_image(Image.new("LAB", (2, 2), (128, 128, 128))).getpixel((0, 0))
    assert max(gray) - min(gray) <= 2 and 100 < gray[0] < 140


def test_transparency_is_composited_on_white() -> None:
    clear = Image.new("RGBA", (2, 1), (*RED, 0))
    clear.putpixel((1, 0), (*RED, 255))
    half = Image.new("LA", (1, 1), (0, 128))
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert [load_image(encoded(clear, "PNG")).getpixel((x, 0)) for x in (0, 1)] == [WHITE, RED]
    assert load_image(encoded(half, "PNG")).getpixel((0, 0)) == (127, 127, 127)
    seen = load_image(encoded(palette, "PNG", transparency=1))
    assert [seen.getpixel((x, 0)) for x in (0, 1)] == [RED, WHITE]
    keyed = encoded(Image.new("RGB", (1, 1), RED), "PNG", transparency=RED)
    assert load_image(keyed).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("mode", ["1", "L", "La", "PA", "RGBa", "RGBX", "YCbCr", "HSV", "I;16B"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = load_image(Image.new(mode, (3, 2)))
    assert (image.mode, image.size) == ("RGB", (3, 2))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:8, :16] = RED
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(pixels), kind, exif=exif)
    upright = load_image(data)
    assert upright.size == ((32, 16) if orientation < 5 else (16, 32))
    # The corner that the red quarter of the stored picture belongs in, per the EXIF standard.
    right = orientation in (2, 3, 6, 7)
    bottom = orientation in (3, 4, 7, 8)
    x, y = upright.width * (3 if right else 1) // 4, upright.height * (3 if bottom else 1) // 4
    assert upright.getpixel((x, y))[0] > 200
    assert np.array_equal(np.asarray(load_image(upright)), np.asarray(upright))


def test_broken_exif_is_tolerated() -> None:
    data = encoded(
        Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff junk"
    )
    assert load_image(data).size == (8, 8)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 0, 255))]
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert load_image(data).getpixel((1, 1)) == RED
