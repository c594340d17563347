"""The knowledge base on disk: whole at any moment, one writer, and never another file's end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emosym.annotate.knowledge import (
    Knowledge,
    Row,
    journal_path,
    open_knowledge,
    read_knowledge,
    write_knowledge,
)
from emosym.errors import EmoSymError, UsageError

ROW = Row(
    "a", "0" * 64, "A red kite in the sky.", "ok", None, "server", "toy", "v1", True, 10, 5, 0.25,
    "2026-01-02T03:04:05.000006+00:00",
)  # fmt: skip
BARE = replace(
    ROW, id="b", rationale=None, status="refused", reason="no", tokens_in=None, tokens_out=None,
    cost=None, created="2026-01-02T03:04:05+00:00",
)  # fmt: skip


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    write_knowledge(path, Knowledge({row.key: row for row in (BARE, ROW)}, {"v1": "What?"}))
    found = read_knowledge(path)
    assert found.rows == {ROW.key: ROW, BARE.key: BARE} and found.prompts == {"v1": "What?"}
    table = pq.read_table(path)
    assert table.column("id").to_pylist() == ["a", "b"]
    assert table.schema.field("created").type == pa.timestamp("us", tz="UTC")
    assert table.column("cost").to_pylist() == [0.25, None]


def test_closing_merges_and_removes_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kb.parquet"
    with open_knowledge(path) as journal:
        journal.name_prompt("v1", "What?")
        journal.add([ROW])
        assert not path.exists() and journal_path(path).exists()
    assert [file.name for file in path.parent.iterdir()] == ["kb.parquet"]
    with open_knowledge(path) as journal:
        assert journal.knowledge.rows == {ROW.key: ROW}
        journal.add([replace(ROW, rationale="Another one."), BARE])
    assert read_knowledge(path).rows[ROW.key].rationale == "Another one."
    assert len(read_knowledge(path).rows) == 2


def test_a_run_without_answers_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    with open_knowledge(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_and_an_interrupt_keep_what_was_added(tmp_path: Path) -> None:
    for error in (RuntimeError, KeyboardInterrupt):
        path = tmp_path / f"{error.__name__}.parquet"
        with pytest.raises(error), open_knowledge(path) as journal:
            journal.add([ROW])
            raise error
        assert len(read_knowledge(path).rows) == 1 and not journal_path(path).exists()


def write_and_die(path: Path, code: str) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from emosym.annotate import knowledge\n"
        "from tests.annotate.test_knowledge import ROW, BARE\n"
        f"with knowledge.open_knowledge(Path({str(path)!r})) as journal:\n{code}"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=root)
    assert done.returncode == -9


def test_a_kill_keeps_whole_lines_and_drops_a_cut_one(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    write_and_die(
        path,
        "    journal.name_prompt('v1', 'What?')\n    journal.add([ROW])\n"
        '    os.write(journal.handle, b\'{"id": "cut o\')\n'
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    assert not path.exists() and journal_path(path).exists()
    with pytest.raises(UsageError, match="stopped before the end: start it again"):
        read_knowledge(path)
    with open_knowledge(path) as journal:  # the killed process holds no lock
        assert journal.knowledge.rows == {ROW.key: ROW}
        assert journal.knowledge.prompts == {"v1": "What?"}
        journal.add([BARE])
    assert set(read_knowledge(path).rows) == {ROW.key, BARE.key}


def test_a_kill_between_merging_and_removing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    write_and_die(
        path,
        "    journal.add([ROW])\n    write = knowledge.write_knowledge\n"
        "    def dying(*given):\n        write(*given)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    knowledge.write_knowledge = dying\n",
    )
    assert path.exists() and journal_path(path).exists()
    with open_knowledge(path):
        pass
    assert read_knowledge(path).rows == {ROW.key: ROW} and not journal_path(path).exists()


ODD = os.fsdecode(b"caf\xe9.png")


def test_a_name_that_is_no_utf8_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    other = os.fsdecode(b"caf\xe8.png")
    with open_knowledge(path) as journal:
        journal.name_prompt("v1", f"What is {ODD}?")
        journal.add([replace(ROW, id=name, rationale=f"{name} \ud83d!") for name in (ODD, other)])
    rows = read_knowledge(path).rows
    assert sorted(row.id for row in rows.values()) == [r"caf\udce8.png", r"caf\udce9.png"]
    assert rows[r"caf\udce9.png", ROW.sha256].rationale == r"caf\udce9.png \ud83d!"


def test_a_poisoned_journal_heals_and_keeps_every_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As an older version left it: names that Parquet cannot hold, and lines of something else."""
    path = tmp_path / "kb.parquet"
    lines = [
        json.dumps({**asdict(ROW), "id": ODD}),
        '{"id": "half',
        json.dumps({**asdict(ROW), "tokens_in": "many"}),
        json.dumps({**asdict(ROW), "created": "yesterday"}),
        json.dumps({**asdict(ROW), "status": "well"}),
        json.dumps({**asdict(ROW), "news": 1}),
        "[]",
        "7",
        json.dumps({"prompts": {"v1": ODD}}),
        json.dumps(asdict(BARE)),
    ]
    content = "\n".join(lines).encode() + b"\n\x00\xff\n" + json.dumps(asdict(ROW)).encode() + b"\n"
    journal_path(path).write_bytes(content)
    with open_knowledge(path):
        pass
    found = read_knowledge(path)
    assert {row.id for row in found.rows.values()} == {r"caf\udce9.png", "a", "b"}
    assert found.rows[ROW.key] == ROW and found.prompts == {"v1": r"caf\udce9.png"}
    assert "8 line(s) of the journal" in caplog.text
    assert (tmp_path / ".kb.parquet.journal.unread").read_bytes() == content
    assert not journal_path(path).exists()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    with open_knowledge(path) as journal:
        journal.add([ROW])
        with (
            pytest.raises(EmoSymError, match=r"Another run is writing to .*kb\.parquet\."),
            open_knowledge(path),
        ):
            pass
    with open_knowledge(path) as journal:
        assert len(journal.knowledge.rows) == 1


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kb.parquet"
    with pytest.raises(UsageError, match=r"no knowledge base.*emosym data annotate"):
        read_knowledge(path)
    for content, match in ((b"text", "is not a knowledge base"), (b"", "is not a knowledge base")):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=match), open_knowledge(path) as journal:
            journal.add([ROW])
        assert path.read_bytes() == content
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(UsageError, match="Parquet file but not a knowledge base"):
        read_knowledge(path)
    write_knowledge(path, Knowledge({ROW.key: ROW}))
    table = pq.read_table(path)
    told = {b"emosym": json.dumps({"format": 99}).encode()}
    pq.write_table(table.replace_schema_metadata(told), path)
    with pytest.raises(UsageError, match="format 99; this version reads 1"):
        read_knowledge(path)
