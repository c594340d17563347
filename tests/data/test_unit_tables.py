"""Tables of OpenFace and py-feat: the peak, what is present there, and rows without a face."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.data.tables import read_table
from emosym.data.unit_tables import Peak, is_action_units, peak_of, read_action_units
from emosym.errors import UsageError


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_openface(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "frame, face_id, timestamp, confidence, success, AU01_r, AU04_r, AU12_r, AU04_c, AU28_c",
        "1, 0, 0.000, 0.98, 1, 0.5, 1.0, 0.0, 1, 0",
        "2, 0, 0.033, 0.98, 1, 0.2, 3.5, 1.2, 1, 1",
        "3, 0, 0.067, 0.10, 0, 5.0, 5.0, 5.0, 1, 1",
        "4, 0, 0.100, 0.98, 1, 1.4, 2.0, 1.0, 0, 0",
    )
    found = read_action_units(path)
    assert found.units == ("AU01", "AU04", "AU12", "AU28") and found.intensity.shape == (3, 4)
    assert found.frames.tolist() == [0, 1, 3]
    # sums 1.5, 4.9, 4.4; AU12 has no _c and 1.2 of 5 is present; AU01 with .2 is not
    assert peak_of(found) == Peak(1, 0.033, ("AU04", "AU12", "AU28"))
    assert is_action_units(read_table(path))


def test_pyfeat(tmp_path: Path) -> None:
    path = write(
        tmp_path / "b.csv",
        ",frame,FaceRectX,AU01,AU2,AU43,anger",
        "0,0,10,0.1,0.2,0.0,0.9",
        "1,10,10,0.5,0.9,0.4,0.9",
        "2,20,nan,,,,",
    )
    found = read_action_units(path)
    assert found.units == ("AU01", "AU02", "AU43")
    assert peak_of(found) == Peak(10, None, ("AU01", "AU02"))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (("frame,anger", "1,2"), "no columns of action units"),
        (("frame,AU01_r,success", "1,2,0"), "tells of no face"),
        (("frame,AU01", "1,"), "tells of no face"),
        (("frame,AU01_r",), "no row below its header"),
    ],
)
def test_tables_that_tell_nothing(tmp_path: Path, rows: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_action_units(write(tmp_path / "c.csv", *rows))
