"""What the tabs do, without a browser: the shell's rows, paintings kept and found again, runs."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from emosym.apps.ui import memory_tab, paint_tab, painting, reading, runs_tab
from emosym.apps.ui.home import Going, Home, Stopped
from emosym.apps.ui.memory_tab import Wish
from emosym.apps.ui.painting import LIKE, MIX, PLACE, Asked, Painted
from emosym.apps.ui.read_view import FOR_PHOTOGRAPHS, Shown, card
from emosym.errors import UsageError
from emosym.service.affect_rows import affect_row
from emosym.service.rows import reading_row
from emosym.types import AffectOutput, RatedPicture

ASKED = Asked(MIX, {"awe": 70, "fear": 30}, 5, 5, None, "{}", 1.0, 3, 2, 2, 2.0)


@pytest.fixture(scope="module")
def pictures(tiny_pictures, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{name}.png" for name in "ab"]
    for path, pixels in zip(paths, tiny_pictures.pictures, strict=False):
        Image.fromarray(pixels).save(path)
    broken = folder / "<i>broken.png"
    broken.write_bytes(paths[0].read_bytes()[:200])
    return [*paths, broken]


def test_the_page_reads_as_the_shell_does(
    home: Home, pictures: list[Path], tiny_checkpoint: Path, command, tmp_path: Path
) -> None:
    said, first, table, results = list(
        reading.read_pictures(home, list(map(str, pictures)), True, Going())
    )[-1]
    assert "2 read; 1 could not be read" in said
    assert 'class="bars"' in first and 'alt="a.png"' in first
    assert "<i>" not in table and "&lt;i&gt;broken.png" in table
    paths = home.rows_files([one.row for one in results.readings], results.space)
    shell = [tmp_path / "r.csv", tmp_path / "r.json"]
    options = ["--model", tiny_checkpoint, "--explain", "--csv", shell[0], "--json", shell[1]]
    assert command("understand", *pictures, *options)[0] == 0
    folder = str(pictures[0].parent)
    for own, told in zip(map(Path, paths), shell, strict=True):
        assert own.read_text() == told.read_text().replace(f"{folder}/", "")


def test_nothing_dropped_and_words_for_a_model_of_pictures_are_sentences(home: Home) -> None:
    assert "Drop a picture first" in list(reading.read_pictures(home, [], True, Going()))[-1][0]
    last = list(reading.read_once(lambda: reading.sentence_read(home, "You came back!")))[-1]
    assert 'role="alert"' in last[0] and "emosym models get smollm2-135m" in last[0]
    with pytest.raises(UsageError, match="no turn to read"):
        reading.turns_of(" \n ")
    lines = "Ann: Where is my ring?\nI said: a long time ago it was: lost\nhttp://x.y: no"
    assert reading.turns_of(lines) == [
        ("Ann", "Where is my ring?"),
        ("I said", "a long time ago it was: lost"),
        ("http", "//x.y: no"),
    ]


def painted(home: Home, asked: Asked) -> tuple[str, str, Painted | None]:
    return list(painting.paint_asked(home, asked, Going()))[-1]


def test_what_is_painted_is_kept_once_and_seen_in_the_bank(home: Home) -> None:
    said, shown, found = painted(home, ASKED)
    assert "2 painted: awe 0.7, fear 0.3" in said
    assert found is not None
    assert shown.count("<figure") == 2
    with zipfile.ZipFile(home.zipped(found.folder, "all.zip")) as archive:
        names = archive.namelist()
    assert "readings.jsonl" in names and len(names) == 3
    rows = [json.loads(x) for x in (found.folder / "readings.jsonl").read_text().splitlines()]
    assert "--mix awe=0.7,fear=0.3" in rows[1]["repaint"] and "--index 1" in rows[1]["repaint"]

    assert "No bank is at" in memory_tab.looked(home, Wish())[2]
    said, shown, found = painting.kept(home, found, [0])
    assert "1 kept in the bank" in said and shown.count("kept in the bank") == 1
    said, shown, found = painting.kept(home, found, [0, 1])
    assert "1 kept in the bank" in said and shown.count("kept in the bank") == 2

    line, _, tiles, rounds, runs = memory_tab.looked(home, Wish(emotion="awe", run="page"))
    assert "2 of 2 entries; page 1 of 1" in line
    assert (rounds, runs) == (["all", "0"], ["all", "page"])
    ids = re.findall(r'data-id="(\w+)"', tiles)
    assert len(ids) == 2
    whole = memory_tab.shown_whole(memory_tab.bank_of(home), ids[0])
    assert "awe 70 %, fear 30 %" in whole and "seed 3, 2 steps, guidance 2" in whole
    assert "0 of 2" in memory_tab.looked(home, Wish(emotion="fear"))[0]
    assert "0 of 2" in memory_tab.looked(home, Wish(least=1.0))[0]

    own = replace(found.made[0].output.reading, outside=False)
    near = reading.nearest_entries(home, own)
    assert near[0][1] == "asked for awe, 100 % alike"
    with pytest.raises(UsageError, match="Tick the box"):
        memory_tab.pruned_to(home, 1, "oldest", False)
    open_to_all = replace(home, may_keep=False)
    with pytest.raises(UsageError, match="lets anyone in"):
        memory_tab.pruned_to(open_to_all, 1, "oldest", True)
    assert "lets anyone in" in painting.kept(open_to_all, found, [0])[0]
    assert "1 entry left the bank, oldest first; 1 are in it" in memory_tab.pruned_to(
        home, 1, "oldest", True
    )


def test_stop_ends_a_painting_before_its_next_step_and_reading_before_the_next_picture(
    home: Home, pictures: list[Path], monkeypatch
) -> None:
    going, steps = Going(), []
    plain = home.session.pipeline.paint

    def watched(request, size, only, before_step):
        def step() -> None:
            steps.append(len(steps))
            if len(steps) == 3:  # while the third of five steps waits, somebody presses Stop
                assert "0 painted" in painting.stopped_after(None, going)
            before_step()

        return plain(request, size, only, step)

    monkeypatch.setattr(type(home.session.pipeline), "paint", lambda self, *a: watched(*a))
    shown = list(painting.paint_asked(home, replace(ASKED, steps=5), going))
    assert steps == [0, 1, 2] and len(shown) == 1 and shown[0][2] is None
    monkeypatch.undo()
    assert "2 painted" in list(painting.paint_asked(home, ASKED, going))[-1][0]

    begun = reading.read_pictures(home, [str(pictures[0])] * 3, False, going)
    assert "Reading" in next(begun)[0]
    reading.stopped_after(None, going)
    assert list(begun) == []


FIRST = ((True, 64), (True, 448), (True, None), (False, 64), (False, None))  # trained, side


def test_as_many_pictures_are_read_together_as_take_a_moment(
    home: Home, pictures: list[Path], monkeypatch
) -> None:
    assert [reading.next_size(size, 0.1) for size in (1, 4, 8)] == [2, 8, 8]
    assert [reading.next_size(size, 0.4) for size in (1, 8)] == [1, 8]
    assert [reading.next_size(size, 0.6) for size in (1, 2, 8)] == [1, 1, 4]
    plain = type(home.session.pipeline).understand_many
    sizes: list[int] = []

    def counted(self, some, size, *others, **more):
        sizes.append(size)
        return plain(self, some, size, *others, **more)

    monkeypatch.setattr(type(home.session.pipeline), "understand_many", counted)
    for patience, wanted in ((0.0, [8, 4, 2, 1, 1]), (1e9, [8, 8])):
        monkeypatch.setattr(reading, "PATIENCE", patience)
        sizes.clear()
        *_, last = reading.read_pictures(home, [str(pictures[0])] * 16, False, Going())
        assert "16 read" in last[0] and sizes == wanted

    # a trained model of large pictures may be slow: it begins with one, and Stop waits for no more
    assert [reading.first_size(*asked) for asked in FIRST] == [8, 1, 1, 1, 1]
    monkeypatch.setattr(reading, "QUICK_SIDE", 1)
    going, sizes[:] = Going(), []
    begun = reading.read_pictures(home, [str(pictures[0])] * 16, False, going)
    assert "1 of 16" in [next(begun), next(begun)][1][0]
    reading.stopped_after(None, going)
    assert list(begun) == [] and sizes == [1]

    monkeypatch.undo()
    monkeypatch.setattr(type(home.session.pipeline), "understand_many", counted)
    going, sizes[:] = Going(), []
    begun = reading.read_pictures(home, [str(pictures[0])] * 16, False, going)
    assert "8 of 16" in [next(begun), next(begun)][1][0]
    reading.stopped_after(None, going)
    assert list(begun) == [] and sizes == [8]  # nothing more was read


def test_an_older_run_ends_where_a_new_one_begins() -> None:
    going = Going()
    first = going.begin()
    first()
    second = going.begin()
    second()
    with pytest.raises(Stopped):
        first()


def test_a_place_a_picture_to_be_like_and_what_cannot_be_asked(
    home: Home, pictures: list[Path]
) -> None:
    place = painting.request_of(home, replace(ASKED, how=PLACE, valence=7.0, arousal=3.5))
    assert place.asked["valence"] == 7.0 and place.weights is not None
    like = painting.request_of(home, replace(ASKED, how=LIKE, like=str(pictures[0])))
    shares = painting.intent_of(home, like)
    assert sum(shares.values()) == pytest.approx(1.0)
    for wrong, told in (
        (replace(ASKED, mix={"awe": 0}), "Every emotion is at 0"),
        (replace(ASKED, how=LIKE), "Give the picture"),
        (replace(ASKED, how=LIKE, like=str(pictures[2])), "cannot be read"),
        (replace(ASKED, prompt="{} and {}"), "one {}"),
        (replace(ASKED, count=1000), "1 to 64 pictures"),
    ):
        said, _, found = painted(home, wrong)
        assert told in said and 'role="alert"' in said and found is None


def test_a_place_and_a_light_write_the_prompt_where_the_painter_knows_few_words(
    home: Home,
) -> None:
    usual = home.session.usual()
    assert "a city street" in usual.places and "under a rainbow sky" in usual.lights
    drawn = paint_tab.choices({"a place": usual.places, "a light": usual.lights})
    assert drawn.count("<select>") == 2 and drawn.count('<option value="">any') == 2
    assert paint_tab.worded(["a city street", "in a starry night"]) == paint_tab.EXAMPLE
    assert paint_tab.worded(["", "in grey rain"]) == "{} in grey rain"
    assert paint_tab.worded(["", ""]) == "{}"


def test_a_picture_from_another_world_is_told_where_photographs_are_read(
    home: Home, pictures: list[Path]
) -> None:
    found = replace(home.session.understand(pictures[0]), in_domain=0.001, outside=True)
    drawn = card(Shown(reading_row("a.png", found), "a.png"), home.session.space, None)
    assert "Outside what this preset has seen" in drawn and FOR_PHOTOGRAPHS in drawn


def test_a_run_is_watched_while_it_goes_on(home: Home, tmp_path: Path) -> None:
    assert "There is no run" in runs_tab.looked(home, None, "")[1]
    watched = replace(home, runs=tmp_path)
    folder = tmp_path / "first" / "align"
    folder.mkdir(parents=True)
    log = folder / "metrics.jsonl"
    log.write_text("")
    line, curves, _, _ = runs_tab.looked(watched, "first", "")
    assert "align: it has begun; nothing is logged yet." in line and "once two lines" in curves
    log.write_text('{"step": 10, "loss": 3.5}\n{"step": 20, "loss": 3.25, "acc": 0.5}\n{"st')
    assert runs_tab.runs_in(tmp_path) == ["first", "first/align"]
    line, curves, _, mark = runs_tab.looked(watched, "first", "")
    assert "align: step 20; loss 3.25, acc 0.5; written" in line
    assert "align: from 3.5 to 3.25" in curves and "<svg" in curves
    assert runs_tab.looked(watched, "first", mark)[1:] == ("", "", mark)
    with log.open("a") as stream:
        stream.write('ep": 30, "loss": 3.0}\n')
    assert "align: from 3.5 to 3" in runs_tab.looked(watched, "first", mark)[1]
    assert "no run of that name" in runs_tab.looked(watched, "../first", "")[0]
    with pytest.raises(UsageError, match="holds nothing to report"):
        runs_tab.report_of(watched, "first")


def test_photographs_are_read_with_intervals_or_their_encoder_is_named(
    home: Home, pictures: list[Path], monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path))
    last = list(reading.read_photographs(home, [str(pictures[0])], Going()))[-1]
    assert 'role="alert"' in last[0] and "emosym models get photo" in last[0]

    near = (RatedPicture("Lake 3", 5.9, 3.1, 0.2),)
    found = AffectOutput(5.5, 4.0, 7.0, 4.0, 2.5, 5.5, 0.9, 0.5, False, near)
    shown = Shown(affect_row("sea.png", found), "sea.png")
    first, table, results = reading.views([shown, shown], None, None)
    assert "5.5 of 1 to 7" in first and "4.0 to 7.0" in first and "Lake 3" in first
    assert '<i style="left:50.0%;width:50.0%"></i><b style="left:75.0%"></b>' in first
    assert 'class="interval" x="174.0" y="94.0" width="160.0" height="160.0"' in first
    assert "valence 5.5, arousal 4.0 of 1 to 7" in table and "± 1.5" in table
    csv, _ = home.rows_files([shown.row], results.space)
    assert (
        Path(csv).read_text().splitlines()[1].startswith("sea.png,5.5,4.0,7.0,4.0,2.5,5.5,7.0,5.0")
    )
