"""The label table: order, polarity, weights and the valence/arousal plane."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.emotions import (
    LABEL_SPACES,
    MIKELS8,
    WORD_NORMS,
    label_space,
    normal,
    own_space,
    translated,
    weights_for_affect,
)
from emosym.errors import UsageError
from emosym.space_rows import space_of_row, space_row


def test_the_order_is_emosets() -> None:
    assert MIKELS8.labels == (
        *("amusement", "awe", "contentment", "excitement"),
        *("anger", "disgust", "fear", "sadness"),
    )
    assert len(MIKELS8) == 8
    assert MIKELS8.indices("positive") == (0, 1, 2, 3)
    assert MIKELS8.indices("negative") == (4, 5, 6, 7)
    assert MIKELS8.indices("neutral") == ()


def test_every_label_of_every_space_has_a_polarity_and_stands_once() -> None:
    for space in LABEL_SPACES.values():
        assert len(set(space.labels)) == len(space)
        assert all(space.polarity(label) is not None for label in space.labels)
    assert label_space("meld7").polarity("Surprise") == "neutral"


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mikels8'"):
        label_space("mikels")
    with pytest.raises(UsageError, match=r"'sadnes'\. Did you mean 'sadness'.*\(mikels8\)"):
        MIKELS8.index("sadnes")
    assert MIKELS8.index("AWE") == 1


def test_norms_are_on_1_to_9_and_absent_where_a_word_is() -> None:
    assert all(1 <= value <= 9 for norms in WORD_NORMS.values() for value in norms)
    norms = MIKELS8.norms()
    assert norms is not None and norms[7] == WORD_NORMS["sadness"]
    assert label_space("mosei7").norms() is None


def test_weights() -> None:
    assert MIKELS8.weights("Fear") == (0, 0, 0, 0, 0, 0, 1, 0)
    assert MIKELS8.weights({"awe": 3, "fear": 1}) == (0, 0.75, 0, 0, 0, 0, 0.25, 0)
    assert MIKELS8.weights({"awe": 1, "AWE": 1}) == MIKELS8.weights("awe")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"awe": -0.1}, "must be 0 or more"),
        ({"awe": math.nan}, "must be 0 or more"),
        ({"awe": math.inf}, "must be 0 or more"),
        ({"awe": 0.0}, "sum to 0"),
        ({}, "sum to 0"),
        ({"ave": 1.0}, "Did you mean 'awe'"),
        ("hunger", "Did you mean 'anger'"),
    ],
)
def test_bad_weights(wanted, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        MIKELS8.weights(wanted)


@given(st.lists(st.floats(0, 100), min_size=8, max_size=8).filter(lambda w: sum(w) > 1e-6))
def test_weights_sum_to_1(values: list[float]) -> None:
    weights = MIKELS8.weights(dict(zip(MIKELS8.labels, values, strict=True)))
    assert sum(weights) == pytest.approx(1.0) and min(weights) >= 0


def test_affect_by_hand() -> None:
    # at a word's own norms the other words' weights are exp(-squared distance / temperature)
    valence, arousal, _ = WORD_NORMS["sadness"]
    weights = weights_for_affect(MIKELS8, valence, arousal, temperature=2.0)
    distance = (2.40 - 2.93) ** 2 + (2.81 - 6.14) ** 2
    assert weights[6] / weights[7] == pytest.approx(math.exp(-distance / 2))
    assert max(weights) == weights[7] and sum(weights) == pytest.approx(1)
    sharp = weights_for_affect(MIKELS8, valence, arousal, temperature=0.01)
    assert sharp[7] > 0.999


@given(st.floats(1, 9), st.floats(1, 9))
def test_affect_weights_sum_to_1(valence: float, arousal: float) -> None:
    weights = weights_for_affect(MIKELS8, valence, arousal, temperature=0.001)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0


@pytest.mark.parametrize(("valence", "arousal"), [(0.5, 5), (5, 9.5), (math.nan, 5), (5, math.inf)])
def test_affect_outside_the_scale(valence: float, arousal: float) -> None:
    with pytest.raises(UsageError, match=r"must lie in 1\.\.9"):
        weights_for_affect(MIKELS8, valence, arousal)
    with pytest.raises(UsageError, match="no valence/arousal norms"):
        weights_for_affect(label_space("mosei7"), 5, 5)


def test_weights_survive_any_number_and_refuse_what_is_none_in_one_sentence() -> None:
    assert MIKELS8.weights({"awe": 1e308, "fear": 1e308}) == MIKELS8.weights({"awe": 1, "fear": 1})
    assert MIKELS8.weights({"awe": 1e308, "AWE": 1e308}) == MIKELS8.weights("awe")
    assert MIKELS8.weights({"awe": 5e-324, "fear": 5e-324})[1] == 0.5
    for odd in (math.nan, math.inf, -1, "much", None, 10**400):
        with pytest.raises(UsageError, match=r"^The weight of 'awe' must be 0 or more, got"):
            MIKELS8.weights({"awe": odd})  # type: ignore[dict-item]


def test_labels_are_compared_alike_everywhere() -> None:
    assert normal("  Very_\tHappy ") == "very happy"
    assert normal("re\u0301veur") == "r\u00e9veur"  # composed, as file systems differ in it
    assert MIKELS8.index(" Awe\n") == 1 and MIKELS8.find("joy") is None
    assert MIKELS8.weights({" FEAR": 1})[6] == 1


def test_a_space_of_any_labels_knows_what_its_words_tell() -> None:
    space = own_space([" Joy", "calm", "FEAR", "sad"])
    assert space.labels == ("joy", "calm", "fear", "sad") and space.name == "joy-calm-fear-sad"
    assert [space.polarity(label) for label in space.labels] == ["positive", None, "negative", None]
    assert space.norm("fear") == WORD_NORMS["fear"] and space.norm("calm") is None
    assert space.norms() is None and space.neutral is None
    assert space.indices("negative") == (2,)
    assert own_space(MIKELS8.labels) is MIKELS8  # a published space's own words are that space
    assert own_space(["neutral", "joy"]).neutral == "neutral"
    long = own_space([f"feeling number {i}" for i in range(9)])
    assert long.name.startswith("9-labels-") and long.name != own_space(long.labels[1:]).name


def test_given_polarity_and_norms_are_kept_and_wrong_ones_refused() -> None:
    space = own_space(
        ["joy", "calm"], polarity={"Calm": "positive"}, norms={"calm": (7, 2, 6), "joy": (8, 5, 6)}
    )
    assert space.polarity("calm") == "positive" and space.polarity("joy") == "positive"
    assert space.norms() == ((8, 5, 6), (7, 2, 6))
    assert weights_for_affect(space, 7, 2)[1] > 0.5
    with pytest.raises(UsageError, match="Unknown emotion 'clam'"):
        own_space(["joy", "calm"], polarity={"clam": "positive"})
    with pytest.raises(UsageError, match="Unknown polarity of 'calm' 'positiv'"):
        own_space(["joy", "calm"], polarity={"calm": "positiv"})
    for row in ((7, 2), (7, 2, math.nan), (0, 2, 6)):
        with pytest.raises(UsageError, match=r"norms of 'calm' must be .* in 1\.\.9"):
            own_space(["joy", "calm"], norms={"calm": row})


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["joy"], "2 to 64"),
        ([f"a{i}" for i in range(65)], "2 to 64"),
        (["joy", " "], "empty"),
        (["joy", "JOY "], "twice"),
        (["joy", "../x"], "letters and digits"),
        (["joy", "x" * 41], "40 characters"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        own_space(labels)


def test_a_space_comes_back_from_its_row() -> None:
    given = own_space(["joy", "calm"], norms={"calm": (7, 2, 6)})
    for space in (*LABEL_SPACES.values(), own_space(["joy", "calm"]), given):
        back = space_of_row(json.loads(json.dumps(space_row(space))))
        assert (back.name, back.labels, back.neutral) == (space.name, space.labels, space.neutral)
        assert [back.polarity(x) for x in back.labels] == [space.polarity(x) for x in space.labels]
        assert [back.norm(x) for x in back.labels] == [space.norm(x) for x in space.labels]
    assert space_of_row(space_row(MIKELS8)) is MIKELS8
    with pytest.raises(UsageError, match="'mikels8' has other labels"):
        space_of_row({**space_row(MIKELS8), "labels": ["joy", "calm"]})
    with pytest.raises(UsageError, match="published label space"):
        own_space(["joy", "calm"], "mikels8")


@pytest.mark.parametrize(
    ("label", "space", "known_as"),
    [
        ("Happines", "mosei7", "happy"),
        ("happy", "meld7", "joy"),
        ("Joy", "emory7", "joyful"),
        ("excited", "meld7", "joy"),
        ("excited", "goemotions28", "excitement"),
        ("annoyance", "ekman7", "anger"),
        ("frustrated", "meld7", "anger"),
        ("annoyance", "emory7", "mad"),
        ("excited", "mikels8", "excitement"),
        ("love", "mikels8", None),
        ("powerful", "meld7", None),
        ("", "meld7", None),
    ],
)
def test_labels_of_other_taxonomies(label: str, space: str, known_as: str | None) -> None:
    found = translated(label, LABEL_SPACES[space])
    assert (None if found is None else LABEL_SPACES[space].labels[found]) == known_as


def test_goemotions_has_27_and_neutral_and_each_belongs_to_one_of_ekmans() -> None:
    space, six = LABEL_SPACES["goemotions28"], LABEL_SPACES["ekman7"]
    assert len(space) == 28 and space.index("neutral") == 27 and space.index("admiration") == 0
    assert all(translated(label, six) is not None for label in space.labels)
    groups = [space.indices(polarity) for polarity in ("positive", "negative", "neutral")]
    assert [len(group) for group in groups] == [12, 11, 5]
