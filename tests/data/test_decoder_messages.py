"""Damaged pictures are told by rows and sentences: no decoder's own line reaches the terminal."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

NOISY = """
import sys
from pathlib import Path
from emosym.data.images import decode_batches
for batch in decode_batches(sorted(Path(sys.argv[1]).iterdir()), 3):
    for name, found in batch:
        print(Path(name).name, type(found).__name__)
"""
BARE = """
import sys
from pathlib import Path
from PIL import Image
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        image = Image.open(path)
        image.getexif()
        path.name.startswith("wide") or image.load()
    except Exception as error:
        print(error)
"""
COMPRESSIONS = ("tiff_adobe_deflate", "tiff_lzw")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compressed TIFFs with flipped bytes, a torn EXIF, and more pixels than Pillow likes."""
    folder = tmp_path_factory.mktemp("damaged")
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    for compression in COMPRESSIONS:
        stream = io.BytesIO()
        picture.save(stream, "TIFF", compression=compression)
        encoded = np.frombuffer(stream.getvalue(), np.uint8).copy()
        encoded[8:-400:97] ^= 0xFF  # the data; the table of tags lies behind them
        (folder / f"{compression}.tif").write_bytes(encoded.tobytes())
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"  # five entries, and half of the first is there
    picture.save(folder / "exif.jpg", exif=exif)
    Image.new("1", (12_000, 8_000)).save(folder / "wide.png")  # 96 million pixels
    return folder


def told(code: str, folder: Path) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines(), done.stderr


def test_decoders_print_nothing_and_rows_say_what_is_wrong(damaged: Path) -> None:
    if not features.check("libtiff"):
        pytest.skip("this Pillow has no libtiff")
    _, bare = told(BARE, damaged)
    for message in ("ZIPDecode", "Corrupt EXIF", "DecompressionBombWarning"):
        assert message in bare  # the pictures do provoke them
    rows, error = told(NOISY, damaged)
    assert error == ""
    names = [f"{name}.tif BadInput" for name in sorted(COMPRESSIONS)]
    assert rows == ["exif.jpg Image", *names, "wide.png BadInput"]
