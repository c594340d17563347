"""Tables as others ship them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from emosym.data.tables import PictureNames, column_of, read_table
from emosym.errors import UsageError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_line_ends_and_marks(tmp_path: Path, end: str, mark: str) -> None:
    path = tmp_path / "t.csv"
    lines = [f'"Images-name"{mark} Awe', f'"a b.jpg"{mark}1', "", f"c.jpg{mark} 2 "]
    path.write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    table = read_table(path)
    assert table.header == ("Images-name", "Awe")
    assert table.rows == (("a b.jpg", "1"), ("c.jpg", "2"))
    assert column_of(table, ("file", "imagesname")) == 0 and column_of(table, ("file",)) is None


def test_spaces_between_fields_and_in_names(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("image Awe Fear\ncaf\xe9 au lait.jpg 1 2\n2.jpg 3 4\n".encode("latin-1"))
    assert read_table(path).rows == (("café au lait.jpg", "1", "2"), ("2.jpg", "3", "4"))


def test_quoted_line_ends_stay_in_their_cell(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file,awe\n"a\nb.jpg",1\n')
    assert read_table(path).rows == (("a\nb.jpg", "1"),)


def test_tables_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "short.csv").write_text("file,awe\n")
    with pytest.raises(UsageError, match="no row below its header"):
        read_table(tmp_path / "short.csv")


def test_pictures_are_found_by_name_stem_and_letters(tmp_path: Path) -> None:
    for name in ("images/Acorns 1.jpg", "images/7.png", "other/7.png", "dog_4.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    names = PictureNames(tmp_path)
    assert names.find("Acorns 1.jpg") == names.find("Acorns 1") == "images/Acorns 1.jpg"
    assert names.find("acorns_1") == "images/Acorns 1.jpg"
    assert names.find("7.png") == names.find("7") == "images/7.png"
    assert names.find("other/7.png") == "other/7.png"
    assert names.find("Dog 4") == "dog_4.jpg"
    assert names.find("gone") == "images/gone.jpg" and names.find("a/b.png") == "images/a/b.png"
    assert PictureNames(tmp_path / "nothing").find("x") == "x.jpg"
