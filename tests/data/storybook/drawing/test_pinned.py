"""The pictures of each style stay what they were: shipped weights and committed studies saw them.

pinned/STYLE.png holds stories 0 to 7 of seed 11's test stream, four in a row. Processors round
exponentials differently, which moves a value now and then by one step of 255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.storybook.drawing.draw import STYLES, draw_many

PINNED = Path(__file__).parent / "pinned"
SIZE = 64


@pytest.mark.parametrize("style", list(STYLES))
def test_a_style_is_never_redrawn(style: str) -> None:
    sheet = np.asarray(Image.open(PINNED / f"{style}.png").convert("RGB"), int)
    kept = [
        sheet[y : y + SIZE, x : x + SIZE]
        for y in range(0, sheet.shape[0], SIZE)
        for x in range(0, sheet.shape[1], SIZE)
    ]
    _, drawn = draw_many(11, "test", 0, len(kept), SIZE, style=style)
    apart = np.abs(drawn.astype(int) - np.stack(kept))
    assert len(kept) == 8 and apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
