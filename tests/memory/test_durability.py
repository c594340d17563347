"""Kills, readers beside a writer, and what a power loss leaves."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.memory.makers import entry

import emosym
from emosym.errors import EmoSymError
from emosym.memory.bank import Bank, BankRules
from emosym.memory.storage import newest_manifest

ROOT = Path(__file__).resolve().parents[2]
BATCH = 16
# Batch k holds entries k * BATCH ...; it says so only after it is written. `capacity` adds a second
# commit, an eviction, to each.
WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from emosym.memory.bank import Bank, BankRules
from tests.memory.makers import entry
bank = Bank.open(Path(sys.argv[1]), create=True)
first, last, batch = map(int, sys.argv[2:5])
rules = BankRules("train_on", capacity=int(sys.argv[5]) or None)
made = [entry(i, i % 8) for i in range(batch)]
print("ready", flush=True)
for k in range(first, last):
    time = f"2026-01-01T00:{k // 60:02d}:{k % 60:02d}Z"
    part = [
        replace(e, id=f"e{k * batch + i}", provenance=replace(e.provenance, created=time))
        for i, e in enumerate(made)
    ]
    bank.add(part, rules)
    print(k, flush=True)
"""


def start_writer(path: Path, first: int, last: int, capacity: int = 0) -> subprocess.Popen[str]:
    source = str(Path(emosym.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), *map(str, (first, last, BATCH, capacity))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((source, str(ROOT)))},
    )


def whole_batches(bank: Bank) -> list[int]:
    """Check every entry; return the numbers of the batches, each of which must be whole."""
    entries = bank.read()
    assert all(hashlib.sha256(e.image).hexdigest() == e.sha256 for e in entries)
    numbers = [int(e.id[1:]) for e in entries]
    batches = sorted({n // BATCH for n in numbers})
    assert numbers == [k * BATCH + i for k in batches for i in range(BATCH)]
    return batches


# Each writer is a new interpreter that imports the database: seconds on a busy machine.
@pytest.mark.slow
def test_kill_9_while_writing_loses_at_most_that_batch(tmp_path: Path) -> None:
    path, done = tmp_path / "bank", -1
    # Two kills, each at another place of the write; the next writer goes on where it was.
    for delay in (0.003, 0.037):
        writer = start_writer(path, done + 1, 10_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        for _ in range(3):
            done = int(writer.stdout.readline())
        time.sleep(delay)
        writer.kill()
        said = writer.stdout.read().split("\n")[:-1]
        writer.wait()
        done = max([done, *map(int, said)])
        batches = whole_batches(Bank.open(path))
        assert batches in (list(range(done + 1)), list(range(done + 2)))
        done = len(batches) - 1
    bank = Bank.open(path)
    bank.add([entry(10**6)])
    assert len(bank) == (done + 1) * BATCH + 1


# Slow for the same reason.
@pytest.mark.slow
def test_kill_9_while_evicting_keeps_whole_batches(tmp_path: Path) -> None:
    writer = start_writer(tmp_path / "bank", 0, 10_000, capacity=2 * BATCH)
    assert writer.stdout is not None
    for _ in range(6):
        last = writer.stdout.readline()
    time.sleep(0.011)
    writer.kill()
    writer.wait()
    batches = whole_batches(Bank.open(tmp_path / "bank"))
    # Adding and evicting are two commits: one batch more may be there.
    assert len(batches) in (2, 3)
    assert batches == list(range(batches[0], batches[-1] + 1))
    assert batches[-1] >= int(last)


# Slow for the same reason.
@pytest.mark.slow
def test_a_reader_in_another_process_sees_whole_batches_as_they_come(tmp_path: Path) -> None:
    reader = Bank.open(tmp_path / "bank", create=True)
    writer = start_writer(tmp_path / "bank", 0, 25)
    counts = [0]
    while writer.poll() is None or counts[-1] < 25 * BATCH:
        counts.append(len(whole_batches(reader)) * BATCH)
        assert counts[-1] >= counts[-2]
        assert len(reader.nearest(entry(0).feature, 3)) in (0, 3)
        assert writer.poll() in (None, 0)
        time.sleep(0.05)  # the writer's turn, where there is one core
    assert counts[-1] == 25 * BATCH
    assert len(set(counts)) > 3, "the reader never saw the bank grow"


def test_a_fixed_version_outlives_an_eviction_by_another_handle(tmp_path: Path) -> None:
    writer = Bank.open(tmp_path / "bank", create=True)
    writer.add([entry(0), entry(1)])
    fixed, live = Bank.open(tmp_path / "bank").at(1), Bank.open(tmp_path / "bank")
    writer.prune(1)
    assert [len(fixed), len(live)] == [2, 1]


def table(path: Path) -> Path:
    return path / "entries.lance"


def test_a_manifest_without_bytes_costs_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    bank = Bank.open(path, create=True)
    bank.add([entry(0)])
    bank.add([entry(1)])
    newest = newest_manifest(table(path))
    assert newest is not None
    newest.write_bytes(b"")
    again = Bank.open(path)
    assert [e.id for e in again.read()] == ["e0"]
    again.add([entry(2)], BankRules("train_on", capacity=2))
    assert [e.id for e in Bank.open(path).read()] == ["e0", "e2"]


def data_files(path: Path) -> list[Path]:
    return sorted((table(path) / "data").glob("*.lance"), key=lambda p: p.stat().st_mtime_ns)


def test_a_data_file_without_bytes_costs_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    bank = Bank.open(path, create=True)
    for i in range(3):
        bank.add([entry(i)])
        time.sleep(0.01)
    data_files(path)[-1].write_bytes(b"")
    assert [e.id for e in Bank.open(path).read()] == ["e0", "e1"]
    assert len(list((path / "damaged").iterdir())) == 1


def test_damage_to_older_data_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    bank = Bank.open(path, create=True)
    for i in range(3):
        bank.add([entry(i)])
        time.sleep(0.01)
    data_files(path)[0].write_bytes(b"")
    before = sorted(p.relative_to(path) for p in path.rglob("*.manifest"))
    with pytest.raises(EmoSymError, match="is damaged"):
        Bank.open(path)
    assert sorted(p.relative_to(path) for p in path.rglob("*.manifest")) == before


def test_a_first_batch_that_never_ended_leaves_an_empty_bank(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    Bank.open(path, create=True)
    (table(path) / "data").mkdir(parents=True)
    (table(path) / "data" / "half.lance").write_bytes(b"half")
    bank = Bank.open(path)
    assert len(bank) == 0
    bank.add([entry(0)])
    assert [e.id for e in Bank.open(path).read()] == ["e0"]
