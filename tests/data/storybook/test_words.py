"""Captions, rationales and questions: true to the story, short, and free of emotion words."""

from __future__ import annotations

import re

import numpy as np

from emosym.data.storybook import world
from emosym.data.storybook.words import (
    caption_of,
    mouth_of,
    questions_of,
    rationale_of,
    with_article,
)
from emosym.data.storybook.world import ACTIONS, FACES, LIGHTS, OBJECTS, SCENES, draw_story
from emosym.emotions import LABEL_SPACES

STORIES = [draw_story(1, index, "test") for index in range(800)]
STEMS = (
    "amus|awe|content|excit|ang(er|ry)|disgust|fear|sad|happ|joy|glad|scar|afraid|terri|horr|creep"
    "|eerie|gloom|cheer|smil|grin|laugh|cry|tear|weep|frown|calm|peace|fun|delight|dread|spook"
    "|lonel|griev|sorrow|mourn|upset|rage|fur(y|ious)|mad|gross|nast|wonder|thrill|surpris|merr"
    "|mood|emotion|feel|lov|hat(e|ing)|pleas|worr|anxi|unhapp|serene|neutral"
)
FORBIDDEN = re.compile(rf"\b({STEMS})", re.IGNORECASE)


def test_no_emotion_word_anywhere() -> None:
    texts = [*SCENES, *LIGHTS, *OBJECTS, *FACES, *ACTIONS]
    for story in STORIES:
        texts += [caption_of(story), rationale_of(story)]
        texts += [part for pair in questions_of(story) for part in pair]
    for text in set(texts):
        assert not FORBIDDEN.search(text), text
    assert all(FORBIDDEN.search(label) for label in LABEL_SPACES["mikels8"].labels)


def test_captions_name_everything_and_are_short() -> None:
    for story in STORIES:
        caption = caption_of(story)
        for part in (story.scene, story.light, story.face, *story.objects):
            assert part in caption
        assert len(caption.replace(",", " ").split()) <= 42


def test_caption_of_one_story_word_for_word() -> None:
    story = world.Story(
        index=0, split="train", label=0, votes=(1.0, *[0.0] * 7), mixed=False,
        scene="village", light="a red sunset", objects=("kite", "ball"), face=FACES[0],
        action="jumping", side="middle", places=((0.88, 0.17), (0.12, 0.8)), variant=0,
        looks=(0, 0, 0, 0), colours=(0, 0), facing=1, wording=5,
    )  # fmt: skip
    assert caption_of(story) == (
        "a village under a red sunset, a kite at the top right, a ball on the left, "
        "a child jumping in the middle, mouth turned up, brows level"
    )


def test_rationales_name_objects_vary_and_ignore_the_label() -> None:
    for story in STORIES:
        rationale = rationale_of(story)
        assert len(rationale.split()) <= 45
        assert story.scene in rationale and all(item in rationale for item in story.objects)
        assert mouth_of(story.face) in rationale
    assert len({rationale_of(story)[:12] for story in STORIES}) > 15


def test_questions_are_answered_by_the_story() -> None:
    answers = []
    for story in STORIES:
        asked = dict(questions_of(story))
        assert 8 <= len(asked) <= 12
        for item in OBJECTS:
            answer = asked.get(f"Is there {with_article(item)}?")
            if answer is not None:
                assert (answer == "yes") == (item in story.objects)
                answers.append(answer)
        answers += [asked[q] for q in asked if q.startswith("Is the mouth")]
    assert abs(np.mean([answer == "yes" for answer in answers]) - 0.5) < 0.03
