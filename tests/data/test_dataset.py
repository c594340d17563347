"""What a data set holds: pictures, sentences, dialogues whose samples share their turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emosym.data.dataset import NO_LABEL, Dataset, weights_of
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.types import (
    AROUSAL,
    IMAGE_EMOTION,
    VALENCE,
    CausePair,
    Sample,
    Turn,
    Votes,
    only_picture,
    picture_sample,
)

TURNS = (
    Turn("Ann", "Look, the sea!", (Path("a/0.png"), Path("a/1.png")), Path("a.mp4"), 0.0, 2.5),
    Turn("Bo", "It is cold.", emotion="sadness"),
    Turn("Ann", "Never mind.", (Path("a/2.png"),)),
)
PAIRS = (CausePair(2, "contentment", 0), CausePair(2, "contentment", 1))


@pytest.fixture
def dialogues(tmp_path: Path) -> Dataset:
    """Three samples of one dialogue, and a sentence."""
    return Dataset(
        tmp_path,
        "train",
        MIKELS8,
        codes=np.array([1, 7, NO_LABEL, 0], np.int16),
        names=("d0/0", "d0/1", "d0", "s"),
        images=(),
        annotations=(None,) * 4,
        task="mer",
        targets=({}, {}, {"ecpe": PAIRS}, {"text": ("joy", "relief")}),
        conversations=(TURNS, (Turn(text="I got the job!"),)),
        places=np.array([[0, 0], [0, 1], [0, -1], [1, -1]]),
    )


def test_samples_of_a_dialogue_share_its_turns(dialogues: Dataset, tmp_path: Path) -> None:
    first, second, whole, sentence = dialogues
    assert (first.focus, second.focus, whole.focus) == (0, 1, None)
    assert first.targets == {"mer": "awe"} and second.label_of("mer") == "sadness"
    assert whole.targets == {"ecpe": PAIRS} and whole.label_of("ecpe") is None
    assert first.turns == second.turns == whole.turns
    assert [(turn.speaker, turn.text) for turn in whole.turns] == [
        (turn.speaker, turn.text) for turn in TURNS
    ]
    assert whole.turns[0].clip == tmp_path / "a.mp4" and whole.turns[0].end == 2.5
    assert whole.images == dialogues.frames(2) == tuple(tmp_path / f"a/{i}.png" for i in range(3))
    assert sentence.images == dialogues.frames(3) == () and sentence.label_of("mer") == "amusement"
    assert sentence.targets["text"] == ("joy", "relief")


def test_a_part_of_a_data_set_of_dialogues(dialogues: Dataset) -> None:
    part = dialogues.subset([3, 1])
    assert part.ids() == ("s", "d0/1") and list(part) == [dialogues[3], dialogues[1]]
    assert dialogues[2:][0] == dialogues[2]


def test_what_needs_one_picture_says_so(dialogues: Dataset) -> None:
    with pytest.raises(UsageError, match=r"Sample 's' has no picture; this needs one"):
        dialogues.picture(3)
    with pytest.raises(UsageError, match="Sample 'd0' has 3 pictures; this needs one"):
        only_picture(dialogues[2])


def test_a_turn_that_leaves_the_root_is_refused(dialogues: Dataset) -> None:
    from dataclasses import replace

    for turn in (Turn(frames=(Path("../a.png"),)), Turn(clip=Path("../a.mp4"))):
        with pytest.raises(UsageError, match=r"\.\./a"):
            replace(dialogues, conversations=((turn,), (turn,)))[0]


def test_a_picture_is_one_turn_with_one_frame() -> None:
    photo = picture_sample("sea", Path("sea.jpg"), "awe")
    assert photo == Sample(
        "sea", (Turn(frames=(Path("sea.jpg"),)),), targets={IMAGE_EMOTION: "awe"}
    )
    assert photo.images == (Path("sea.jpg"),) and only_picture(photo) == Path("sea.jpg")
    rated = picture_sample("fire", Path("f.jpg"), valence=1.5, arousal=5.0)
    assert rated.targets == {VALENCE: 1.5, AROUSAL: 5.0} and rated.number_of(VALENCE) == 1.5
    assert rated.label_of(IMAGE_EMOTION) is None and rated.votes_of(VALENCE) is None


def test_votes_count_before_the_label() -> None:
    voted = picture_sample("x", b"", "awe", {"awe": 1, "fear": 3})
    assert voted.targets == {IMAGE_EMOTION: Votes({"awe": 1, "fear": 3}, "awe")}
    assert voted.label_of(IMAGE_EMOTION) == "awe" and voted.number_of(IMAGE_EMOTION) is None
    assert weights_of(voted, MIKELS8) == (0, 0.25, 0, 0, 0, 0, 0.75, 0)
    assert weights_of(picture_sample("y", b"", "fear"), MIKELS8) == (0, 0, 0, 0, 0, 0, 1, 0)
