"""Faces said as phrases, and reasons measured by the cues they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.data.action_units import UNITS
from emosym.emotions import LABEL_SPACES, own_space
from emosym.errors import UsageError
from emosym.tasks.eri import cues_in, eri, eri_grounded
from emosym.tasks.fer import fer
from emosym.tasks.task import Unparsed
from emosym.types import CausePair, Sample, Turn

FACE = Path("face.png")
SAMPLE = Sample(
    "d",
    (Turn("Ann", "Oh no!", (FACE,)),),
    0,
    {"fer": ("AU25", "AU04"), "eri": 'Brows lowered. She says "oh no": she is afraid.'},
)
MELD = LABEL_SPACES["meld7"]


def test_faces_are_phrases() -> None:
    assert fer().teach(SAMPLE)[-1].parts == ("Brows lowered; lips parted.",)
    asked = fer("emoverse").conversation(SAMPLE)[1].parts
    assert asked == (FACE, "Detail the facial expressions used in the image.")
    with pytest.raises(UsageError, match="no picture of a face"):
        fer().conversation(Sample("d", (Turn("Ann", "Oh no!"),), 0))


def test_face_answers() -> None:
    assert fer().parse("Eyes narrowing; Slightly puzzled") == ("AU07",)
    assert fer().parse("AU12, brows LOWERD") == ("AU04", "AU12")
    assert fer().parse("None.") == ()
    for said in ("", "Slightly puzzled", "a nice face " * 50_000):
        assert isinstance(fer().parse(said), Unparsed)


def test_face_values_are_by_unit() -> None:
    truths = [("AU04", "AU25"), ("AU04",), ()]
    values = fer().measure([("AU04",), Unparsed("?", "?"), ("AU12",)], truths)
    each = dict(zip(UNITS, values["f1_per_label"], strict=True))
    assert each["AU04"] == pytest.approx(2 / 3) and each["AU25"] == each["AU12"] == 0.0
    assert each["AU45"] is None and values["macro_f1"] == pytest.approx(2 / 9)
    assert values["micro_f1"] == pytest.approx(2 / 5)
    # "brows lowered" of all: 2 hits of 3 + 3
    assert values["constant_micro_f1"] == pytest.approx(4 / 6)
    with pytest.raises(UsageError, match="AU77"):
        fer().measure([()], [("AU77",)])
    assert fer().reward(["Brows lowered.", "None"], label=[("AU04", "AU25"), ()]) == [
        pytest.approx(2 / 3),
        1.0,
    ]


def test_cues_of_a_reason() -> None:
    found = cues_in("Lips parted, she said \u201cWhere is it?\u201d and is angry.", MELD)
    assert found["face"] == {"AU25"} and found["emotion"] == {"anger"}
    assert found["words"] == {"where"}
    planted = {"the dog": ("dog", "puppy"), "the cat": ("cat",)}
    assert cues_in("Her Puppy ran off; concatenate.", MELD, planted)["known"] == {"the dog"}


def test_reasons_are_measured_beside_anothers() -> None:
    truths = ["Brows lowered; he is angry.", "Lips parted; she is afraid."]
    said = ["The brows lowered: anger, or fear.", Unparsed("", "it is empty")]
    values = eri().measure(said, truths)
    # named: AU04, anger, fear; there: AU04, anger and AU25, fear
    assert values["cue_precision"] == pytest.approx(2 / 3) and values["cue_recall"] == 0.5
    assert values["recall_face"] == 0.5 and values["recall_words"] is None
    assert values["other_cue_f1"] == 0.0 and values["unreadable"] == 0.5
    known = eri(known={"the dog": ("dog",)}).measure(["A dog."], ["The dog is gone."])
    assert known["recall_known"] == 1.0
    assert eri().reward(["He is angry."], label=[truths[0]]) == [pytest.approx(2 / 3)]


def test_a_rationale_is_taught_where_there_is_no_reason() -> None:
    bare = Sample("d", SAMPLE.turns, 0, rationale=" Lips parted. ")
    assert eri().teach(bare)[-1].parts == ("Lips parted.",)
    assert str(eri(template="emoverse").conversation(SAMPLE)[1].parts[-1]).startswith(
        'The person says: "Oh no!" <reason> What is'
    )


def test_an_emotion_of_several_words_is_a_cue() -> None:
    named = cues_in("This is self-pity.", own_space(["self-pity", "joy"]))
    assert named["emotion"] == {"self-pity"}


def test_a_grounded_reason_is_asked_of_the_turn_its_emotion_and_what_caused_it() -> None:
    turns = (
        Turn("Ann", "The dog is gone."),
        Turn("Bo", "We have time."),
        Turn("Cy", "Oh no!", (Path("cy.png"),), emotion="sadness"),
    )
    pairs = (CausePair(1, "joy", 1), CausePair(2, "sadness", 0))  # of another turn; of this one
    sample = Sample("d", turns, 2, {"ecpe": pairs, "eri": "The dog is gone."})
    asked, answer = eri_grounded(MELD).teach(sample)
    words = "Cy: Oh no!\nCy feels sadness.\nIt is caused by:\nAnn: The dog is gone.\nSay why."
    assert asked.parts == (Path("cy.png"), words) and answer.parts == ("The dog is gone.",)
    plain = Sample("d", (Turn(None, "Oh no!"),), 0, {"mer": "sadness", "eri": "Why not."})
    (alone,) = eri_grounded(MELD).conversation(plain)
    assert alone.parts == ("Oh no!\nThe speaker feels sadness.\nSay why.",)
    with pytest.raises(UsageError, match="'d' has no emotion"):
        eri_grounded(MELD).conversation(Sample("d", (Turn(None, "Oh no!"),), 0))
