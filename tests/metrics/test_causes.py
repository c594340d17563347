from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.metrics.causes import cause_values, split_pairs

ECF = LABEL_SPACES["ecf6"]


def test_pieces() -> None:
    assert split_pairs(" 3_Joy, 1; 3_joy,1 ;;4_anger,4;") == {"3_joy,1", "4_anger,4"}
    assert split_pairs("") == split_pairs(" ; ") == frozenset()


def test_by_hand() -> None:
    gold = ["3_joy,1;3_joy,2", "5_anger,5", "7_fear,6"]
    predicted = ["3_joy,1;3_joy,3", "5_anger,5", "7_sadness,6"]
    values = cause_values(predicted, gold)
    # 2 of 4 predicted and of 4 true pairs
    assert values["pair_precision"] == values["pair_recall"] == values["pair_f1"] == 0.5
    # anger 1, disgust 0, fear 0 (missed), joy 2 * 1 / (2 + 2), sadness 0 (false), surprise 0
    assert values["f1_per_emotion"] == [1.0, 0.0, 0.0, 0.5, 0.0, 0.0]
    assert values["support_per_emotion"] == [1, 0, 1, 2, 0, 0]
    assert values["weighted_f1"] == pytest.approx((1 * 1.0 + 2 * 0.5 + 1 * 0.0) / 4)
    assert values["records"] == 3
    make_result("causes", values, 3, 0)


def test_false_alarms_on_empty_records_are_free_in_compat_only() -> None:
    gold, predicted = ["1_joy,1", "", " "], ["1_joy,1", "2_joy,2;2_anger,1", ""]
    corrected, compat = (cause_values(predicted, gold, mode) for mode in ("corrected", "compat"))
    assert compat["pair_f1"] == compat["weighted_f1"] == 1.0
    assert compat["records"] == 1
    assert corrected["pair_precision"] == pytest.approx(1 / 3)
    assert corrected["pair_recall"] == 1.0
    assert corrected["pair_f1"] == pytest.approx(2 / 4)
    assert corrected["weighted_f1"] == pytest.approx(2 / 3)  # joy: 2 * 1 / (2 + 1)
    assert corrected["records"] == 3


def test_compat_takes_strings_as_they_are() -> None:
    # hits: 3_joy,1 three times; the blank, the capital and the neutral pair are wrong
    gold = ["3_joy,1;3_joy,2", "5_anger,5"]
    predicted = ["3_joy,1;3_joy,1;3_joy,1; 3_joy,2", "5_Anger,5;5_neutral,5"]
    values = cause_values(predicted, gold, "compat")
    assert values["pair_precision"] == pytest.approx(3 / 6)
    assert values["pair_recall"] == pytest.approx(3 / 3)
    assert values["pair_f1"] == pytest.approx(2 * 3 / (6 + 3))
    # joy: 3 hits of 4 predicted and 2 true, F1 = 6 / 6; anger: predicted as "Anger", so never
    assert values["f1_per_emotion"] == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert values["weighted_f1"] == pytest.approx(2 / 3)
    # the script would have stopped: five emotions are never predicted or never true
    assert values["script_fails_on_pieces"] == 0
    assert values["script_fails_on_emotions"] == 5
    corrected = cause_values(predicted, gold)
    assert corrected["pair_f1"] == pytest.approx(2 * 3 / (4 + 3))  # the neutral pair is wrong
    semeval = cause_values(predicted, gold, "semeval")
    assert semeval["pair_f1"] == 1.0  # and here it is left out
    assert not {"script_fails_on_pieces"} & (set(corrected) | set(semeval))
    make_result("causes", values, 2, 0, "compat")
    make_result("causes", semeval, 2, 0, "semeval")


def test_repeats_can_push_compat_above_one() -> None:
    values = cause_values(["1_joy,1;1_joy,1"], ["1_joy,1"], "compat")
    assert values["pair_recall"] == 2.0
    assert values["pair_f1"] == pytest.approx(4 / 3)
    assert cause_values(["1_joy,1;1_joy,1"], ["1_joy,1"], "semeval")["pair_f1"] == 1.0


def test_compat_says_where_the_published_script_would_fail() -> None:
    gold = [f"{i}_{emotion},{i}" for i, emotion in enumerate(ECF.labels, 1)]
    assert cause_values(gold, gold, "compat")["script_fails_on_emotions"] == 0
    for bad, told in (("", 1), ("1_anger,1;", 1), ("none", 1), ("joy,1;3,4", 2), ("a_b,1", 0)):
        values = cause_values([*gold, bad], [*gold, "1_anger,1"], "compat")
        assert values["script_fails_on_pieces"] == told, bad
        assert values["script_fails_on_emotions"] == 0
    assert cause_values(gold[:-1], gold[:-1], "compat")["script_fails_on_emotions"] == 1


def test_self_and_previous_stands_beside_every_score() -> None:
    gold = ["3_joy,2;3_joy,3", "5_anger,1", "1_fear,1", ""]
    targets = ["3_joy", "5_Anger", "1_fear", "2_sadness"]
    nothing = [""] * 4
    corrected = cause_values(nothing, gold, targets=targets)
    # predicted: 2 of joy, both right; 2 of anger, both wrong; 1 of fear; 2 of sadness, both wrong
    assert corrected["self_and_previous_pair_f1"] == pytest.approx(2 * 3 / (7 + 4))
    assert corrected["self_and_previous_weighted_f1"] == pytest.approx((2 * 1 + 0 + 1) / 4)
    assert corrected["pair_f1"] == 0.0
    for mode, made in (("compat", 5), ("semeval", 7)):
        found = cause_values(nothing, gold, mode, targets=targets)["self_and_previous_pair_f1"]
        assert found == pytest.approx(2 * 3 / (made + 4)), mode
    # without targets an empty gold names none, and nothing is predicted there
    assert cause_values(nothing, gold)["self_and_previous_pair_f1"] == pytest.approx(2 * 3 / 9)
    neutral = cause_values(nothing, gold, targets=[*targets[:3], "2_neutral"])
    assert neutral["self_and_previous_pair_f1"] == pytest.approx(2 * 3 / 9)
    with pytest.raises(UsageError, match="target 'sadness' of record 3"):
        cause_values(nothing, gold, targets=[*targets[:3], "sadness"])
    with pytest.raises(UsageError, match="same length"):
        cause_values(nothing, gold, targets=targets[:3])


@pytest.mark.parametrize("mode", ["corrected", "compat", "semeval"])
def test_division_by_zero_is_zero(mode: str) -> None:
    for predicted, gold in (([""], [""]), (["1_joy,1"], [""]), ([""], ["1_joy,1"])):
        values = cause_values(predicted, gold, mode)
        assert [values[k] for k in ("pair_precision", "pair_recall", "pair_f1", "weighted_f1")] == [
            0.0,
            0.0,
            0.0,
            0.0,
        ]


def test_what_is_no_pair_is_a_wrong_pair() -> None:
    for stray in ("none", "1_neutral,1", "1_joy", "joy,1", "1_joy,1,2"):
        values = cause_values([f"1_joy,1;{stray}"], ["1_joy,1"])
        assert values["pair_precision"] == 0.5, stray
        assert values["pair_recall"] == 1.0
    assert cause_values(["1_joy,1;1_joy,1"], ["1_joy,1"])["pair_precision"] == 1.0


PAIRS = [f"{i}_{emotion},{j}" for i in (1, 2) for emotion in ("joy", "anger") for j in (1, 2)]
RECORDS = st.lists(
    st.tuples(st.sets(st.sampled_from(PAIRS)), st.sets(st.sampled_from(PAIRS))), min_size=1
)


@settings(max_examples=60)
@given(RECORDS)
def test_it_is_the_library_f1_of_the_indicators(records: list[tuple[set[str], set[str]]]) -> None:
    values = cause_values([";".join(p) for p, _ in records], [";".join(g) for _, g in records])
    made, true = (
        np.asarray([[pair in record[side] for pair in PAIRS] for record in records])
        for side in (0, 1)
    )
    want = f1_score(true, made, average="micro", zero_division=0.0)
    assert values["pair_f1"] == pytest.approx(want)
    for emotion in ("joy", "anger"):
        columns = [emotion in pair for pair in PAIRS]
        want = f1_score(true[:, columns].ravel(), made[:, columns].ravel(), zero_division=0.0)
        found = values["f1_per_emotion"]
        assert isinstance(found, list)
        assert found[ECF.index(emotion)] == pytest.approx(want)


@settings(max_examples=40)
@given(RECORDS, st.sampled_from(["corrected", "compat", "semeval"]))
def test_order_and_copies_change_nothing(
    records: list[tuple[set[str], set[str]]], mode: str
) -> None:
    predicted, gold = ([";".join(sorted(r[side])) for r in records] for side in (0, 1))
    names = ("pair_precision", "pair_recall", "pair_f1", "weighted_f1")
    once, back, thrice = (
        [cause_values(p, g, mode)[name] for name in names]
        for p, g in ((predicted, gold), (predicted[::-1], gold[::-1]), (predicted * 3, gold * 3))
    )
    assert back == pytest.approx(once)
    assert thrice == pytest.approx(once)
    assert all(0.0 <= value <= 1.0 for value in once)
    perfect = cause_values(gold, gold, mode)["pair_f1"]
    assert perfect == (1.0 if any(gold) else 0.0)


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([], [], "no records"),
        (["1_joy,1"], [], "same length"),
        (["1_joy,1"], ["joy,1"], "record 0"),
        (["1_joy,1"], ["1_joys,1"], "Did you mean 'joy'"),
        ([None], ["1_joy,1"], "must be a string"),
    ],
)
def test_refusals(predicted: list[str], gold: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cause_values(predicted, gold)
    with pytest.raises(UsageError, match="mode"):
        cause_values([""], [""], "published")
