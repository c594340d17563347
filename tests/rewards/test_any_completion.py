"""What holds for every reward: whatever a model writes is scored, and never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.toy_wheels import write_wheels

from emosym.data.wheel_tables import read_wheels
from emosym.rewards import text as t
from emosym.rewards.cues import cue_precision
from emosym.rewards.recheck import recheck
from emosym.rewards.trees import tree
from emosym.rewards.trust import trust_weighted
from emosym.rewards.units import action_units, facial_r1
from emosym.rewards.votes import agreement
from emosym.rewards.wheel import alignment, wheel, wheel_penalised
from emosym.rewards.writing import length, repetition

COMPLETIONS: list[Any] = [
    "",
    " \n\t",
    "悲伤，愤怒。",
    "Я очень рад",
    "sad " * 10_000,
    ", ".join(["fear", "awe"] * 5_000),
    "<think>",
    "</think><think></answer><answer>",
    "<think>" * 1_000,
    "<think>sad</think><answer>sad</answer><confidence>nan</confidence>",
    "<answer></answer>",
    "\ud800\x00\ufeff",
    "AU99 AU4=nan (9999)",
    [],
    [{"role": "assistant", "content": "sad"}],
    [{"role": "assistant", "content": [{"type": "image"}, {"type": "text", "text": "sad"}]}],
]
COLUMNS: dict[str, Any] = {
    "prompts": ["?"],
    "completion_ids": [[1, 2, 3]],
    "label": ["sadness"],
    "units": [["AU04"]],
    "cues": [["dog"]],
    "votes": [{"sadness": 3, "awe": 0}],
    "image": ["picture"],
    "trainer_state": None,
}


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    tables = read_wheels(write_wheels(tmp_path_factory.mktemp("wheels")))
    again = partial(recheck, read_words=lambda texts: ["?"] * len(texts))
    return {
        **t.TEXT_REWARDS,
        "wheel": partial(wheel, wheels=tables),
        "wheel_penalised": partial(wheel_penalised, wheels=tables),
        "alignment": partial(alignment, wheels=tables),
        "action_units": action_units,
        "facial_r1": facial_r1,
        "trust_weighted": partial(trust_weighted, reasoning=t.answer_format),
        "recheck": again,
        "cue_precision": partial(cue_precision, phrases={"dog": ("dog",)}),
        "repetition": repetition,
        "length": length,
        "tree": tree,
        "agreement": agreement,
    }


def test_any_completion_is_scored(rewards: dict[str, Callable[..., Any]]) -> None:
    for name, reward in rewards.items():
        for said in COMPLETIONS:
            (score,) = reward(completions=[said], **COLUMNS)
            assert score is None or math.isfinite(score), (name, str(said)[:40])


def test_no_completions_are_no_rewards(rewards: dict[str, Callable[..., Any]]) -> None:
    empty = {name: [] for name in COLUMNS if name != "trainer_state"}
    for name, reward in rewards.items():
        assert reward(completions=[], **empty) == [], name
