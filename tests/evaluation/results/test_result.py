from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result, read_result, subject_of, write_result
from emosym.provenance import git_hash


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    values = {"accuracy": 0.5, "auc": None, "confusion": [[1, 2], [3, 4]], "recall": [0.1, None]}
    result = make_result("understanding", values, 10, 3, extractors={"judge-a": "00ff"})
    write_result(tmp_path / "results" / "u.json", result)
    found = read_result(tmp_path / "results" / "u.json")
    assert found == result
    assert found["values"] == values
    assert (found["n"], found["seed"], found["mode"]) == (10, 3, "corrected")
    assert {"emosym", "python", "torch"} <= set(found["versions"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "emosym.result/2"}, "emosym.result/1"),
        ({"mode": "wrong"}, "mode must be"),
        ({"n": -1}, "0 or more"),
        ({"n": True}, "'n' has the wrong type"),
        ({"values": {"accuracy": float("nan")}}, "finite number"),
        ({"values": {"accuracy": "high"}}, "finite number"),
        ({"values": {"recall": [0.5, float("inf")]}}, "finite number"),
        ({"extractors": {"judge": 3}}, "must map names to text"),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"created": None}, "'created' has the wrong type"),
        ({"subject": "test"}, "'subject' has the wrong type"),
        ({"subject": {"model": None, "split": "test", "n": 2}}, "'subject' lacks 'ids'"),
        ({"subject": {**subject_of(None, "test", ["a"]), "n": "2"}}, "'n' has the wrong type"),
    ],
)
def test_what_does_not_follow_the_schema_is_refused_and_not_written(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    result = {**make_result("x", {"accuracy": 0.5}, 10, 3), **change}
    with pytest.raises(UsageError, match=said):
        write_result(tmp_path / "x.json", result)
    assert not list(tmp_path.iterdir())


def test_a_missing_field_and_a_broken_file_are_named(tmp_path: Path) -> None:
    result = make_result("x", {"accuracy": 0.5}, 10, 3)
    del result["seed"]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(result))
    with pytest.raises(UsageError, match=r"x\.json lacks 'seed'"):
        read_result(path)
    path.write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        read_result(path)
    path.write_text("[]")
    with pytest.raises(UsageError, match="not a JSON object"):
        read_result(path)


def test_git_hash_is_a_commit_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = git_hash()
    assert found is None or len(found.removesuffix("-dirty")) == 40
    monkeypatch.setenv("PATH", "")
    assert git_hash() is None


def test_the_subject_names_model_split_and_ordered_ids(tmp_path: Path) -> None:
    subject = subject_of("00ff", "test", ["b", "a"])
    digest = hashlib.sha256(b"b\na\n").hexdigest()
    assert subject == {"model": "00ff", "split": "test", "ids": digest, "n": 2}
    assert subject_of("00ff", "test", ["a", "b"])["ids"] != digest
    assert subject_of("00ff", "test", ["b\udcff"])["n"] == 1  # ids may be undecodable file names
    write_result(tmp_path / "r.json", make_result("x", {}, 2, 0, subject=subject))
    assert read_result(tmp_path / "r.json")["subject"] == subject
    assert "subject" not in make_result("x", {}, 2, 0)  # results without one stay valid
