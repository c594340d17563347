"""What tells pictures apart, and what it shrugs off."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.data.makers import scene

from emosym.data.check.fingerprints import fingerprints, perceptual


def as_jpeg(image: Image.Image, quality: int = 60) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def distance(one: Image.Image, other: Image.Image) -> int:
    first, second = perceptual(one)[0], perceptual(other)[0]
    assert first is not None and second is not None
    return (first ^ second).bit_count()


def test_the_hash_keeps_through_what_happens_to_copies() -> None:
    for seed in range(5):
        picture = scene(seed)
        assert distance(picture, as_jpeg(picture)) <= 2
        assert distance(picture, picture.resize((150, 100))) <= 2
        assert distance(picture, ImageEnhance.Brightness(picture).enhance(0.8)) <= 2
        assert distance(picture, picture.convert("L").convert("RGB")) == 0


def test_other_pictures_are_far_away() -> None:
    pictures = [scene(seed) for seed in range(12)]
    apart = [distance(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 11
    assert 28 < np.mean(apart) < 36  # half of 64 bits, as for unrelated hashes


def test_half_of_the_bits_are_set_and_flat_pictures_have_none() -> None:
    phash, tiny = perceptual(scene(1))
    assert phash is not None and phash.bit_count() == 32 and len(tiny) == 192
    code, tiny = perceptual(Image.new("RGB", (50, 50), (7, 8, 9)))
    assert code is None and tiny == bytes((7, 8, 9)) * 64


def test_reading_tells_what_is_wrong(tmp_path: Path) -> None:
    root = str(tmp_path)
    scene(1).save(tmp_path / "good.png")
    scene(1).save(tmp_path / "wrong.jpg", "PNG")
    whole = io.BytesIO()
    scene(1).save(whole, "JPEG")
    (tmp_path / "broken.jpg").write_bytes(whole.getvalue()[:2000])
    (tmp_path / "a.json").write_text('{"caption": "x"}')
    (tmp_path / "b.json").write_text('{"caption": 3}')
    found = fingerprints(
        [
            ("good.png", root, "a.json", "mikels8"),
            ("gone.png", root, "gone.json", "mikels8"),
            ("broken.jpg", root, "b.json", "mikels8"),
            ("wrong.jpg", root, None, "mikels8"),
            ((b"", "row 7"), root, None, "mikels8"),
            ((None, "It is gone."), root, None, "mikels8"),
            ("../good.png", root, None, "mikels8"),
            ("good.png", root, "/a.json", "mikels8"),
        ]
    )
    first, absent, damaged, other, empty, lost, *outside = found
    assert first.sha256 == hashlib.sha256((tmp_path / "good.png").read_bytes()).hexdigest()
    assert (first.size, first.error, first.misnamed) == ((300, 200), None, None)
    assert not first.annotation_missing and first.annotation_error is None
    assert absent.missing and absent.annotation_missing and absent.sha256 == ""
    assert damaged.error is not None and "broken.jpg' cannot be read" in damaged.error
    assert "truncated" in damaged.error and not damaged.missing and damaged.sha256
    assert damaged.annotation_error is not None and "must be text" in damaged.annotation_error
    assert other.misnamed == "PNG" and other.phash == first.phash
    assert empty.error == "'row 7' cannot be read as a picture: it is empty (0 bytes)."
    assert lost.error == "It is gone."
    assert [print_.outside is not None and print_.sha256 == "" for print_ in outside] == [True] * 2
    assert outside[0].outside is not None and "leaves its folder" in outside[0].outside


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    scene(2).convert(mode).save(path)
    (found,) = fingerprints([(path.name, str(tmp_path), None, "mikels8")])
    assert found.error is None and found.phash is not None
