from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
from tests.toy_wheels import HEADER, write_sheet, write_wheels

from emosym.data.wheel_tables import read_wheels, wheel_rings
from emosym.errors import UsageError


def test_words_forms_and_rings(tmp_path: Path) -> None:
    wheels = read_wheels(write_wheels(tmp_path))
    assert wheels.forms["fear"] == ("afraid", "fear", "fearless")
    assert wheels.forms["cheer"] == ("cheerful",)
    assert wheels.synonyms["fearless"] == ("brave",)
    assert wheels.synonyms["gloomy"] == ("sad",)  # of both runs, in any case, once
    assert wheels.synonyms["jealous"] == ("jealous",)  # a word of a wheel is its own synonym
    inner, second = wheels.rings[0]
    assert inner["witty"] == inner["bold"] == inner["glad"] == "glad"
    assert second["witty"] == second["playful"] == "playful"
    assert second["glad"] == "bold"  # the alphabetically first of bold and playful
    assert inner["cast down"] == "mad"  # where it stands last
    assert wheels.rings[1][0]["glad"] == "good"
    assert pickle.loads(pickle.dumps(wheels)) == wheels  # rewards are sent to other processes


def test_wheels_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="columns level1, level2, level3"):
        wheel_rings([("a", "b", "c")], "x")
    with pytest.raises(UsageError, match="row 2: no word of the inner rings"):
        wheel_rings([HEADER, ("", "Playful", "Cheeky")], "x")
    with pytest.raises(UsageError, match="row 3: no word of the inner rings"):
        wheel_rings([HEADER, ("Glad", "Playful", ""), ("Sad", "", "Lonely")], "x")
    assert wheel_rings([HEADER, ("", "", ""), ("A", "B", "")], "x")[0] == {"a": "a", "b": "a"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"synonym\.xlsx does not exist"):
        read_wheels(tmp_path / "nowhere")
    for kind in ("synonym.xlsx", "wheel3.xlsx", "format.csv"):
        folder = write_wheels(tmp_path / kind)
        whole = (folder / kind).read_bytes()
        for content in (b"", b"PK\x03\x04", b"\x00" * 99, whole[: len(whole) // 2]):
            (folder / kind).write_bytes(content)
            if kind.endswith("xlsx"):
                with pytest.raises(UsageError, match=kind):
                    read_wheels(folder)
    folder = write_wheels(tmp_path / "columns")
    write_sheet(folder / "synonym.xlsx", [("word", "like"), ("a", "b")])
    with pytest.raises(UsageError, match="word_run1, synonym_run1"):
        read_wheels(folder)
    folder = write_wheels(tmp_path / "forms")
    (folder / "format.csv").write_text("a,b\nc,d\n")
    with pytest.raises(UsageError, match="columns name and format"):
        read_wheels(folder)


def test_a_workbook_that_unpacks_to_too_much(tmp_path: Path) -> None:
    folder = write_wheels(tmp_path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/workbook.xml", b" " * (65 * 1024 * 1024))
    (folder / "synonym.xlsx").write_bytes(packed.getvalue())
    with pytest.raises(UsageError, match="unpacks to"):
        read_wheels(folder)
