from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageFile

from emosym.data import images
from emosym.data.images import decode_batches, load_image, square
from emosym.data.walk import find_images
from emosym.errors import UsageError
from emosym.types import BadInput

RED = (255, 0, 0)
pillow_heif.register_heif_opener()  # its encoder makes the tests' HEIC files


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ends = chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends


def noise(width: int = 40, height: int = 30) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def text_bomb() -> bytes:
    whole = encoded(Image.new("RGB", (2, 2)), "PNG")
    data = b"Comment\0\0" + zlib.compress(b"a" * 5_000_000)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    return whole[:33] + chunk + struct.pack(">I", zlib.crc32(b"zTXt" + data)) + whole[33:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "holds text"),
        ("Gr\u00fc\u00dfe ".encode() * 100, "holds text"),
        (b"\x00\x01\x02\x03" * 20, "none of JPEG"),
        (b"%PDF-1.7\n\xff\xfe", "PDF"),
        (b"PF\n2 2\n-1.0\n" + bytes(48), "a PFM of three channels"),
        (encoded(noise(), "AVIF")[:300], "starts like an AVIF"),
        (b"\x89PNG\r\n\x1a\n broken", "starts like a PNG"),
        (b"GIF89a\x00\x00\x05\x00\x80\x00\x00" + bytes(30), "zero width"),
        (png_header(0, 5), "zero width"),
        (encoded(noise(), "JPEG")[:-300], "truncated"),
        (encoded(noise(), "PNG")[:-500], "truncated"),
        (png_header(8193, 8192), "8193 x 8192 pixels and the limit is 67108864"),
        (png_header(30000, 30000), "far too many pixels"),
        (text_bomb(), "too large"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "holds text"),
    ],
)
def test_what_is_not_a_picture_is_refused_in_one_sentence(
    tmp_path: Path, data: bytes, says: str
) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    for source in (path, str(path)):
        with pytest.raises(UsageError) as caught:
            load_image(source)
        message = str(caught.value)
        assert says in message and "odd.png" in message
        assert "\n" not in message and message.endswith(".")
    with pytest.raises(UsageError, match="cannot be read"):
        load_image(data)


def test_limits_are_checked_before_decoding_and_leave_pillow_as_it_was(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    path = tmp_path / "large.png"
    path.write_bytes(encoded(noise(), "PNG"))
    size = path.stat().st_size
    assert load_image(path, max_pixels=1200, max_bytes=size).size == (40, 30)
    with pytest.raises(UsageError, match="40 x 30 pixels and the limit is 1199"):
        load_image(path, max_pixels=1199)
    with pytest.raises(UsageError, match=f"limit is {size - 1}"):
        load_image(path, max_bytes=size - 1)
    with pytest.raises(UsageError, match=f"limit is {size - 1}"):
        load_image(path.read_bytes(), max_bytes=size - 1)
    with pytest.raises(UsageError, match="limit is 1199"):
        load_image(noise(), max_pixels=1199)
    with pytest.raises(UsageError, match="pixels"):
        load_image(Image.new("RGB", (0, 4)))
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert before == after


def test_fifty_megapixels_are_read() -> None:
    found = load_image(encoded(Image.new("L", (8192, 6144), 7), "PNG"))
    assert found.size == (8192, 6144) and found.getpixel((8191, 6143)) == (7, 7, 7)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    for source, says in (
        (tmp_path / "absent.png", "no such file"),
        (tmp_path, "a folder"),
        ("https://example.org/cat.png", "nothing is fetched"),
        ("data:image/png;base64,AAAA", "nothing is fetched"),
        ("FILE:///etc/passwd", "nothing is fetched"),
        ("nul\0byte.png", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=says):
            load_image(source)
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        load_image(pipe)


def test_random_damage_never_escapes_as_another_error() -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = [encoded(noise(), kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    whole += [encoded(noise(), kind) for kind in ("GIF", "BMP", "PPM", "JPEG2000", "TGA", "HEIF")]
    whole += [encoded(noise(), kind) for kind in ("QOI", "SGI", "PCX", "AVIF")]
    readable = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for trial in range(980):
            data = bytearray(whole[trial % len(whole)])
            reach = len(data) if trial % 2 else 120
            for place in rng.integers(0, reach, 4):
                data[place] = rng.integers(0, 256)
            try:
                assert load_image(bytes(data)).mode == "RGB"
                readable += 1
            except UsageError:
                pass
    assert 0 < readable < 980


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("HEIF", {}),
        ("MPO", {"save_all": True, "append_images": [noise()]}),
        ("AVIF", {"save_all": True, "append_images": [noise()]}),
        *((kind, {}) for kind in ("JPEG2000", "QOI", "SGI", "PCX", "TGA")),
    ],
)
def test_less_common_formats_are_read(kind: str, options: dict[str, object]) -> None:
    """What is smooth survives every encoder nearly as it was."""
    smooth = noise(4, 3).resize((40, 30), Image.Resampling.BICUBIC)
    found = load_image(encoded(smooth, kind, **options))
    apart = np.asarray(found).astype(int) - np.asarray(smooth).astype(int)
    assert found.size == (40, 30) and np.abs(apart).mean() < 8


def test_a_float_map_is_scaled(tmp_path: Path) -> None:
    steps = Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4))
    (tmp_path / "a.pfm").write_bytes(encoded(steps, "PPM"))
    shown = np.asarray(load_image(tmp_path / "a.pfm"))[..., 0]
    assert (shown.min(), shown.max()) == (0, 255) and (np.diff(shown.ravel()) > 0).all()


def test_heic_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "is_available", lambda _: False)
    with pytest.raises(UsageError, match=r"HEIC photo \(pip install 'emosym\[heic\]'\)"):
        load_image(encoded(noise(), "HEIF"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/1.JPG", "a.png", "b/.hidden.png", ".cache/x.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(Image.new("RGB", (6, 4), RED), "PNG"))
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def test_find_images_takes_files_folders_and_globs(tree: Path) -> None:
    def names(*paths: str | Path) -> list[str]:
        return [path.relative_to(tree).as_posix() for path in find_images(paths)]

    assert names(tree) == ["a.png", "b/1.JPG", "b/2.png"]
    assert names(tree / "notes.txt", str(tree / "b")) == ["notes.txt", "b/1.JPG", "b/2.png"]
    assert names(str(tree / "*.png")) == ["a.png"]
    assert names(str(tree / "b*")) == ["b/1.JPG", "b/2.png"]
    odd = tree / "c[1].png"
    odd.write_bytes(b"")
    assert names(odd) == ["c[1].png"]
    (tree / "empty").mkdir()
    for missing in ("absent.png", "*.gif", "empty"):
        with pytest.raises(UsageError, match="matches no picture"):
            find_images([tree, str(tree / missing)])
    with pytest.raises(UsageError, match="nothing is fetched"):
        find_images([tree, "https://example.org/a.png"])


def test_square_cuts_the_centre() -> None:
    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    pixels[:, 20:40] = 255
    assert np.asarray(square(Image.fromarray(pixels), 20)).min() == 255
    assert square(Image.new("RGB", (1, 500), RED), 8).getpixel((4, 4)) == RED


def test_decode_batches_keeps_order_and_marks_bad_files(tmp_path: Path) -> None:
    paths = []
    for index in range(23):
        path = tmp_path / f"{index}.png"
        path.write_bytes(
            b"junk" if index == 5 else encoded(Image.new("RGB", (6, 4), (index, 0, 0)), "PNG")
        )
        paths.append(path)
    batches = list(decode_batches(paths, 4, size=3, workers=3))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3]
    rows = [row for batch in batches for row in batch]
    assert [name for name, _ in rows] == [str(path) for path in paths]
    for index, (name, image) in enumerate(rows):
        if index == 5:
            assert isinstance(image, BadInput) and image.source == name
            assert "holds text" in image.error
        else:
            assert isinstance(image, Image.Image)
            assert image.size == (3, 3) and image.getpixel((0, 0)) == (index, 0, 0)
    assert list(decode_batches([], 4)) == []
    with pytest.raises(UsageError, match="batch_size"):
        decode_batches(paths, 0)


def test_decode_batches_runs_ahead_but_not_without_bound(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(encoded(Image.new("RGB", (2, 2)), "PNG"))
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield path

    before = threading.active_count()
    batches = decode_batches(endless(), batch_size=4, workers=2)
    first = next(batches)
    assert len(first) == 4
    # 4 yielded, and at most batch_size + 2 * workers = 8 beyond them.
    assert 4 < asked <= 12
    next(batches)
    assert asked <= 16
    batches.close()
    assert threading.active_count() == before
