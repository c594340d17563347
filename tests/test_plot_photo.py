"""The figures of the reader of photographs are drawn from its run and its readings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from matplotlib.axes import Axes

SCRIPT = Path(__file__).parent.parent / "scripts" / "plot_photo.py"


def test_intervals_that_hold_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("plot_photo", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    ends = "valence_predicted,valence_low,valence_high,arousal_predicted,arousal_low,arousal_high"
    (tmp_path / "predictions.csv").write_text(
        f"name,theme,valence,arousal,{ends}\nDock 1,Dock,2,3,3,1,5,3,2,4\n"
        "Dock 2,Dock,6,5,4,3,5,5,4,6\nLake 1,Lake,4,4,4,3,5,4,3,5\n"
    )
    ends = "valence,valence_low,valence_high,arousal,arousal_low,arousal_high"
    readings = tmp_path / "readings.csv"
    readings.write_text(f"source,{ends},error\na/x.jpg,4,3,5,4,3,5,\nb/y.jpg,,,,,,,torn\n")
    first, second = tmp_path / "one.png", tmp_path / "two.png"
    words = [str(tmp_path), str(first), "--readings", str(readings), "--plane", str(second)]
    assert script.main([*words, "--name", "x.jpg"]) == 0
    assert first.stat().st_size > 10_000 < second.stat().st_size
    valence, arousal = script.left_out(script.rows_of(tmp_path / "predictions.csv")).axes
    assert "66.7 % hold" in valence.get_title() and "100.0 % hold" in arousal.get_title()
    assert told(valence) == ["interval holds: 2", "interval does not: 1"]
    assert "1 photographs" in script.plane(script.rows_of(readings), ["x.jpg"]).axes[0].get_title()


def told(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]
