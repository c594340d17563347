"""`emosym evaluate --suites`: names, frozen samples, paintings that a stopped run finds again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emosym.apps.cli.suite_options import asked_networks
from emosym.apps.cli.suites import SUITES, asked_suites
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from emosym.data.storybook import write_storybook

    root = tmp_path_factory.mktemp("book") / "book"
    write_storybook(root, {"train": 2, "val": 2, "test": 60}, 64, 5)
    return root


def test_suites_are_named_and_run_in_their_order() -> None:
    assert asked_suites("", 0, False) == ("understanding",)
    assert asked_suites("causal, painting", 0, False) == ("painting", "causal")
    assert asked_suites("", 5, True) == ("understanding", "painting", "control")
    assert asked_suites("painting", 5, False) == ("painting",)
    with pytest.raises(UsageError, match="Did you mean 'painting'"):
        asked_suites("paintings", 0, False)
    assert asked_networks(["clip=/some/where=else"]) == {"clip": "/some/where=else"}
    with pytest.raises(UsageError, match="NAME=PATH"):
        asked_networks(["clip"])
    with pytest.raises(UsageError, match="Did you mean 'inception'"):
        asked_networks(["incepton=a"])


def test_the_model_is_an_argument_and_the_samples_are_frozen(
    command: Any, book: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    ask = (tiny_checkpoint, "--data", book, "--out", out)
    assert command("evaluate", *ask, "--limit", 20)[0] == 0
    result = read_result(out)
    assert len(result["subject"]["pictures"]) == 64 and result["hardware"]["processor"]
    low, high = result["values"]["brier_multiclass_interval"]
    assert low < result["values"]["brier_multiclass"] < high
    again = (*ask[:-1], tmp_path / "again.json", "--same-as", out)
    assert command("evaluate", *again, "--limit", 20)[0] == 0
    code, _, err = command("evaluate", *again, "--limit", 21)
    assert code == 2 and "20 samples of 'test', and these are 21 others" in err
    changed = Path(shutil.copytree(book, tmp_path / "changed"))
    picture = next((changed / "image").rglob("*test*.png"))
    for picture in sorted((changed / "image").rglob("*_test_*.png")):
        Image.new("RGB", (64, 64)).save(picture)
    code, _, err = command(
        *("evaluate", tiny_checkpoint, "--data", changed, "--out", tmp_path / "c.json"),
        *("--same-as", out, "--limit", 20),
    )
    assert code == 2 and "their pictures have changed" in err
    read = tmp_path / "r.parquet"
    assert command("evaluate", *ask, "--predictions", read)[0] == 0
    assert command("evaluate", *again[:-1], read)[0] == 0
    code, _, err = command("evaluate", *again[:-1], read, "--limit", 20)
    assert code == 2 and "Missing: 40" in err
    code, _, err = command(
        *("evaluate", tiny_checkpoint, "--data", changed, "--out", tmp_path / "c.json"),
        *("--same-as", read),
    )
    assert code == 2 and "Other pictures: 60" in err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--suites", "causall"), "Did you mean 'causal'"),
        (("--model", "storybook"), "Name the model once"),
        (("--mode", "exact"), "'corrected' or 'compat'"),
        (("--network", "clip"), "NAME=PATH"),
        (("--same-as", "nowhere.json"), "nowhere.json"),
        (("--same-as", "nowhere.parquet"), "no predictions file nowhere.parquet"),
        (("--suites", "in_domain", "--predictions", "p.parquet"), "of the suite understanding"),
    ],
)
def test_bad_requests_are_one_sentence(
    command: Any, book: Path, tiny_checkpoint: Path, tmp_path: Path, more: Any, told: str
) -> None:
    ask = (tiny_checkpoint, "--data", book, "--out", tmp_path / "r.json")
    code, _, err = command("evaluate", *ask, *more)
    assert code == 2 and told in err and not (tmp_path / "r.json").exists()


def test_what_is_lacking_is_said(command: Any, tiny_checkpoint: Path) -> None:
    code, _, err = command("evaluate", tiny_checkpoint, "--data", tiny_checkpoint)
    assert code == 2 and "--out" in err
    code, _, err = command("evaluate", tiny_checkpoint, "--out", "r.json")
    assert code == 2 and "--data" in err
    code, _, err = command("evaluate", "--data", tiny_checkpoint, "--out", "r.json")
    assert code == 2 and "Say what to measure" in err


def test_stopped_paintings_are_found_again(
    command: Any, book: Path, judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was painted before the stop stays, the rest is painted, and the numbers are the same."""
    from pyarrow import parquet

    from emosym.pipelines.trained import EmoSymPipeline

    ask = (judged, "--data", book, "--suites", "painting", "--paint", 2, "--steps", 1)
    assert command("evaluate", *ask, "--out", tmp_path / "whole.json")[0] == 0
    paint, left = EmoSymPipeline.paint, [10]

    def stopping(self: Any, request: Any, batch_size: int = 16, only: Any = None) -> Any:
        for output in paint(self, request, batch_size, only):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            yield output

    monkeypatch.setattr(EmoSymPipeline, "paint", stopping)
    out = tmp_path / "cut.json"
    assert command("evaluate", *ask, "--out", out)[0] == 130
    folder = tmp_path / "cut-paintings"
    kept = {path: path.read_bytes() for path in folder.rglob("*.png")}
    assert len(kept) == 10 and not (tmp_path / "cut-paintings.json").exists()
    (folder / "amusement" / "00001.png").write_bytes(b"not a picture")  # painted once more
    monkeypatch.setattr(EmoSymPipeline, "paint", paint)
    assert command("evaluate", *ask, "--out", out)[0] == 0
    assert all(path.read_bytes() == before for path, before in kept.items())
    first, second = (read_result(tmp_path / f"{name}-paintings.json") for name in ("whole", "cut"))
    assert first["values"] == second["values"] and "fd_judge_b" in first["values"]
    assert {"device", "dtype", "threads", "processor"} <= set(first["hardware"])
    table = parquet.read_table(tmp_path / "cut-paintings.parquet")
    assert table.num_rows == 16 and {"asked", "judge-a_awe", "judge-b_fear"} <= set(
        table.schema.names
    )
    shares = np.stack([table[f"judge-a_{label}"].to_numpy() for label in MIKELS8.labels])
    assert shares.sum(axis=0) == pytest.approx(1.0, abs=1e-4)
    code, _, err = command("evaluate", *ask, "--out", out, "--seed", 4)
    assert code == 2 and "another seed" in err
    files = [tmp_path / f"{name}-paintings.parquet" for name in ("whole", "cut")]
    code, said, err = command("compare", *files, "--out", tmp_path / "c.json")
    assert code == 0, err
    assert "16 pairs of paintings" in said and said.count("no difference shown") == 4
    found = read_result(tmp_path / "c.json")
    assert found["values"]["emo_a_judge_a_first"] == first["values"]["emo_a_judge_a"]
    assert found["extractors"] == {
        judge: first["extractors"][judge] for judge in ("judge-a", "judge-b")
    }


@pytest.mark.slow  # hundreds of paintings
def test_every_suite_of_a_trained_model_writes_its_result(
    command: Any, book: Path, judged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    suites = "explanations,causal,in_domain"
    ask = (judged, "--data", book, "--suites", suites, "--limit", 24, "--out", out)
    code, _, err = command("evaluate", *ask)
    assert code == 0, err
    assert not out.exists()
    for suite in suites.split(","):
        assert suite in SUITES
        result = read_result(tmp_path / f"r-{suite.replace('_', '-')}.json")
        assert result["name"] == suite and result["subject"]["n"] == 24
