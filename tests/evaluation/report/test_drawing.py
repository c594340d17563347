from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from emosym.evaluation.report import figures
from emosym.evaluation.report.drawing import FORMATS, TIP, Plot, inline, save
from emosym.evaluation.report.palette import CYCLE, LIGHT, colours_of, places_of

EVIL = '<b>"x"</b>'


def bar(figure: Figure, narrow: bool) -> None:
    axes = figure.subplots()
    piece = axes.barh(0, 3.0, color=LIGHT["accent"])[0]
    piece.set_gid(f"{TIP}{EVIL}")
    axes.set_xlabel("narrow" if narrow else EVIL)


def test_a_figure_takes_the_pages_colours_and_keeps_its_text() -> None:
    drawn = inline(Plot(EVIL, bar, (3.0, 2.0)))
    assert "fill: var(--accent)" in drawn
    assert not re.search("#[0-9a-f]{6}", drawn)
    assert ">&lt;b&gt;" in drawn and "<b>" not in drawn  # a <text>, not outlines of letters
    assert '<title>&lt;b&gt;"x"&lt;/b&gt;</title>' in drawn
    assert 'aria-label="&lt;b&gt;' in drawn and "http" not in drawn
    assert inline(Plot(EVIL, bar, (3.0, 2.0))) == drawn
    both = inline(Plot("", bar, (3.0, 2.0), (2.0, 2.0)))
    assert both.count("<svg") == 2 and ">narrow</text>" in both
    ids = re.findall(' id="([^"]+)"', both)
    assert len(ids) == len(set(ids))
    assert set(re.findall('(?:url\\(|href=")#([^)"]+)', both)) == set(ids)


def test_a_figure_is_written_in_every_format(tmp_path: Path) -> None:
    paths = save(figures.confusion(("calm", "wild"), [[3, 1], [0, 0]]), tmp_path / "confusion")
    assert [path.suffix[1:] for path in paths] == list(FORMATS)
    assert paths[0].read_bytes().startswith(b"%PDF")
    with Image.open(paths[1]) as picture:
        assert picture.width == 1560 and picture.getpixel((2, 2))[:3] == (255, 255, 255)
    assert ">75</text>" in paths[2].read_text()


def test_labels_keep_their_colours() -> None:
    found = places_of(["joy", "anger", "fear", "calm"])
    assert (found["anger"], found["fear"]) == (4, 6)
    assert (found["joy"], found["calm"]) == (0, 1)  # free: amusement and awe are not asked for
    many = colours_of([f"label {number}" for number in range(30)])
    assert {many[f"label {number}"] for number in range(30)} == {light for light, _ in CYCLE}


def test_what_nothing_is_known_of_is_not_drawn() -> None:
    empty = inline(figures.reliability([4, 0], [0.2, None], [0.5, None]))
    assert empty.count("said 20.0 %, right 50.0 %, 4 readings") == 4  # bar and gap, both widths
    curve = inline(figures.answered([1.0, 0.5, 0.0], [0.8, 0.9, None]))
    assert curve.count("50.0 % answered, 90.0 % of those right") == 2
    assert "0.0 % answered, " not in re.sub("[15]0+.0 % answered", "", curve)
