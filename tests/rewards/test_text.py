from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.emotions import MIKELS8, label_space
from emosym.errors import UsageError
from emosym.rewards import text as t
from emosym.rewards.labels import accuracy_table, polarity_table, vad_table


def written(answer: str, sure: str | None = None, think: str = "A wide sky.") -> str:
    tail = "" if sure is None else f"<confidence>{sure}</confidence>"
    return f"<think>{think}</think><answer>{answer}</answer>{tail}"


def test_text_rewards_agree_with_the_tables() -> None:
    tables = {"accuracy": accuracy_table, "polarity": polarity_table, "vad": vad_table}
    for name, table in tables.items():
        rows = table(MIKELS8)
        for i, truth in enumerate(MIKELS8.labels):
            said = [written(answer) for answer in MIKELS8.labels]
            got = t.TEXT_REWARDS[name](said, label=[truth] * 8)
            assert got == pytest.approx(rows[i].tolist()), (name, truth)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        (written("awe"), "awe"),
        (written(" Awe. "), "awe"),
        ("awe", "awe"),
        ("**Fear!**", "fear"),
        (written("not fear"), None),
        (written("awe, fear"), None),
        (written("awe") + "<answer>fear</answer>", None),
        ("<think>awe</think>", None),
        ("<answer>awe", None),
        ("</answer>awe<answer>", None),
        (written("joy"), None),
        ("", None),
    ],
)
def test_answers_name_one_label_or_none(said: str, label: str | None) -> None:
    assert t.answer_label(said, MIKELS8) == label
    assert t.accuracy([said], label=["awe"]) == [float(label == "awe")]


@pytest.mark.parametrize(
    ("said", "good"),
    [
        (written("awe"), 1.0),
        ("  <think>a\nb</think>\n\n<answer>awe</answer>\n", 1.0),
        (written("awe", "0.8"), 1.0),
        ("awe", 0.0),
        ("<answer>awe</answer><think>x</think>", 0.0),
        (written("awe") + " so there", 0.0),
        ("well: " + written("awe"), 0.0),
        ("<think>x</think> and <answer>awe</answer>", 0.0),
        (written("awe", think=" "), 0.0),
        (written(""), 0.0),
        (written("awe") * 2, 0.0),
        ("<think><think>x</think></think><answer>awe</answer>", 0.0),
        ("<confidence>.5</confidence>" + written("awe"), 0.0),
        ("", 0.0),
    ],
)
def test_format(said: str, good: float) -> None:
    assert t.TEXT_REWARDS["format"]([said], label=["awe"]) == [good]


def test_confidence_by_hand() -> None:
    said = [written("awe", "0.8"), written("fear", "0.8"), written("fear", ".25")]
    got = t.confidence(said, label=["awe"] * 3)
    assert got == pytest.approx([2 * math.log(0.8), 2 * math.log(0.2), 2 * math.log(0.75)])


@pytest.mark.parametrize(
    "sure", [None, "1", "0", "1.5", "-0.5", "80%", "nan", "inf", "", "a", "1_0"]
)
def test_malformed_confidence_costs_five(sure: str | None) -> None:
    assert t.confidence([written("awe", sure)], label=["awe"]) == [-5.0]


def test_brier_by_hand() -> None:
    said = [written("awe", "0.8"), written("fear", "0.8"), written("joy", "0.1"), written("awe")]
    got = t.brier(said, label=["awe"] * 4)
    assert got == pytest.approx([-0.04, -0.64, -1.0, -1.0])


@given(st.floats(0.02, 0.98))
def test_saying_always_a_half_earns_less_than_the_true_chance(chance: float) -> None:
    for reward in (t.brier, t.confidence):

        def expected(stated: float, reward: t.TextReward = reward) -> float:
            said = [written(word, f"{stated:.12f}") for word in ("awe", "fear")]
            right, wrong = reward(said, label=["awe", "awe"])
            return chance * right + (1 - chance) * wrong  # type: ignore[operator]

        assert expected(chance) >= expected(0.5) - 1e-9
        if abs(chance - 0.5) > 0.1:
            assert expected(chance) > expected(0.5)


def test_confidence_without_a_label_costs_five() -> None:
    assert t.confidence([written("joy", "0.1")], label=["awe"]) == [-5.0]


@given(st.floats(0.02, 0.98))
def test_log_score_is_proper(chance: float) -> None:
    """Stating the true chance of being right earns the most: otherwise it trains bluffing."""

    def expected(stated: float) -> float:
        right, wrong = t.confidence(
            [written("awe", f"{stated:.12f}"), written("fear", f"{stated:.12f}")],
            label=["awe", "awe"],
        )
        assert right is not None
        assert wrong is not None
        return chance * right + (1 - chance) * wrong

    honest = expected(chance)
    assert all(honest >= expected(k / 20) - 1e-9 for k in range(1, 20))


def test_rows_without_truth_are_not_applicable() -> None:
    said = [written("awe", "0.8")] * 2
    for name in ("accuracy", "polarity", "vad", "confidence"):
        first, second = t.TEXT_REWARDS[name](said, label=[None, "awe"])
        assert first is None, name
        assert second is not None, name


def test_chat_messages_and_extra_columns_as_trl_sends_them() -> None:
    chat = [{"role": "assistant", "content": written("awe")}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": written("awe")}]}]
    got = t.accuracy(
        [chat, parts], prompts=["?", "?"], completion_ids=[[1], [2]], label=["awe", "fear"]
    )
    assert got == [1.0, 0.0]


def test_a_label_space_for_each_row() -> None:
    got = t.accuracy(["joy", "joy"], label=["joy", "awe"], label_space=["meld7", "mikels8"])
    assert got == [1.0, 0.0]
    assert t.polarity(["surprise"], label=["neutral"], label_space="meld7") == [1.0]
    with pytest.raises(UsageError, match=r"no valence|has no"):
        t.vad(["joy"], label=["joy"], label_space="meld7")


def test_bad_inputs_are_refused() -> None:
    for name in ("accuracy", "polarity", "vad", "confidence"):
        reward = t.TEXT_REWARDS[name]
        with pytest.raises(UsageError, match="column 'label'"):
            reward(["awe"])
        with pytest.raises(UsageError, match="as many labels"):
            reward(["awe", "awe"], label=["awe"])
        with pytest.raises(UsageError, match="as many labels"):
            reward(["awe", "awe", "awe"], label="awe")
        with pytest.raises(UsageError, match="Did you mean 'awe'"):
            reward(["awe"], label=["awee"])
        with pytest.raises(UsageError, match="label space"):
            reward(["awe"], label=["awe"], label_space="mikels9")
        with pytest.raises(UsageError, match="2 label spaces"):
            reward(["awe"], label=["awe"], label_space=["mikels8"] * 2)
        with pytest.raises(UsageError, match="text or a list"):
            reward([3], label=["awe"])


TAGS = [f"<{slash}{tag}>" for slash in ("", "/") for tag in ("think", "answer", "confidence")]
PIECES = st.sampled_from([*TAGS, "awe", "0.5", "<", ">", " ", "\n"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_breaks_a_reward(said: str) -> None:
    for name, reward in t.TEXT_REWARDS.items():
        (value,) = reward([said], label=["awe"])
        assert value is not None
        assert math.isfinite(value), name


def test_spaces_are_those_of_the_label_table() -> None:
    assert t.answer_label("happy", label_space("mosei7")) == "happy"
