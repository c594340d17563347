from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from emosym.emotions import LABEL_SPACES
from emosym.evaluation.report.comics import (
    FOUND,
    MISSED,
    MOST_COURSES,
    WRONG,
    Arrow,
    TurnReading,
    comics,
    conversations,
    write_comics,
)
from emosym.types import CausePair, Sample, Target, Turn

EVIL = '<script>alert("x")</script>'
EMOTIONS = ("neutral", "joy", "anger", "fear")
CAUSES = ((), (0,), (0, 2), (3,))


def dialogue(name: str = "d1") -> list[Sample]:
    """Return the samples of four turns: 1 is caused by 0, 2 by 0 and itself, 3 by itself."""
    picture = Image.new("RGB", (16, 16), (200, 80, 40))
    turns = tuple(
        Turn(("Ann", "Bo")[i % 2], f"Line {i} {EVIL}", (picture,) if i else (), emotion=emotion)
        for i, emotion in enumerate(EMOTIONS)
    )
    samples = []
    for place, (emotion, causes) in enumerate(zip(EMOTIONS, CAUSES, strict=True)):
        pairs = tuple(CausePair(place, emotion, cause) for cause in causes)
        targets: dict[str, Target] = {"mer": emotion, "ecpe": pairs, "eri": f"Since {EVIL}."}
        samples.append(Sample(f"{name}_{place}", turns, place, targets))
    return samples


def test_arrows_by_hand() -> None:
    read = {
        "d1_1": TurnReading("joy", (0,)),
        "d1_2": TurnReading("fear", (2, 1)),
        "d1_3": TurnReading("fear", ()),
    }
    strip = comics(dialogue(), read)["strips"][0]
    assert set(strip["arrows"]) == {
        Arrow(0, 1, FOUND, 1),
        Arrow(1, 2, WRONG, 1),
        Arrow(0, 2, MISSED, 2),  # runs round the two above
    }
    assert [panel["itself"] for panel in strip["panels"]] == [None, None, FOUND, MISSED]
    assert [panel["right"] for panel in strip["panels"]] == [None, True, False, True]
    assert strip["tally"] == "2 of 3 emotions read, 2 of 4 causes found"


def test_the_course_of_what_was_read_is_drawn(tmp_path: Path) -> None:
    read = {"d1_1": TurnReading("joy"), "d1_3": TurnReading("fear"), "d2_1": TurnReading("joy")}
    samples = [*dialogue("d1"), *dialogue("d2")]
    first, second = comics(samples, read, LABEL_SPACES["meld7"])["strips"]
    drawn = str(first["course"])
    assert "4 turns: polarity by speaker" in drawn  # "neutral" has no norms
    assert "2, Bo: joy (1.00)" in drawn and "4, Bo: fear (-1.00)" in drawn and "1, Ann" not in drawn
    assert second["course"] is None  # one turn is no course
    page = write_comics(tmp_path / "page.html", samples, read, space=LABEL_SPACES["meld7"])
    assert page.read_text().count("Course of the emotions that were read") == 1
    assert comics(samples, read)["strips"][0]["course"] is None
    # of more conversations than have a course, the others are drawn without
    names = [f"d{number}" for number in range(MOST_COURSES + 2)]
    many = [sample for name in names for sample in dialogue(name)]
    told = {f"{name}_{turn}": TurnReading("joy") for name in names for turn in (1, 3)}
    page = write_comics(tmp_path / "many.html", many, told, space=LABEL_SPACES["meld7"])
    assert page.read_text().count("Course of the emotions that were read") == MOST_COURSES


def test_without_readings_the_truth_is_drawn_and_what_points_outside_is_not() -> None:
    samples = dialogue()
    samples[3] = Sample("d1_3", samples[3].turns, 3, {"ecpe": (CausePair(3, None, 9),)})
    strip = comics(samples)["strips"][0]
    assert {arrow.kind for arrow in strip["arrows"]} == {"true"}
    assert {(arrow.cause, arrow.turn) for arrow in strip["arrows"]} == {(0, 1), (0, 2)}
    assert strip["tally"] == "" and strip["panels"][3]["truth"] == "fear"  # the turn's own label


def test_samples_that_share_their_turns_are_one_conversation() -> None:
    other = [
        Sample(f"e_{place}", sample.turns[:2], place)
        for place, sample in enumerate(dialogue("e")[:2])
    ]
    groups = list(conversations([*dialogue(), *other, *dialogue("d3")]))
    assert [group[0].id for group in groups] == ["d1_0", "e_0", "d3_0"]
    assert list(conversations([])) == []


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in {"meta", "img", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_safe_and_loads_nothing(tmp_path: Path) -> None:
    long = Sample("long", tuple(Turn(f"S{i}", "word " * 9000) for i in range(400)), 3)
    page = write_comics(tmp_path / "page.html", [*dialogue(), long], title=EVIL).read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and "script" not in tags.seen and EVIL not in page
    assert page.count("<article") == 2 and tags.seen.count("img") == 3
    assert "And 340 more turns." in page and len(page) < 200_000
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("count", [1, 30])
def test_many_conversations_are_cut(count: int) -> None:
    data = comics([Sample(f"d{i}", (Turn("Ann", str(i)),), 0) for i in range(count)])
    assert len(data["strips"]) == min(count, 24) and data["more"] == max(0, count - 24)
