"""Emotion-cause pairs: what is shown in each setting, which answers are read, what they score."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.tasks.cause_values import emotional_turns, measure_causes
from emosym.tasks.ecpe import ecpe, true_pairs
from emosym.tasks.task import Unparsed
from emosym.types import CausePair, Sample, Turn

MELD = LABEL_SPACES["meld7"]
FACE = Path("face.png")
SAMPLE = Sample(
    "d1",
    (
        Turn("Ann", "Where is\nmy ring?", emotion="neutral"),
        Turn("Bo", "I sold it.", emotion="neutral"),
        Turn("Ann", "You what?", (FACE,), emotion="surprise"),
        Turn("Bo", "Sorry.", emotion="sadness"),
    ),
    2,
    {"ecpe": (CausePair(2, "surprise", 2), CausePair(2, "surprise", 1))},
)
WHOLE = replace(SAMPLE, focus=None)
TASK = ecpe(MELD)


def shown(sample: Sample, **wanted: str) -> str:
    parts = ecpe(MELD, **wanted).conversation(sample)[-1].parts
    return "".join(part for part in parts if isinstance(part, str))


def test_ours_shows_all_turns_with_or_without_their_emotions() -> None:
    given = shown(SAMPLE)
    assert given.startswith("1. Ann (neutral): Where is my ring?\n2. Bo (neutral): I sold it.\n")
    assert "4. Bo (sadness): Sorry.\nWhich turns caused the surprise of turn 3?" in given
    predicted = shown(SAMPLE, emotions="predicted")
    assert "surprise" not in predicted.replace('"3_surprise,1"', "")
    assert "4. Bo: Sorry.\nWhich turns caused what the speaker of turn 3 feels" in predicted
    assert "4. Bo" not in shown(SAMPLE, candidates="past")
    assert "Which turns caused which emotions?" in shown(WHOLE)
    assert TASK.teach(SAMPLE)[-1].parts == ("3_surprise,2;3_surprise,3",)
    assert TASK.teach(replace(SAMPLE, targets={"ecpe": ()}))[-1].parts == ("None",)


def test_the_published_wording_lists_earlier_turns_only() -> None:
    text = shown(SAMPLE, template="emoverse")
    before = "1_neutral. Ann: Where is my ring?\n2_neutral. Bo: I sold it.\n"
    target = "3_surprise. Ann: You what?\n"
    assert f"Input conversation:{before}{target}4_sadness. Bo: Sorry.\nCandidate" in text
    assert f"Candidate utterances:{before}Target utterance:{target}You need to return" in text
    assert "Candidate utterances:\nTarget" in shown(replace(SAMPLE, focus=0), template="emoverse")
    assert f"{target}4_sadness. Bo: Sorry.\nTarget" in shown(
        SAMPLE, template="emoverse", candidates="all"
    )
    assert ecpe(template="emoverse").teach(SAMPLE)[-1].parts == ("3_surprise,2;3_surprise,3",)
    assert ecpe(template="emoverse").teach(replace(SAMPLE, targets={"ecpe": ()}))[-1].parts == ("",)
    with pytest.raises(UsageError, match="use emotions='given'"):
        ecpe(template="emoverse", emotions="predicted")
    with pytest.raises(UsageError, match="none in focus"):
        shown(WHOLE, template="emoverse")


@pytest.mark.parametrize(
    ("answer", "pairs"),
    [
        ("5_surprise,2;5_surprise,5", [(4, "surprise", 1), (4, "surprise", 4)]),
        (" 5_Surprise , 2 ;\n5 _ surprise,2; ", [(4, "surprise", 1)]),
        ("5_suprise,2", [(4, "surprise", 1)]),
        ("3_happines,1;", [(2, "joy", 0)]),
        ('The answer is "3_excited,1".', [(2, "joy", 0)]),
        ("3_wonderment,1;4_,2", [(2, "wonderment", 0), (3, None, 1)]),
        ("3_neutral,1", [(2, "neutral", 0)]),
        ("0_joy,1;1_joy,0;2_joy,1", [(1, "joy", 0)]),
        ("", []),
        (" ; ", []),
        ("None.", []),
        ("no cause", []),
    ],
)
def test_answers(answer: str, pairs: list[tuple[int, str | None, int]]) -> None:
    assert TASK.parse(answer) == tuple(CausePair(*pair) for pair in pairs)


def test_answers_of_any_length() -> None:
    many = ";".join(f"{i}_joy,{j}" for i in range(1, 26) for j in range(1, 21))
    found = TASK.parse(many)
    assert isinstance(found, tuple) and len(found) == 500
    began = time.perf_counter()
    for odd in ("1" * 100_000, "1 " * 100_000, "1_" + "a" * 100_000, "1_joy" + " " * 100_000 + "x"):
        assert isinstance(TASK.parse(odd), Unparsed)
    assert time.perf_counter() - began < 5
    capped = TASK.parse("1_joy,1;" * 5_000 + "2_joy,2")
    assert capped == (CausePair(0, "joy", 0),)
    for said in ("because she is sad", "5", "turn 5, and 2"):
        assert isinstance(TASK.parse(said), Unparsed)


def test_values_by_hand_in_three_ways() -> None:
    truths = [
        (CausePair(2, "anger", 1), CausePair(2, "anger", 2)),
        (),
        (CausePair(4, "joy", 0),),
    ]
    said = [
        (CausePair(2, "anger", 1), CausePair(2, "neutral", 0)),
        (CausePair(3, "fear", 3),),
        Unparsed("it was funny", "it holds no pair"),
    ]
    values = TASK.measure(said, truths)
    # 1 hit of 4 pieces (the unreadable one too) and 3 true pairs
    assert values["pair_f1"] == pytest.approx(2 / 7)
    # neutral pairs are left out
    assert values["semeval_pair_f1"] == pytest.approx(2 / 6)
    # the record without a true pair is passed over
    assert values["compat_pair_f1"] == pytest.approx(2 / 6)
    # 3_anger: 2 and 3, both right; 5_joy: 4 and 5, both wrong; the empty record: nothing is asked
    assert values["self_and_previous_pair_f1"] == pytest.approx(4 / 7)
    # with the emotions that were predicted: 3_anger,3 and ,2 right; 3_neutral twice, 4_fear twice
    assert values["own_self_and_previous_pair_f1"] == pytest.approx(4 / 9)
    assert values["unreadable"] == pytest.approx(1 / 3)


def test_where_targets_are_known_the_trivial_answer_answers_them_too() -> None:
    truths = [(CausePair(2, "surprise", 1),), ()]
    asked = [[(2, "surprise")], [(3, "sadness")]]
    found = measure_causes([(), ()], truths, TASK.space, TASK.parse, asked)  # type: ignore[arg-type]
    # 3: one right of two; 4: two wrong ones
    assert found["self_and_previous_pair_f1"] == pytest.approx(2 / 5)
    alone = TASK.measure([(), ()], truths)
    assert alone["self_and_previous_pair_f1"] == pytest.approx(2 / 3)
    assert emotional_turns(SAMPLE, TASK.space) == [(2, "surprise")]  # type: ignore[arg-type]
    assert emotional_turns(WHOLE, TASK.space) == [(2, "surprise"), (3, "sadness")]  # type: ignore[arg-type]


def test_a_whole_conversation_scores_as_its_turns() -> None:
    one, two = CausePair(2, "surprise", 1), CausePair(3, "sadness", 2)
    whole = TASK.measure([(one, CausePair(3, "sadness", 3))], [(one, two)])
    turns = TASK.measure([(one,), (CausePair(3, "sadness", 3),)], [(one,), (two,)])
    shares = {name for name in turns if name not in ("unreadable",)}
    assert {name: whole[name] for name in shares} == {name: turns[name] for name in shares}


def test_raw_answers_are_scored_to_the_letter_by_the_published_script() -> None:
    truths = [(CausePair(0, "joy", 0),)]
    twice = TASK.measure(["1_joy,1;1_joy,1"], truths)
    assert twice["compat_pair_f1"] == pytest.approx(4 / 3) and twice["pair_f1"] == 1.0
    blank = TASK.measure([" 1_Joy,1"], truths)
    assert blank["compat_pair_f1"] == 0.0 and blank["pair_f1"] == 1.0
    trailing = TASK.measure(["1_joy,1;"], truths)
    assert trailing["compat_script_fails_on_pieces"] == 1


def test_truths_are_checked() -> None:
    outside = replace(SAMPLE, targets={"ecpe": (CausePair(2, "joy", 9),)})
    with pytest.raises(UsageError, match="4 turns, but a pair of turn 3 and turn 10"):
        true_pairs(outside)
    with pytest.raises(UsageError, match="must be a tuple"):
        TASK.measure([()], ["3_joy,1"])
    with pytest.raises(UsageError, match="wonder"):
        TASK.measure([()], [(CausePair(0, "wonder", 0),)])
    said = ["3_surprise,2", "None", "3_surprise,1;3_surprise,2"]
    truths = [true_pairs(SAMPLE), (), "3_surprise,2"]
    assert TASK.reward(said, label=truths) == [pytest.approx(2 / 3), 1.0, pytest.approx(2 / 3)]
