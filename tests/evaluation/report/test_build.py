from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.evaluation.report.build import build_report
from emosym.evaluation.report.emotion_map import project_gaussian, write_space
from emosym.evaluation.results.result import make_result, write_result
from emosym.evaluation.results.run_folder import (
    read_run,
    worth_showing,
    write_paintings,
    write_readings,
    write_rows,
)
from emosym.evaluation.understanding import evaluate_understanding
from emosym.files import write_json
from emosym.models.gaussians import Gaussian
from emosym.types import BadInput, GenerationOutput, UnderstandingOutput

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "hr"}


def reading(emotion: str, share: float = 0.8, outside: bool = False) -> UnderstandingOutput:
    shares = dict.fromkeys(MIKELS8.labels, (1 - share) / 7)
    shares[emotion] = share
    return UnderstandingOutput(
        emotion, shares, share, MIKELS8.polarity(emotion), 5.0, 4.0, 5.0, 0.4, outside,
        np.zeros(2), np.zeros((1, 2)), EVIL,
    )  # fmt: skip


def picture(red: int, size: int = 16) -> Image.Image:
    return Image.new("RGB", (size, size), (red, 80, 40))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run folder, small, with something to escape in every text."""
    root = tmp_path / "run"
    rows = [(f"{EVIL}{i}", reading("awe", 0.5 + i / 10), "awe" if i else "fear") for i in range(4)]
    write_readings(root, "test", rows, {i: picture(10 * i) for i in range(4)})
    user = [
        ("photo.jpg", reading("anger", outside=True), None),
        ("gone.jpg", BadInput("gone.jpg", f"gone.jpg is empty {EVIL}"), None),
    ]
    write_readings(root, "user", user, {0: picture(200, 600)})
    paintings = {
        "awe": [GenerationOutput(picture(1), reading("awe"), {"emotion": "awe"}, 1)],
        "fear": [GenerationOutput(picture(2), reading("sadness"), {"emotion": "fear"}, 2)],
    }
    write_paintings(root, paintings, {"judge-a": {"awe": ["awe"], "fear": ["awe"]}})
    labels = np.asarray([0, 1, 6])
    values = evaluate_understanding(np.full((3, 8), 1 / 8), labels, None, MIKELS8)
    write_result(root / "results" / "u.json", make_result("understanding", values, 3, 0))
    painted = {"emo_a_judge_a": 0.5, "coverage": 0.25, "strange_value": 3.0}
    write_result(root / "results" / "p.json", make_result("paintings", painted, 2, 0))
    stage = {"stage": f"align {EVIL}", "minutes": 1.25, "metrics": {"accuracy": 0.5, EVIL: 2}}
    write_json(root / "stages.json", [stage])
    write_json(root / "run.json", {"title": f"Run {EVIL}", "seed": 3})
    entry = {"image": "paintings/awe/000.png", "emotion": "awe", "score": 0.9, "origin": EVIL}
    count = {"awe": {"real": 3, "generated": 2}}
    write_json(root / "bank_before.json", {"entries": 3, "per_emotion": {"awe": {"real": 3}}})
    bank = {"entries": 5, "per_emotion": count, "thumbnails": [entry]}
    write_json(root / "bank_after.json", bank)
    rng = np.random.default_rng(0)
    names = ["awe", "fear", "anger"] * 5
    write_space(root, rng.normal(size=(15, 4)), names, rng.normal(size=(3, 4)), names[:3])
    return root


class Checker(HTMLParser):
    """Collects tags and ids, and fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.sections: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
                self.sections += [value or ""] if tag == "section" else []
            if name in ("src", "data"):
                self.sources.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(path: Path) -> tuple[Checker, str]:
    page = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker, page


def test_the_report_is_one_safe_file_with_every_section(run: Path, tmp_path: Path) -> None:
    checker, page = checked(build_report(run, tmp_path / "out" / "report.html"))
    assert "script" not in checker.tags
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    wanted = {"paintings", "reading", "space", "stages", "bank", "mistakes", "test", "yours"}
    assert wanted | {"calibration", "notes"} == set(checker.sections)
    assert len(checker.ids) == len(set(checker.ids))
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    assert all(source.startswith("data:image/") for source in checker.sources)
    # 2 in the hero, 2 paintings, 1 bank entry, 1 mistake, 4 test readings, 1 of the user's.
    assert len(checker.sources) == 11
    assert "outside what this preset has seen" in page
    assert "gone.jpg is empty" in page
    assert "strange_value" in page
    assert not re.search(r"https?://", page)


def test_pictures_are_embedded_small(run: Path, tmp_path: Path) -> None:
    checker, _ = checked(build_report(run, tmp_path / "report.html"))
    sides = set()
    for source in checker.sources:
        data = base64.b64decode(source.split(",", 1)[1])
        sides.add(max(Image.open(io.BytesIO(data)).size))
    assert sides == {16, 256}


def test_the_most_confident_mistake_comes_first(tmp_path: Path) -> None:
    rows = [(f"id{i}", reading("awe", s), "fear") for i, s in enumerate((0.5, 0.9, 0.7))]
    rows.append(("right", reading("fear", 0.99), "fear"))
    write_readings(tmp_path / "r", "test", rows, {i: picture(i) for i in range(4)})
    _, page = checked(build_report(tmp_path / "r", tmp_path / "report.html"))
    part = page[page.index('<section id="mistakes">') : page.index('<section id="test">')]
    assert re.findall(r'class="id">(\w+)<', part) == ["id1", "id2", "id0"]
    # Without a result file the values come from the readings themselves: 1 of 4 is right.
    assert "25.0\N{NO-BREAK SPACE}%" in page


def test_several_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_result(
        other / "results" / "u.json", make_result("understanding", {"accuracy": 0.75}, 4, 1)
    )
    checker, page = checked(build_report([run, other], tmp_path / "report.html"))
    assert {"compare", "run0", "run1", "run0-paintings"} <= set(checker.ids)
    assert len(checker.ids) == len(set(checker.ids))
    compare = page[page.index('id="compare"') : page.index('id="run0"')]
    assert "75.0" in compare and "33.3" in compare
    write_json(other / "run.json", {"title": f"Run {EVIL}"})
    _, page = checked(build_report([run, other], tmp_path / "report.html"))
    assert f"({run})</h2>" in page and f"({other})</h2>" in page


def test_damaged_run_folders_are_named(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(UsageError, match="does not exist"):
        build_report(tmp_path / "nowhere", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nothing to report"):
        build_report(tmp_path / "empty", out)
    with pytest.raises(UsageError, match="at least one"):
        build_report([], out)
    lines = run / "readings" / "test.jsonl"
    good = lines.read_text()
    lines.write_text(good + "{broken\n")
    with pytest.raises(UsageError, match=r"test\.jsonl, line 5, is not valid JSON"):
        build_report(run, out)
    lines.write_text(good + '{"id": "x"}\n')
    with pytest.raises(UsageError, match="line 5, lacks 'probabilities'"):
        build_report(run, out)
    lines.write_text(good)
    write_json(run / "stages.json", [{"minutes": 3}])
    with pytest.raises(UsageError, match="without 'stage'"):
        build_report(run, out)
    assert not out.exists()


def test_pictures_outside_the_run_folder_are_refused(run: Path, tmp_path: Path) -> None:
    picture(5).save(tmp_path / "private.png")
    row = json.loads((run / "readings" / "test.jsonl").read_text().splitlines()[0])
    write_rows(run / "readings" / "test.jsonl", [{**row, "image": "../private.png"}])
    with pytest.raises(UsageError, match="leaves its folder"):
        build_report(run, tmp_path / "report.html")


def test_missing_and_damaged_pictures_leave_a_box(run: Path, tmp_path: Path) -> None:
    (run / "paintings" / "awe" / "000.png").write_bytes(b"no picture")
    (run / "paintings" / "fear" / "000.png").unlink()
    _, page = checked(build_report(run, tmp_path / "report.html"))
    assert "unreadable" in page and "missing" in page


def test_what_is_worth_showing() -> None:
    shares = np.full((6, 8), 0.05)
    shares[np.arange(6), [0, 0, 0, 0, 0, 0]] = [0.65, 0.6, 0.3, 0.9, 0.5, 0.7]
    labels = np.asarray([0, 0, 1, 1, 1, 0])
    assert worth_showing(shares, labels, first=1, mistakes=2) == [0, 3, 4]
    assert worth_showing(shares, labels, first=99, mistakes=0) == list(range(6))


def test_the_space_keeps_emotions_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["awe"] * 20 + ["fear"] * 20 + ["anger"] * 20
    far = np.zeros((60, 6))
    far[20:40, 2], far[40:, 4] = 9.0, 9.0
    write_space(tmp_path, far + rng.normal(size=(60, 6)), names, most=30)
    points = json.loads((tmp_path / "emotion_space.json").read_text())["points"]
    assert len(points) == 30
    centres = {
        name: np.mean([p[:2] for p in points if p[2] == name], axis=0) for name in set(names)
    }
    for one in centres:
        for other in centres:
            if one != other:
                assert np.linalg.norm(centres[one] - centres[other]) > 6.0


def test_the_verb(run: Path, tmp_path: Path) -> None:
    import typer

    from emosym.apps.cli.report import report

    app = typer.Typer()
    app.command()(report)
    done = CliRunner().invoke(app, [str(run)])
    assert done.exit_code == 0, done.output
    assert str(run / "report.html") in done.output.replace("\n", "")
    assert (run / "report.html").is_file()
    assert read_run(run).title == f"Run {EVIL}"


def test_raw_and_calibrated_reliability_stand_side_by_side(tmp_path: Path) -> None:
    half = reading("awe", 0.5)
    flat = dict.fromkeys(MIKELS8.labels, 1 / 8)
    rows = [(f"id{i}", replace(half, raw_probabilities=flat), "awe") for i in range(2)]
    write_readings(tmp_path / "r", "test", rows)
    _, page = checked(build_report(tmp_path / "r", tmp_path / "report.html"))
    part = page[page.index('<section id="calibration">') :]
    # Calibrated is right and says 1/2 (ECE 50 %); raw ties on a wrong emotion and says 1/8.
    assert "12.5\N{NO-BREAK SPACE}%" in part and "50.0\N{NO-BREAK SPACE}%" in part
    assert "(raw)" in part and "(calibrated)" in part
    assert "Emotion space is left out, since the run folder lacks emotion_space.json." in page


def test_a_reading_that_lacks_an_emotion_is_named(run: Path, tmp_path: Path) -> None:
    lines = run / "readings" / "test.jsonl"
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    del rows[2]["probabilities"]["fear"]
    write_rows(lines, rows)
    (run / "results" / "u.json").unlink()
    with pytest.raises(UsageError, match="gives no probability for 'fear'"):
        build_report(run, tmp_path / "report.html")


def test_the_bank_grows_round_by_round(run: Path, tmp_path: Path) -> None:
    after = json.loads((run / "bank_after.json").read_text())
    write_json(run / "bank_after.json", {**after, "per_round": {"1": {"awe": 7}, "2": {"awe": 4}}})
    first = {"number": 1, "painted": 8, "admitted": 7, "refused": {"not train_on": 1}, "bank": 7}
    write_json(run / "feedback" / "rounds.json", [first])
    _, page = checked(build_report(run, tmp_path / "report.html"))
    part = page[page.index('<section id="bank">') :]
    assert "<title>awe, round 2: 4</title>" in part and ">11</text>" in part
    assert "1 not chosen by the policy train_on" in part
    write_json(run / "feedback" / "rounds.json", [{"number": 1}])
    with pytest.raises(UsageError, match=r"rounds\.json has a row without"):
        build_report(run, tmp_path / "report.html")


def test_a_gaussian_in_the_plane() -> None:
    # Variance 4 along the first axis, 1 along the second, .25 in every other direction.
    made = Gaussian(
        torch.tensor([1.0, 2.0, 3.0]), torch.eye(3)[:2], torch.tensor([4.0, 1.0]),
        torch.tensor(0.25),
    )  # fmt: skip
    mean, covariance = project_gaussian(made, np.eye(3)[[0, 2]], np.asarray([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(mean, [0.0, 2.0])
    np.testing.assert_allclose(covariance, [[4.0, 0.0], [0.0, 0.25]])


def test_many_large_pictures_stay_under_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 256, 256, 3), dtype=np.uint8)
    pictures = {i: Image.fromarray(noise[i]) for i in range(8)}
    rows = [(f"id{i}", reading("awe"), None) for i in range(8)]
    write_readings(tmp_path / "r", "user", rows, pictures)
    monkeypatch.setattr("emosym.evaluation.report.build.MOST_BYTES", 300_000)
    checker, page = checked(build_report(tmp_path / "r", tmp_path / "report.html"))
    assert len(page.encode()) <= 300_000 and len(checker.sources) == 8
