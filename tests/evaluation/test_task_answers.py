"""Answers of EmoVerse's tasks measured: results, intervals over conversations, a row an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from emosym.data.action_units import UNITS
from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result
from emosym.evaluation.task_answers import Answered, answered, task_result, write_task_results
from emosym.tasks.names import open_task
from emosym.tasks.task import Unparsed
from emosym.types import CausePair, Sample, Turn

MELD = LABEL_SPACES["meld7"]


def dialogues(count: int = 6) -> list[Sample]:
    """Return two samples of each dialogue: turn 2 is angry because of turn 1, turn 3 is calm."""
    found = []
    for number in range(count):
        turns = (
            Turn("Ann", f"I sold it, {number}.", emotion="neutral"),
            Turn("Bo", "You what?", (Path("bo.png"),), emotion="anger"),
            Turn("Ann", "Yes.", emotion="neutral"),
        )
        truth: dict[str, Any] = {
            "mer": "anger",
            "msa": -1.5,
            "fer": ("AU04", "AU07"),
            "eri": "Brows lowered; he is angry.",
            "ecpe": (CausePair(1, "anger", 0),),
            "text_emotion": ("anger", "surprise"),
        }
        found.append(Sample(f"d{number}u1", turns, 1, truth))
        calm = {**truth, "mer": "neutral", "msa": 0.0, "ecpe": (), "text_emotion": ("neutral",)}
        found.append(Sample(f"d{number}u2", turns, 2, calm))
    return found


def spoken(name: str, say: dict[int, str]) -> Answered:
    """Return answers to the dialogues: one for turns of each place."""
    samples = dialogues()
    task = open_task(name, MELD)
    return answered(name, task, samples, answers=[say[sample.focus or 0] for sample in samples])


def test_every_task_gives_a_result_with_intervals_and_baselines(tmp_path: Path) -> None:
    tasks = [
        spoken("msa", {1: "Negative.", 2: "hm"}),
        spoken("mer", {1: "Angry.", 2: "Anger."}),
        spoken("fer", {1: "Brows lowered.", 2: "Brows lowered."}),
        spoken("eri", {1: "He is angry.", 2: "He is sad."}),
        spoken("ecpe", {1: "2_anger,1", 2: "None"}),
        spoken("ecpe_predicted", {1: "2_anger,2", 2: "3_joy,1"}),
        spoken("text_emotion", {1: "Anger.", 2: "Neutral, joy."}),
    ]
    path = tmp_path / "dev.json"
    written = write_task_results(path, tasks, seed=1, split="dev", answers=tmp_path / "a.parquet")
    results = {where.name: read_result(where)["values"] for where, _ in written}
    assert list(results) == [f"dev-{found.name}.json" for found in tasks]
    mer = results["dev-mer.json"]
    assert mer["accuracy"] == 0.5 == mer["majority_accuracy"] and mer["conversations"] == 6
    # every dialogue has one right and one wrong answer, so drawing dialogues moves nothing
    assert mer["accuracy_interval"] == [0.5, 0.5]
    ecpe = results["dev-ecpe.json"]
    assert ecpe["pair_f1"] == 1.0
    # 2_anger,2 is wrong; 2_anger,1 right: 2 * 6 / (12 + 6)
    assert ecpe["self_and_previous_pair_f1"] == pytest.approx(2 / 3)
    assert ecpe["pair_f1_minus_self_and_previous"] == pytest.approx(1 / 3)
    assert ecpe["pair_f1_minus_self_and_previous_interval"] == pytest.approx([1 / 3, 1 / 3])
    assert results["dev-ecpe_predicted.json"]["pair_f1"] == 0.0
    msa = results["dev-msa.json"]
    assert msa["unreadable"] == 0.5 and msa["acc2_positive_interval"] == [1.0, 1.0]
    assert results["dev-fer.json"]["micro_f1_interval"] == pytest.approx([2 / 3, 2 / 3])
    assert results["dev-eri.json"]["cue_precision"] == 0.5
    assert results["dev-text_emotion.json"]["micro_f1"] == pytest.approx(2 * 12 / (18 + 18))
    assert written[2][1]["labels"] == list(UNITS)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 7 * 12
    assert rows[1]["answer"] == "hm" and rows[1]["prediction"] is None and rows[1]["score"] == 0.0
    assert rows[1]["unread"] == "it names no label"
    by_task = {(row["task"], row["id"]): row for row in rows}
    assert by_task["ecpe", "d0u1"]["truth"] == by_task["ecpe", "d0u1"]["prediction"] == "2_anger,1"
    assert by_task["ecpe", "d0u2"]["score"] == 1.0
    assert by_task["fer", "d0u1"]["score"] == pytest.approx(2 / 3)


def test_intervals_are_wider_over_conversations_that_agree() -> None:
    task = open_task("mer", MELD)
    truths = ["anger"] * 8
    said = ["anger"] * 4 + ["joy"] * 4
    ids = [f"s{i}" for i in range(8)]
    alone = task_result(Answered("mer", task, ids, ids, said, truths))["values"]
    pairs = [f"g{i // 4}" for i in range(8)]
    together = task_result(Answered("mer", task, ids, pairs, said, truths))["values"]
    assert together["accuracy_interval"] == [0.0, 1.0]
    low, high = alone["accuracy_interval"]
    assert 0.0 < low < 0.5 < high < 1.0
    one = task_result(Answered("mer", task, ids, ["g"] * 8, said, truths))["values"]
    assert one["accuracy_interval"] is None and one["accuracy"] == 0.5


def test_intervals_are_of_the_values_beside_them() -> None:
    task = open_task("mer", MELD)
    truths = ["anger", "joy", "fear", "joy", "neutral", "joy"]
    said = ["anger", "fear", "fear", "joy", Unparsed("", "it is empty"), "joy"]
    ids = [f"s{i}" for i in range(6)]
    values = task_result(Answered("mer", task, ids, ids, said, truths))["values"]
    for name in ("accuracy", "weighted_f1", "macro_f1"):
        low, high = values[f"{name}_interval"]
        assert low < values[name] < high
    again = task_result(Answered("mer", task, ids, ids, said, truths))["values"]
    assert again == values


def test_predictions_without_words_are_measured_too(tmp_path: Path) -> None:
    samples = dialogues()
    task = open_task("ecpe", MELD)
    pairs = [(CausePair(1, "anger", 0),) if s.focus == 1 else () for s in samples]
    found = answered("ecpe", task, samples, pairs)
    ((path, result),) = write_task_results(tmp_path / "one.json", [found])
    assert path == tmp_path / "one.json" and result["values"]["compat_pair_f1"] == 1.0
    assert found.groups[:4] == ["d0u1", "d0u1", "d1u1", "d1u1"]
    with pytest.raises(UsageError, match="no truth for mer"):
        answered("mer", open_task("mer", MELD), [Sample("x", samples[0].turns)], ["joy"])
    with pytest.raises(UsageError, match="predictions or answers"):
        answered("mer", open_task("mer", MELD), samples)
