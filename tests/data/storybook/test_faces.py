from __future__ import annotations

from dataclasses import replace

import numpy as np

from emosym.data.storybook import FACES, draw_story
from emosym.data.storybook.drawing.render import paint_array
from emosym.data.storybook.faces import CURLED, GRIN, PARTS, SMILE, STILL, WARM_SMILE, action_units


def test_units_by_hand() -> None:
    assert action_units(STILL) == ()
    assert action_units(SMILE) == ("AU12",)
    assert action_units(WARM_SMILE) == ("AU06", "AU12")
    assert action_units(GRIN) == ("AU06", "AU12", "AU25")
    assert action_units(CURLED) == ("AU04", "AU09", "AU10")
    assert action_units("mouth wide open, brows slanted") == (
        "AU01",
        "AU04",
        "AU05",
        "AU25",
        "AU27",
    )


def test_each_face_shows_other_units_and_single_pictures_keep_theirs() -> None:
    assert set(FACES) <= set(PARTS)
    assert len({action_units(face) for face in PARTS}) == len(PARTS)


def test_each_face_is_drawn_its_own_way() -> None:
    story = draw_story(3, 0)
    drawn = [paint_array(replace(story, face=face), 64).astype(int) for face in PARTS]
    for place, one in enumerate(drawn):
        for other in drawn[place + 1 :]:
            assert (np.abs(one - other).max(axis=-1) > 40).sum() >= 8  # pixels that differ clearly
