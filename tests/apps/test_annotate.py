"""`emosym data annotate` as a user runs it: also killed, mistyped, and with a key to keep.

Only what is killed or interrupted runs in a process of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.annotate.loopback import Answer, Asked, failed, free_port, loopback, rationale
from tests.annotate.makers import pictures

from emosym.annotate.knowledge import journal_path, read_knowledge
from emosym.annotate.run import Tally
from emosym.apps.cli.annotate_show import open_splits, progress_words
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret"


def process_words(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "emosym", "data", "annotate", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "EMOSYM_API"))}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120", **more}


@pytest.fixture
def run(command: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`data annotate` in this process; returns (exit code, stdout, stderr)."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "EMOSYM_API")):
            monkeypatch.delenv(name)

    def run(*words: str | Path, **more: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name, value in more.items():
                patch.setenv(name, value)
            return command("data", "annotate", *words)

    return run


def test_attributes_first_and_again(run: Any, tmp_path: Path) -> None:
    write_storybook(tmp_path / "in", {"train": 3, "val": 1, "test": 1}, 64, seed=1, workers=1)
    out = tmp_path / "kb.parquet"
    asked = (tmp_path / "in", "--source", "storybook", "--split", "train", "--out", out)
    code, told, errors = run(*asked)
    assert code == 0, errors
    assert re.search(r"written\s+3\b", told) and f"Wrote {out}" in told
    _, told, _ = run(*asked)
    assert re.search(r"already there\s+3\b", told) and "Nothing to do" in told
    rows = read_knowledge(out).rows.values()
    assert len({row.id for row in rows}) == 3 and all(row.rationale for row in rows)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--annotator", "server"), "--annotator server needs --url"),
        (("--annotator", "server", "--url", "http://127.0.0.1:1"), "needs --model-name"),
        (("--annotator", "server", "--url", "host", "--model-name", "m"), "must look like http://"),
        (("--annotator", "server", "--url", "http://127.0.0.1:1", "--model-name", "m",
          "--key-env", "sk-123"), "takes the name of an environment variable"),
        (("--out", "kb.csv"), "must end in .parquet"),
        (("--price-in", "1"), "--price-in and --price-out together"),
        (("--prompt", "What?"), "--prompt needs a model"),
        (("--label-aware",), "--label-aware needs a model"),
        (("--annotator", "vlm", "--prompt", "Why {label}?"), "{label} go together"),
        (("--annotator", "vlm", "--prompt", "@absent.txt"), "there is no such file"),
        (("--annotator", "vlm", "--base", "storybok-base"), "Did you mean 'storybook-base'"),
        (("--split", "trian"), "trian"),
        ((), "None of the 2 pictures has attributes"),
        ((), "--annotator vlm, on this machine, or --annotator server"),
        (("--source", "emosett"), "Did you mean 'emoset'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from emosym.apps.cli import main

    pictures(tmp_path / "in" / "awe", 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["emosym", "data", "annotate", "in", *words])
    with pytest.raises(SystemExit) as caught:
        main.main()
    told = " ".join(capsys.readouterr().err.split())
    assert caught.value.code == 2 and told.startswith("Error: ")
    assert sentence in told and "sk-123" not in told
    assert not list(tmp_path.glob("*.parquet")) and not list(tmp_path.glob(".*journal"))


def test_a_missing_folder_and_a_dead_server(run: Any, tmp_path: Path) -> None:
    code, _, errors = run(tmp_path / "absent", "--out", tmp_path / "kb.parquet")
    assert code == 2 and "no such folder" in errors
    pytest.importorskip("openai")
    pictures(tmp_path / "in", 4)
    url = f"http://127.0.0.1:{free_port()}"
    code, _, errors = run(
        *(tmp_path / "in", "--annotator", "server", "--url", url, "--model-name", "toy"),
        *("--retries", "0", "--out", tmp_path / "kb.parquet"),
    )
    assert code == 1 and "Traceback" not in errors
    assert "gave no usable answer for 3 pictures" in errors
    assert not (tmp_path / "kb.parquet").exists()


@pytest.mark.slow  # two processes that import the client, one after another
def test_killed_twice_asks_only_for_the_rest(run: Any, tmp_path: Path) -> None:
    """Kill -9 loses what is in flight and nothing else; the server counts."""
    pytest.importorskip("openai")
    pictures(tmp_path / "in", 30)
    out, concurrency = tmp_path / "kb.parquet", 3
    words = (
        *(tmp_path / "in", "--annotator", "server", "--model-name", "toy", "--out", out),
        *("--concurrency", str(concurrency)),
    )

    def slow(asked: Asked) -> Answer:
        time.sleep(0.05)
        return rationale(asked)

    with loopback(slow) as server:
        for enough in (8, 16):
            with subprocess.Popen(
                process_words(*words, "--url", server.url),
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                for _ in range(3000):
                    if len(server.asked) >= enough or process.poll() is not None:
                        break
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert journal_path(out).exists()
        code, _, errors = run(*words, "--url", server.url)
        assert code == 0, errors
    assert set(server.pictures()) == set(range(30))
    assert 30 <= len(server.asked) <= 30 + 2 * concurrency
    rows = read_knowledge(out).rows.values()
    assert len(rows) == 30 and {row.status for row in rows} == {"ok"}
    assert not journal_path(out).exists()


def test_the_key_is_never_shown(run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openai")
    pictures(tmp_path / "in", 3)
    words = (
        *(tmp_path / "in", "--annotator", "server", "--model-name", "toy"),
        *("--out", tmp_path / "kb.parquet", "--price-in", "2", "--price-out", "8"),
    )
    with loopback(rationale) as server:
        code, told, errors = run(*words, "--url", server.url, EMOSYM_API_KEY=KEY, EMOSYM_DEBUG="1")
        assert {one.headers["authorization"] for one in server.asked} == {f"Bearer {KEY}"}
    assert code == 0 and KEY not in told + errors + caplog.text
    assert re.search(r"tokens in / out\s+300 / 60", told)
    assert re.search(r"cost\s+0\.0011", told)  # (300 x 2 + 60 x 8) / 1e6
    pictures(tmp_path / "in", 4)
    with loopback(lambda _: failed(401, f"Incorrect API key provided: {KEY}")) as server:
        code, told, errors = run(*words, "--url", server.url, EMOSYM_API_KEY=KEY)
    assert code == 1 and KEY not in told + errors + caplog.text
    assert "key is missing or wrong" in errors and "***" in errors
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


def test_an_interrupt_keeps_what_was_answered(tmp_path: Path) -> None:
    """Ctrl-C ends at once, though a request is still open, and merges."""
    pytest.importorskip("openai")
    pictures(tmp_path / "in", 8)
    out = tmp_path / "kb.parquet"
    words = (tmp_path / "in", "--annotator", "server", "--model-name", "toy", "--out", out)

    def script(asked: Asked) -> Answer:
        if asked.number >= 4:
            time.sleep(40)
        return rationale(asked)

    with (
        loopback(script) as server,
        subprocess.Popen(
            process_words(*words, "--url", server.url, "--concurrency", "1"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background jobs ignore it, and so would what they start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        for _ in range(3000):
            if len(server.asked) >= 5 or process.poll() is not None:
                break
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=35)
        assert time.monotonic() - began < 30
    assert process.returncode == 130 and "Traceback" not in errors
    assert re.search(r"written\s+4\b", told)
    assert len(read_knowledge(out).rows) == 4 and not journal_path(out).exists()


def test_odd_keys_are_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from emosym.apps.cli.annotate_plans import read_key

    monkeypatch.setenv("MY_KEY", " sk-1 ")
    assert read_key("MY_KEY") == "sk-1" and read_key("NOT_SET_AT_ALL") is None
    for odd in ("sk-1\nsk-2", "sk 1", "sk-é"):
        monkeypatch.setenv("MY_KEY", odd)
        with pytest.raises(UsageError, match="MY_KEY holds is no key") as caught:
            read_key("MY_KEY")
        assert "sk" not in str(caught.value)


def test_another_variable_may_hold_the_key(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    pictures(tmp_path / "in", 1)
    with loopback(rationale) as server:
        code, _, errors = run(
            *(tmp_path / "in", "--annotator", "server", "--model-name", "toy", "--url", server.url),
            *("--out", tmp_path / "kb.parquet", "--key-env", "MY_KEY"),
            MY_KEY="other",
            OPENAI_API_KEY=KEY,
        )
    assert code == 0, errors
    assert server.asked[0].headers["authorization"] == "Bearer other"


@pytest.mark.slow  # the shipped base describes six pictures, token by token
def test_the_toy_base_describes_its_world(command: Any, tmp_path: Path) -> None:
    from emosym.data.storybook import write_storybook

    write_storybook(tmp_path / "book", {"train": 6, "val": 2, "test": 2}, 64, 3, 1)
    out = tmp_path / "kb.parquet"
    words = (tmp_path / "book", "--annotator", "vlm", "--split", "train", "--out", out)
    code, _, err = command("data", "annotate", *words)
    assert code == 0, err
    rows = list(read_knowledge(out).rows.values())
    assert len(rows) == 6 and all(row.model.startswith("storybook-base@") for row in rows)
    assert sum(row.status == "ok" for row in rows) >= 5


def test_splits_are_found(tmp_path: Path) -> None:
    from emosym.data.storybook import write_storybook

    write_storybook(tmp_path / "book", {"train": 5, "val": 2, "test": 1}, 64, 3, 1)

    def sizes(folder: str, *splits: str) -> list[int]:
        return [len(part) for part in open_splits(None, tmp_path / folder, splits, "mikels8")]

    assert sizes("book") == [1, 5, 2]  # test, train, val
    assert sizes("book", "val", "test") == [2, 1]
    pictures(tmp_path / "in" / "awe", 4)
    assert sizes("in") == [4]
    pictures(tmp_path / "parted" / "train" / "awe", 3)
    pictures(tmp_path / "parted" / "val" / "awe", 2)
    assert sizes("parted") == [3, 2]


def test_progress_in_words() -> None:
    tally = Tally(tokens_in=1500, tokens_out=500, counted=True, cost=0.125)
    tally.statuses["ok"] = 30
    assert progress_words(tally, 10.0) == "3.0/s  2,000 tokens  cost 0.1250"
    assert progress_words(Tally(), 0.0) == ""
