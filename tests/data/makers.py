"""Data sets with known faults, for tests of the check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (300, 200)) -> Image.Image:
    """Return a picture with large and small shapes, drawn from a seed."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    fine = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    parts = [part.resize(size, Image.Resampling.BICUBIC) for part in (rough, fine)]
    return Image.blend(*parts, 0.3)


def clean_emoset(root: Path, count: int = 6) -> Path:
    """Write train.json and test.json with `count` different pictures each, two emotions in turn."""
    (root / "image").mkdir(parents=True)
    (root / "annotation").mkdir()
    for split, start in (("train", 0), ("test", count)):
        rows = []
        for index in range(start, start + count):
            scene(index, (60, 40)).save(root / f"image/{index}.jpg")
            note = {"scene_aug": "a lake", "object_aug": "a boat", "qwen_aug": "still water"}
            (root / f"annotation/{index}.json").write_text(json.dumps(note))
            emotion = ("awe", "fear")[index % 2]
            rows.append([emotion, f"image/{index}.jpg", f"annotation/{index}.json"])
        (root / f"{split}.json").write_text(json.dumps(rows))
    return root


def broken_emoset(root: Path) -> Path:
    """Break a clean one: the faults are those that test_check counts."""
    clean_emoset(root)
    train = json.loads((root / "train.json").read_text())
    test = json.loads((root / "test.json").read_text())
    (root / "image/0.jpg").unlink()
    (root / "image/1.jpg").write_bytes((root / "image/1.jpg").read_bytes()[:900])
    (root / "annotation/2.json").unlink()
    (root / "annotation/3.json").write_text('{"caption": 3}')
    shutil.copy(root / "image/4.jpg", root / "image/exact.jpg")
    scene(5, (60, 40)).resize((45, 30)).save(root / "image/near.png")
    scene(8, (60, 40)).save(root / "image/within.jpg", quality=70)
    Image.new("RGB", (9, 9)).save(root / "image/black.png")
    scene(99, (60, 40)).save(root / "image/unlisted.jpg")
    test += [
        ["fear", "image/exact.jpg", None],
        ["feer", "image/near.png", None],
        ["feer", "image/7.jpg", None],
        ["Joy", "image/within.jpg", None],
        ["awe", "image/black.png", None],
        ["awe"],
        ["awe", "../secret.jpg", None],
    ]
    (root / "train.json").write_text(json.dumps(train))
    (root / "test.json").write_text(json.dumps(test))
    return root
