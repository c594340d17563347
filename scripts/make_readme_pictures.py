"""Compose the README's pictures from a finished demo run: its own paintings with their readings.

    python scripts/make_readme_pictures.py runs/demo docs/images

The first paintings of each emotion are shown, in the order they were painted: none is picked.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SHOWN = 8
TILE = 128
LABEL = 132
CAPTION = 20
PAPER, INK, SOFT = (250, 247, 240), (40, 36, 46), (120, 112, 124)


def hero(run: Path) -> Image.Image:
    """Return the sheet: a row per emotion, under each painting what the model reads in it."""
    lines = (run / "paintings" / "readings.jsonl").read_text().splitlines()
    rows: dict[str, list[dict[str, object]]] = {}
    for line in lines:
        row = json.loads(line)
        rows.setdefault(row["asked"], []).append(row)
    height = len(rows) * (TILE + CAPTION) + 12
    sheet = Image.new("RGB", (LABEL + SHOWN * (TILE + 6) + 6, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(17), ImageFont.load_default(12)
    for y, (emotion, found) in enumerate(rows.items()):
        top = 8 + y * (TILE + CAPTION)
        draw.text((12, top + TILE // 2 - 10), emotion, INK, font=large)
        for x, row in enumerate(found[:SHOWN]):
            left = LABEL + x * (TILE + 6)
            with Image.open(run / str(row["image"])) as image:
                sheet.paste(image.resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
            reading = row["reading"]
            assert isinstance(reading, dict)
            said = f"{reading['emotion']} {100 * reading['confidence']:.0f} %"
            draw.text((left + 2, top + TILE + 1), said, SOFT, font=small)
    return sheet


def main() -> int:
    """Write hero.png, base.png where there is one, and example.png; returns the exit code."""
    if len(sys.argv) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    hero(run).save(out / "hero.png", optimize=True)
    first = json.loads((run / "data" / "test.json").read_text())[0]
    shutil.copyfile(run / "data" / first[1], out / "example.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
