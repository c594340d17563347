"""Reading on Ray: the rows of one process, from two actors, of which one dies."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from scripts import kill_an_actor as killing
from tests.apps.conftest import command

from emosym.errors import EmoSymError, UsageError
from emosym.ray import Reader, start
from emosym.service.picture_reader import open_picture_reader
from emosym.service.sinks import parquet_table
from emosym.service.wanted import Wanted

__all__ = ("command",)
CLUSTER = importlib.util.find_spec("ray") is not None and bool(os.environ.get("EMOSYM_RAY"))


@pytest.fixture(scope="module")
def folder(tiny_pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    for number, picture in enumerate(tiny_pictures.pictures[:6]):
        Image.fromarray(picture).save(root / f"{number}.png")
    (root / "torn.png").write_bytes(b"\x89PNG torn")
    return root


def test_a_batch_gives_the_rows_of_one_process(folder: Path, tiny_checkpoint: Path) -> None:
    paths = sorted(folder.iterdir())
    opened = open_picture_reader(Wanted(model=str(tiny_checkpoint), device="cpu"))
    wanted = parquet_table(opened.rows(paths), opened.space)
    reader = Reader(str(tiny_checkpoint), device="cpu")
    batch = {"path": [str(path) for path in paths], "bytes": [p.read_bytes() for p in paths]}
    found = reader({name: np.array(some, dtype=object) for name, some in batch.items()})
    assert found.equals(wanted) and found["error"].null_count == len(paths) - 1
    images = {"source": ["a"], "image": [np.asarray(Image.open(paths[0]))]}
    assert reader(images)["emotion"].to_pylist() == wanted["emotion"].to_pylist()[:1]
    with pytest.raises(UsageError, match="what its pictures are called"):
        reader({"bytes": [b""]})
    with pytest.raises(UsageError, match="no column 'bytes' or 'image'"):
        reader({"path": ["a"]})


def test_options_that_do_not_go_together(command, tmp_path: Path, monkeypatch) -> None:
    asked = ("understand", tmp_path, "--engine")
    for more, told in (
        (("spark",), "Unknown engine 'spark'"),
        (("ray",), "--out FOLDER"),
        (("ray", "--out", tmp_path / "o", "--csv", "a.csv"), "nothing else"),
    ):
        code, _, err = command(*asked, *more)
        assert code == 2 and told in err
    code, _, err = command("understand", tmp_path, "--out", "x")
    assert code == 2 and "--out goes with --engine ray" in err
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = command(*asked, "ray", "--out", tmp_path / "o")
    assert code == 1 and "pip install 'emosym[ray]'" in err


class Slow:
    """What `start` asks of Ray, where the machine is too busy: its words of release 2.60."""

    def __init__(self) -> None:
        self.ended = False

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: object) -> None:
        raise Exception(
            "The current node timed out during startup. This could happen because some of the "
            "raylet failed to startup or the GCS has become overloaded."
        )

    def shutdown(self) -> None:
        self.ended = True


def test_a_start_that_takes_too_long_is_one_sentence(monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    slow = Slow()
    with pytest.raises(EmoSymError) as told:
        start(slow)
    assert slow.ended  # nothing of it is left to run
    assert "The current node timed out during startup; it gives" in str(told.value)
    assert str(told.value).count(". ") == 0 and "--engine" in str(told.value)
    with socket.socket() as cluster:
        cluster.bind(("127.0.0.1", 0))
        cluster.listen()
        address = f"127.0.0.1:{cluster.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(EmoSymError, match=f"RAY_ADDRESS names .{address}. cannot be joined"):
            start(Slow())
    nobody = Slow()  # Ray would try for many minutes to reach it
    with pytest.raises(EmoSymError, match=r"cannot be joined: .*refused; see by `ray status`"):
        start(nobody)
    assert not nobody.ended
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(EmoSymError, match="timed out during startup"):
        start(Slow())


# slow: it starts a small cluster, two actors that import torch, and one of them once more
@pytest.mark.slow
@pytest.mark.skipif(not CLUSTER, reason="it starts a cluster: needs the extra ray and EMOSYM_RAY=1")
def test_two_actors_one_of_which_dies(folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for copy in range(8):
        for path in folder.iterdir():
            shutil.copy(path, many / f"{copy}-{path.name}")
    out = tmp_path / "out"
    kill = killing.read_and_kill([str(many), "-m", str(tiny_checkpoint), "--part", "2"], out, 28)
    assert not psutil.pid_exists(kill.victim)
    assert kill.missing, "it held no part when it died"
    assert kill.after and kill.victim not in kill.after
    opened = open_picture_reader(Wanted(model=str(tiny_checkpoint), device="cpu"))
    wanted = parquet_table(opened.rows(sorted(many.iterdir())), opened.space).to_pylist()
    found = killing.rows_of(out)
    assert [row["source"] for row in found] == [row["source"] for row in wanted]
    assert killing.differences(found, wanted) == 0
    told = json.loads((out / "summary.json").read_text())
    assert told == {"rows": 56, "read": 48, "bad": 8, "outside": told["outside"]}
    assert not [path for path in out.iterdir() if "tmp" in path.name]


def test_rows_that_differ_are_counted() -> None:
    rows = [{"source": "a", "confidence": 0.5}, {"source": "b", "confidence": None}]
    near = [{"source": "a", "confidence": 0.50005}, rows[1]]
    assert killing.differences(rows, near) == 0
    assert killing.differences(rows, near[:1]) == 1
    assert killing.differences(rows, [{**near[0], "confidence": 0.6}, {"source": "b"}]) == 2
