"""Words about a story: a caption of geometry only, a rationale, and questions with answers.

None of them holds an emotion word, nor a word that judges: they name what is in the picture.
"""

from __future__ import annotations

import numpy as np

from emosym.data.storybook.shot import Shot
from emosym.data.storybook.world import FACES, OBJECTS, SKY_OBJECTS, Story

ACTION_PHRASES = {
    "jumping": "jumping",
    "running": "running",
    "dancing": "dancing",
    "sitting": "sitting",
    "lying": "lying down",
    "crouching": "crouching",
    "arms crossed": "with arms crossed",
    "hands on hips": "with hands on hips",
    "arms spread": "with arms spread",
}
SIDE_PHRASES = {"left": "on the left", "middle": "in the middle", "right": "on the right"}
SCENE_PHRASES = {
    "golden sunlight": "in",
    "clear daylight": "in",
    "a rainbow sky": "under",
    "a lightning storm": "in",
    "a red sunset": "under",
    "a starry night": "in",
    "grey rain": "in",
    "white mist": "in",
    "falling snow": "in",
}
LIGHT_NOTES = {
    "golden sunlight": ("warm light lies over everything", "long rays gild the air"),
    "clear daylight": ("the sky is wide and bright", "white clouds drift in a blue sky"),
    "a rainbow sky": ("a bow of colours spans the sky", "colours arch over the land"),
    "a lightning storm": ("a bolt splits the dark clouds", "the sky flashes and hangs low"),
    "a red sunset": ("the sky burns red", "a low sun paints all things red"),
    "a starry night": ("stars stand in a deep blue sky", "it is night and the moon is out"),
    "grey rain": ("rain falls from low clouds", "everything is grey and wet"),
    "white mist": ("mist swallows the distance", "the far things fade to white"),
    "falling snow": ("snow falls without a sound", "flakes drift through cold air"),
}
ACTION_NOTES = {
    "jumping": ("leaps with both arms up", "is off the ground, arms thrown up"),
    "running": ("runs at full stride", "is running, legs wide apart"),
    "dancing": ("dances, one arm up and one leg out", "is dancing on one foot"),
    "sitting": ("sits on the ground", "is sitting, legs stretched out"),
    "lying": ("lies on the ground", "is lying down"),
    "crouching": ("crouches, arms round the knees", "is folded small over the knees"),
    "arms crossed": ("keeps both arms crossed", "stands still with arms crossed"),
    "hands on hips": ("stands with hands on hips", "has both elbows out, hands on hips"),
    "arms spread": ("stands with arms spread", "holds both arms wide open"),
}
NUMBERS = ("no", "one", "two", "three")


def with_article(name: str) -> str:
    """Return the name with 'a' or 'an'."""
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def place_of(x: float, sky: bool) -> str:
    """Return the phrase for a place: x is 0..1 from the left."""
    column = "left" if x < 0.35 else "right" if x > 0.65 else "middle"
    if sky:
        return "at the top" if column == "middle" else f"at the top {column}"
    return SIDE_PHRASES[column]


def object_places(story: Story | Shot) -> list[tuple[str, str]]:
    """Return (object, place phrase) for every object of a story."""
    return [
        (item, place_of(x, item in SKY_OBJECTS))
        for item, (x, _) in zip(story.objects, story.places, strict=True)
    ]


def setting_in_words(scene: str, light: str) -> str:
    """Return a scene with a light, such as 'a cave in white mist'."""
    return f"{with_article(scene)} {SCENE_PHRASES[light]} {light}"


def setting_of(story: Story | Shot) -> str:
    """Return the scene of a story with its light."""
    return setting_in_words(story.scene, story.light)


def caption_of(story: Story | Shot) -> str:
    """Return the caption: scene, light, each object with its place, the child, its face."""
    parts = [setting_of(story)]
    parts += [f"{with_article(item)} {place}" for item, place in object_places(story)]
    parts.append(f"a child {ACTION_PHRASES[story.action]} {SIDE_PHRASES[story.side]}")
    parts.append(story.face)
    return ", ".join(parts)


def mouth_of(face: str) -> str:
    """Return what the mouth does, such as 'turned up'."""
    return face.split(", ")[0].removeprefix("mouth ")


def brows_of(face: str) -> str:
    """Return what the brows do, such as 'raised'."""
    return face.split(", ")[1].removeprefix("brows ")


def joined(names: list[str]) -> str:
    """Return names as a list in words: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def rationale_of(story: Story) -> str:
    """Return one or two sentences that name what in the picture could move a viewer.

    Blind to the label: written from the cues alone, so a picture whose cues contradict its label
    gets a rationale that says what is seen.
    """
    choice = np.random.default_rng(story.wording)

    def pick(options: tuple[str, ...]) -> str:
        return options[int(choice.integers(len(options)))]

    light, pose = pick(LIGHT_NOTES[story.light]), pick(ACTION_NOTES[story.action])
    things = joined([with_article(item) for item in story.objects])
    scene = with_article(story.scene)
    mouth, brows = mouth_of(story.face), brows_of(story.face)
    face = pick((f"mouth {mouth}, brows {brows}", f"mouth {mouth} under {brows} brows"))
    return pick(
        (
            f"The child {pose}, {face}. In {scene} {light}, with {things} in view.",
            f"{_capital(light)} in {scene}, where the child {pose}, {face}, near {things}.",
            f"What draws the eye is the face: {face}. The child {pose} beside {things}, and over "
            f"{scene} {light}.",
            f"{_capital(things)} in {scene}, while {light}; the child {pose}, {face}.",
        )
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def questions_of(story: Story) -> list[tuple[str, str]]:
    """Return 12 questions about the picture with short answers."""
    choice = np.random.default_rng([story.wording, 1])
    places = object_places(story)
    absent = [item for item in OBJECTS if item not in story.objects]
    seen = story.objects[int(choice.integers(len(story.objects)))]
    unseen = absent[int(choice.integers(len(absent)))]
    where_item, where = places[int(choice.integers(len(places)))]
    others = [face for face in FACES if face != story.face]
    faces = (story.face, others[int(choice.integers(len(others)))])
    asked = mouth_of(faces[int(choice.integers(2))])
    return [
        ("What place is it?", story.scene),
        ("What is the light or weather?", story.light),
        (f"Is there {with_article(seen)}?", "yes"),
        (f"Is there {with_article(unseen)}?", "no"),
        (f"Where is the {where_item}?", where),
        ("How many objects are there?", NUMBERS[len(story.objects)]),
        ("Which objects are there?", joined(list(story.objects))),
        ("How is the mouth?", mouth_of(story.face)),
        ("How are the brows?", brows_of(story.face)),
        ("What is the child doing?", ACTION_PHRASES[story.action]),
        ("Where is the child?", SIDE_PHRASES[story.side]),
        (f"Is the mouth {asked}?", "yes" if asked == mouth_of(story.face) else "no"),
    ]
