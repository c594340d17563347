from __future__ import annotations

import pytest

from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.data.storybook.dialogues.reasons import reason_of
from emosym.data.storybook.dialogues.rules import SILENT_FACES, true_emotion
from emosym.data.storybook.dialogues.vocabulary import NEUTRAL, gist_of
from emosym.data.storybook.world import OBJECTS
from emosym.errors import UsageError


def test_a_conversation_is_a_function_of_its_number() -> None:
    assert draw_dialogue(1, 5, "test") == draw_dialogue(1, 5, "test")
    assert draw_dialogue(1, 5, "test") != draw_dialogue(1, 6, "test")
    assert draw_dialogue(1, 5, "train") != draw_dialogue(2, 5, "train")
    with pytest.raises(UsageError, match="Unknown split 'dev'"):
        draw_dialogue(1, 5, "dev")


def test_what_is_planted_holds_in_every_conversation() -> None:
    for index in range(200):
        dialogue = draw_dialogue(3, index, "val")
        assert 2 <= len(dialogue.turns) <= 6
        things = [event.thing for event in dialogue.events]
        assert len(set(things)) == len(things)
        for place, turn in enumerate(dialogue.turns):
            event = dialogue.event(turn.about)
            assert (turn.emotion == NEUTRAL) == (turn.cause is None) == (turn.sentiment == 0)
            assert turn.shot.face == turn.showing.face
            kind = None if event is None else event.kind
            assert true_emotion(turn.showing.face, turn.showing.claim, kind) == turn.emotion
            if turn.emotion == NEUTRAL:
                assert turn.showing.face in SILENT_FACES and reason_of(dialogue, place) is None
            if event is None:
                continue
            assert event.thing in turn.text
            if event.turn == place and event.thing in OBJECTS:
                assert event.thing in turn.shot.objects
            elif event.turn != place:  # the picture does not give the cause away
                assert not set(things) & set(turn.shot.objects)


def test_a_reason_names_speaker_emotion_face_and_what_happened() -> None:
    told = 0
    for index in range(60):
        dialogue = draw_dialogue(4, index)
        for place, turn in enumerate(dialogue.turns):
            reason, event = reason_of(dialogue, place), dialogue.event(turn.cause)
            if reason is None or event is None:
                continue
            told += 1
            gist = gist_of(event.kind, event.happening, event.thing, event.teller)
            assert gist in reason and turn.showing.face in reason
            assert turn.speaker in reason and turn.emotion in reason
    assert told > 60
