"""Three appraisals, each the relation of two cues, and the emotion that the three make.

Of each appraisal the first cue is a fair coin. The second is the first where the bit of the emotion
is 0 and the other one where it is 1, and in one picture of fifty the wrong one. So a cue alone, and
any sum of what single cues tell, says nothing about the emotion; the three relations say all.
Inside a group a value is drawn uniformly, so the groups are all that the picture tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emosym.data.storybook.world import (
    FACES,
    OBJECTS,
    SIDES,
    SKY_OBJECTS,
    SPLITS,
    Story,
    staged,
)
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.seeds import numpy_rng

# All the probabilities that pictures are drawn by.
FIRST = 0.5  # of the first cue of a pair to be in its second group
FLIP = 0.02  # of the second cue to be the wrong one
COUNTS = {0: (1.0, 0.0, 0.0), 1: (0.0, 0.6, 0.4)}  # of 1, 2 or 3 objects, where one or several

ROOM = 2  # things in the sky, and on the ground
Groups = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Appraisal:
    """One bit of an emotion, and the two cues (groups 0 and 1 each) whose difference shows it.

    `words` say what 0 and 1 mean.
    """

    name: str
    first: str
    second: str
    groups: tuple[Groups, Groups]
    words: tuple[str, str]


BRIGHT = ("golden sunlight", "clear daylight", "a rainbow sky", "a starry night")
ROUGH = ("a lightning storm", "grey rain", "white mist", "falling snow")
ROOFED = ("fairground", "city street", "village", "cave")
OPEN_LAND = ("mountain lake", "sea beach", "flower meadow", "swamp")
HARSH = OBJECTS[8:]  # bat, spider, skull, rubbish bin
NICE = OBJECTS[:8]
AWAY = ("sitting", "lying", "crouching", "arms crossed")
TOWARDS = ("jumping", "running", "dancing", "arms spread")
ONE, SEVERAL = ("one",), ("several",)
SHUT = (FACES[0], FACES[4], FACES[5])
OPENED = (FACES[1], FACES[2], FACES[3])

APPRAISALS: tuple[Appraisal, ...] = (
    # Rough weather under a roof, or fair weather in the open: well.
    Appraisal("valence", "light", "scene", ((ROUGH, BRIGHT), (OPEN_LAND, ROOFED)), ("ill", "well")),
    # Away from what is harsh, or towards what is not: under control.
    Appraisal(
        "control",
        "object",
        "action",
        ((HARSH, NICE), (TOWARDS, AWAY)),
        ("beyond control", "under control"),
    ),
    # Open-mouthed among several things, or silent with one: together.
    Appraisal("people", "count", "mouth", ((ONE, SEVERAL), (OPENED, SHUT)), ("apart", "together")),
)
# The two groups of values of each of the six cues.
CUE_GROUPS: dict[str, Groups] = {
    cue: found
    for appraisal in APPRAISALS
    for cue, found in zip((appraisal.first, appraisal.second), appraisal.groups, strict=True)
}
BITS = len(APPRAISALS)
# The emotion of each (valence, control, people).
EMOTIONS: dict[tuple[int, int, int], str] = {
    (1, 1, 1): "excitement",
    (1, 1, 0): "contentment",
    (1, 0, 1): "amusement",
    (1, 0, 0): "awe",
    (0, 1, 1): "anger",
    (0, 1, 0): "disgust",
    (0, 0, 1): "sadness",
    (0, 0, 0): "fear",
}
Bits = tuple[int, int, int]
LABEL_OF: dict[Bits, int] = {bits: MIKELS8.index(word) for bits, word in EMOTIONS.items()}
BITS_OF: dict[int, Bits] = {label: bits for bits, label in LABEL_OF.items()}


def draw_appraisal_story(
    seed: int, index: int, split: str = "train", level: str = "appraisal"
) -> Story:
    """Draw story `index` of a split: the same for the same arguments on every machine.

    `level` names the random stream.

    Raises:
        UsageError: for an unknown split or a negative index.
    """
    if split not in SPLITS:
        raise UsageError(f"Unknown split {split!r}. Valid: {', '.join(SPLITS)}.")
    if index < 0:
        raise UsageError(f"A story's index must be 0 or more, got {index}.")
    rng = numpy_rng(seed, f"storybook-{level}-{split}", index)
    bits = tuple(int(rng.integers(2)) for _ in APPRAISALS)
    label = LABEL_OF[bits]  # type: ignore[index]
    shown: dict[str, int] = {}
    for appraisal, bit in zip(APPRAISALS, bits, strict=True):
        first = int(rng.random() < FIRST)
        shown[appraisal.first] = first
        shown[appraisal.second] = first ^ bit ^ int(rng.random() < FLIP)

    def pick(cue: str) -> str:
        values = CUE_GROUPS[cue][shown[cue]]
        return values[int(rng.integers(len(values)))]

    light, scene, action, mouth = (pick(cue) for cue in ("light", "scene", "action", "mouth"))
    count = int(rng.choice([1, 2, 3], p=COUNTS[shown["count"]]))
    items = CUE_GROUPS["object"][shown["object"]]
    objects = _placeable([items[i] for i in rng.permutation(len(items))], count)
    side = SIDES[int(rng.integers(len(SIDES)))]
    return staged(
        rng,
        index=index,
        split=split,
        label=label,
        votes=tuple(float(i == label) for i in range(len(MIKELS8))),
        mixed=False,
        scene=scene,
        light=light,
        objects=objects,
        face=mouth,
        action=action,
        side=side,
    )


def _placeable(items: list[str], count: int) -> tuple[str, ...]:
    """Return the first `count` of shuffled things for which sky and ground have room."""
    taken: list[str] = []
    for item in items:
        row = [other for other in taken if (other in SKY_OBJECTS) == (item in SKY_OBJECTS)]
        if len(taken) < count and len(row) < ROOM:
            taken.append(item)
    return tuple(sorted(taken, key=OBJECTS.index))


def cues_of(story: Story) -> dict[str, int]:
    """Return the group (0 or 1) of each of the six cues of a story."""
    values = {
        "light": story.light,
        "scene": story.scene,
        "object": story.objects[0],
        "action": story.action,
        "count": "several" if len(story.objects) > 1 else "one",
        "mouth": story.face,
    }
    return {cue: int(values[cue] in groups[1]) for cue, groups in CUE_GROUPS.items()}


def shown_bits(story: Story) -> Bits:
    """Return the appraisals as the picture shows them, which one in fifty shows wrongly."""
    cues = cues_of(story)
    valence, control, people = (cues[a.first] ^ cues[a.second] for a in APPRAISALS)
    return valence, control, people


def posterior_of_bits(shown: Bits) -> np.ndarray:
    """Return the exact P(emotion | appraisals shown), (8,), under equal priors."""
    return posterior_of_chances(np.array([shown], dtype=np.float64))[0]


def posterior_of_chances(ones: np.ndarray) -> np.ndarray:
    """Return the exact P(emotion), (N, 8), where each appraisal shows a 1 with the chance `ones`.

    `ones` (N, 3) are independent; of certain appraisals they are 0 or 1.
    """
    found = np.ones((len(ones), len(MIKELS8)))
    for label, bits in BITS_OF.items():
        for place, bit in enumerate(bits):
            shown = ones[:, place] if bit else 1 - ones[:, place]
            found[:, label] *= shown * (1.0 - FLIP) + (1 - shown) * FLIP
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def appraisal_posterior_of(story: Story) -> np.ndarray:
    """Return the exact P(emotion | picture), (8,)."""
    return posterior_of_bits(shown_bits(story))


def is_missing_cell(light: str, scene: str) -> bool:
    """Say whether a light and a scene are one of the quarter of pairs that have no labels.

    One in four of every light and of every scene, and of every kind of light with every kind of
    scene: without them no cue tells more or less than before.
    """
    (rough, bright), (open_land, roofed) = APPRAISALS[0].groups
    row, column = (*rough, *bright).index(light), (*open_land, *roofed).index(scene)
    return (row + column) % 4 == 0


def in_missing_cell(story: Story) -> bool:
    """Say whether a story's light and scene have no labelled pictures; see `is_missing_cell`."""
    return is_missing_cell(story.light, story.scene)
