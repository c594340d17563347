"""Words about the appraisals that a picture shows: written from its cues, blind to the label.

Captions name none of this. Each sentence says, in words that all pictures share, what two cues come
to, and then which they are and how they stand together. What they come to is said first, since
after the cues it could be read off the words just said, and no latent would have to know it.
"""

from __future__ import annotations

import numpy as np

from emosym.data.storybook.appraisal.world import APPRAISALS, Bits, cues_of, shown_bits
from emosym.data.storybook.words import mouth_of
from emosym.data.storybook.world import Story

WEATHER = {
    "golden sunlight": "sunlight",
    "clear daylight": "daylight",
    "a rainbow sky": "rainbow",
    "a starry night": "starry night",
    "a lightning storm": "storm",
    "grey rain": "rain",
    "white mist": "mist",
    "falling snow": "snow",
}
GOES = ("It goes ill", "It goes well")
HOLDS = ("It is beyond control", "It is under control")
STANDS = ("They are apart", "They are together")


def appraisal_sentences(story: Story) -> tuple[str, str, str]:
    """Return three sentences: what the picture's cues come to, and how they stand together."""
    choice = np.random.default_rng([story.wording, 2])

    def pick(*options: str) -> str:
        return options[int(choice.integers(len(options)))]

    cues, (valence, control, people) = cues_of(story), shown_bits(story)
    weather, scene, item = WEATHER[story.light], story.scene, story.objects[0]
    reach = (
        pick(
            f"the {weather} cannot reach the child in the {scene}",
            f"the {scene} keeps the {weather} off the child",
        )
        if cues["scene"]
        else pick(
            f"the {weather} reaches the child at the {scene}",
            f"the {scene} lets the {weather} in to the child",
        )
    )
    grasp = (
        pick(f"the child stays away from the {item}", f"the {item} is out of reach")
        if cues["action"]
        else pick(f"the child goes up to the {item}", f"the {item} is in reach of the child")
    )
    mouth = mouth_of(story.face)
    among = "several things are" if cues["count"] else "one thing is"
    voice = (
        f"{among} there and the child is silent, mouth {mouth}"
        if cues["mouth"]
        else f"{among} there and the child calls out, mouth {mouth}"
    )
    return (
        f"{GOES[valence]}: {reach}.",
        f"{HOLDS[control]}: {grasp}.",
        f"{STANDS[people]}: {voice}.",
    )


def appraisal_rationale_of(story: Story) -> str:
    """Return what in the picture moves a viewer: the three sentences, one after another."""
    return " ".join(appraisal_sentences(story))


def state_in_words(bits: Bits) -> str:
    """Return a state of the three appraisals in words, such as 'well, under control, apart'."""
    return ", ".join(a.words[bit] for a, bit in zip(APPRAISALS, bits, strict=True))
