"""Pictures in parts: the same plan every time, files whole, stores beyond this machine."""

from __future__ import annotations

import io
import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from emosym.errors import EmoSymError, UsageError
from emosym.service.parts import (
    Out,
    Part,
    columns_of,
    file_system,
    find_files,
    pictures_of,
    plan_parts,
)
from emosym.types import BadInput, StoredImage


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (9, 9), level).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def store() -> str:
    """A store beyond this machine, as far as fsspec goes: the memory of this process."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for level in (3, 1, 2):
        system.pipe_file(f"/pictures/{level}.png", png(level))
    system.pipe_file("/pictures/notes.txt", b"no picture")
    return "memory://pictures"


def bytes_of(found: StoredImage | BadInput) -> bytes | None:
    return None if isinstance(found, BadInput) else found.read()


def test_a_store_is_searched_through_and_its_names_are_addresses(store: str) -> None:
    files = find_files([store])
    assert files == find_files([f"{store}/*.png"]) == find_files([f"{store}/*"])
    assert [name for name, _ in files] == [f"memory:///pictures/{n}.png" for n in (1, 2, 3)]
    assert all(name == address for name, address in files)
    parts = plan_parts(files, 2)
    assert [part.count for part in parts] == [2, 1] and parts[1].name == "part-000001.parquet"
    assert Part.load(parts[0].dump()) == parts[0]
    read = [(name, bytes_of(found)) for name, found in pictures_of(parts[1])]
    assert read == [("memory:///pictures/3.png", png(3))]
    with pytest.raises(UsageError, match="is not there"):
        find_files(["memory://nowhere/a.png"])
    with pytest.raises(UsageError, match="names no picture"):
        find_files([f"{store}/*.txt"])


def test_files_here_have_the_names_of_the_shell(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(png(5))
    ((name, address),) = find_files(["mine"])
    assert (name, address) == ("mine/a.png", str(tmp_path / "mine" / "a.png"))
    with pytest.raises(UsageError, match="matches no picture"):
        find_files(["nothing.png"])


def test_rows_of_parquet_are_pictures_whatever_their_row_groups(tmp_path: Path) -> None:
    cells = [{"bytes": png(n), "path": None} for n in range(4)] + [{"bytes": None, "path": "x"}]
    names = ["a", "b", None, "d", "e"]
    path = tmp_path / "some.parquet"
    parquet.write_table(pa.table({"path": names, "image": cells}), path, row_group_size=2)
    parts = plan_parts(find_files([str(tmp_path)]), 3)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 5)]
    read = [(name, found) for part in parts for name, found in pictures_of(part)]
    assert [name for name, _ in read] == ["a", "b", f"{path}#2", "d", "e"]
    assert [bytes_of(found) for _, found in read[:4]] == [png(n) for n in range(4)]
    assert isinstance(read[4][1], BadInput) and "holds no bytes" in read[4][1].error
    with pytest.raises(UsageError, match="no column 'bytes' or 'image'"):
        columns_of(["text"], "x")


def test_a_table_that_went_is_a_row_for_each_of_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    parquet.write_table(pa.table({"bytes": [png(1), png(2)]}), path)
    (part,) = plan_parts(find_files([str(path)]), 10)
    path.unlink()
    read = list(pictures_of(part))
    assert [name for name, _ in read] == [f"{path}#0", f"{path}#1"]
    assert all(isinstance(found, BadInput) for _, found in read)
    path.write_bytes(b"no table")
    with pytest.raises(UsageError, match="is no Parquet file"):
        plan_parts([(str(path), str(path))], 10)


@pytest.mark.parametrize("where", ["memory", "here"])
def test_parts_are_gone_on_with_and_counted(where: str, store: str, tmp_path: Path) -> None:
    address = "memory://out/readings" if where == "memory" else str(tmp_path / "out")
    parts, about = plan_parts(find_files([store]), 2), {"model": "m"}
    out = Out(address)
    assert out.done() == set()
    out.begin(about, parts, resume=False)
    rows = {"error": ["torn", None], "outside": pa.array([None, True], pa.bool_())}
    out.write(parts[0], pa.table(rows))
    again = Out(address)
    assert again.done() == {0}
    with pytest.raises(UsageError, match="add --resume to go on"):
        again.begin(about, parts, resume=False)
    again.begin(about, parts, resume=True)
    with pytest.raises(UsageError, match="parts of another run"):
        again.begin({"model": "n"}, parts, resume=True)
    again.write(parts[1], pa.table({"error": pa.nulls(1), "outside": [False]}))
    assert again.finish(parts) == {"rows": 3, "read": 2, "bad": 1, "outside": 1}
    with again.system.open(f"{again.path}/summary.json") as stream:
        assert json.load(stream)["rows"] == 3
    names = {str(name).rsplit("/", 1)[-1] for name in again.system.ls(again.path, False)}
    assert names == {"plan.json", "summary.json", "part-000000.parquet", "part-000001.parquet"}


def test_a_store_without_its_library_names_it() -> None:
    if fsspec.utils.get_protocol("s3://x") in fsspec.available_protocols():
        try:
            import s3fs  # noqa: F401
        except ImportError:
            with pytest.raises(EmoSymError, match="pip install s3fs"):
                file_system("s3://bucket/a.png")
    with pytest.raises(UsageError, match="nosuch"):
        file_system("nosuch://bucket/a.png")
