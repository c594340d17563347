"""Pictures out of clips: at the right time, few decoded, kept, and words only where none is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.clip_makers import clip, sound, sparse
from tests.data.dialogue_makers import meld

from emosym.data import clips
from emosym.data.clips import ClipError, ClipFrames, clip_facts, clip_frames
from emosym.data.sources.open import open_dataset
from emosym.data.unit_tables import peak_of, read_action_units
from emosym.errors import UsageError
from emosym.types import Turn


def greys(paths: tuple[Path, ...]) -> list[float]:
    return [float(np.asarray(Image.open(path).convert("L")).mean()) for path in paths]


def test_pictures_lie_evenly_in_time(tmp_path: Path) -> None:
    found = clip_frames(clip(tmp_path / "a.mp4"), 4, cache=tmp_path / "cache")
    # of 2 s: at .25, .75, 1.25, 1.75 s; a tenth of a second is ten shades
    assert greys(found) == pytest.approx([40, 90, 140, 190], abs=6)
    assert all(path.parent.parent == tmp_path / "cache/clips" for path in found)


def test_a_stretch_and_one_moment(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    part = clip_frames(path, 2, 1.0, 1.4, cache=tmp_path)
    assert greys(part) == pytest.approx([130, 150], abs=6)
    assert greys(clip_frames(path, at=1.5, cache=tmp_path)) == pytest.approx([170], abs=6)
    assert greys(clip_frames(path, at=99.0, cache=tmp_path)) == pytest.approx([210], abs=6)
    assert clip_facts(path) == clips.ClipFacts(pytest.approx(2.0), 64, 48)


def test_pictures_are_kept_until_the_clip_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(tmp_path / "a.mp4")
    first = clip_frames(path, 1, cache=tmp_path)
    first[0].write_bytes(b"kept")
    assert clip_frames(path, 1, cache=tmp_path) == first and first[0].read_bytes() == b"kept"
    clip(path, 1.0)
    assert clip_frames(path, 1, cache=tmp_path) != first
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "user"))
    assert clip_frames(path, 1)[0].is_relative_to(tmp_path / "user/clips")


def faulty(root: Path) -> dict[Path, str]:
    whole = clip(root / "whole.mp4")
    files = {
        "text.mp4": b"this is no video at all",
        "cut.mp4": whole.read_bytes()[:300],
        "empty.mp4": b"",
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile whole.mp4\n",
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    sound(root / "sound.avi")
    sparse(root / "long.mp4", 4 * 3600)
    (root / "folder.mp4").mkdir()
    reasons = {
        "damaged": ("text.mp4", "cut.mp4", "list.mp4", "concat.mp4"),
        "missing": ("none.mp4", "folder.mp4"),
        "empty": ("empty.mp4", "sound.avi"),
        "long": ("long.mp4",),
    }
    return {root / name: reason for reason, names in reasons.items() for name in names}


def test_what_cannot_be_shown_leaves_words_and_is_counted(tmp_path: Path) -> None:
    show = ClipFrames(2, tmp_path / "cache")
    wanted: dict[str, int] = {}
    for path, reason in faulty(tmp_path).items():
        wanted[reason] = wanted.get(reason, 0) + 1
        with pytest.raises(ClipError) as caught:
            clip_frames(path, 2, cache=tmp_path / "cache")
        assert caught.value.reason == reason and str(caught.value).startswith("The clip ")
        turn = Turn("Ann", "Well.", clip=path)
        assert show(turn) is turn
    assert show.failed == wanted and len(show.first) == 1
    assert not list((tmp_path / "cache").rglob("*.jpg"))
    shown = show(Turn("Ann", "Well.", clip=tmp_path / "whole.mp4"))
    assert len(shown.frames) == 2 and shown.text == "Well."
    assert show(shown) is shown and show(Turn(text="no clip")).frames == ()


def test_a_turn_of_a_four_hour_recording_is_found_by_seeking(tmp_path: Path) -> None:
    path = sparse(tmp_path / "long.mp4", 4 * 3600)
    began = time.process_time()
    found = clip_frames(path, 1, 4 * 3600 - 2.0, 4 * 3600 + 2.0, cache=tmp_path)
    assert time.process_time() - began < 2.0 and len(found) == 1
    assert greys(clip_frames(path, at=4 * 3600.0, cache=tmp_path)) == pytest.approx([200], abs=6)


def test_decoding_after_a_seek_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST_DECODED", 2)
    path = clip(tmp_path / "a.mp4")
    (grey,) = greys(clip_frames(path, at=0.45, cache=tmp_path))
    assert grey < 50  # the third picture after the key picture at 0 s, not the fifth


def test_a_data_set_shows_its_clips(tmp_path: Path) -> None:
    clip(tmp_path / "dia0_utt0.mp4")
    (tmp_path / "dia0_utt1.mp4").write_bytes(b"damaged")
    show = ClipFrames(2, tmp_path / "cache")
    found = open_dataset("meld", meld(tmp_path), "train", clips=show)
    first, second = found[0].turns
    assert greys(first.frames) == pytest.approx([70, 160], abs=8)  # type: ignore[arg-type]
    assert second.frames == () and second.text == "What?" and show.failed == {"damaged": 1}


def test_the_picture_in_which_a_face_moves_most(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    rows = ("frame,timestamp,AU04_r", "1,0.0,1", "16,1.5,4", "17,1.6,2")
    (tmp_path / "a.csv").write_text("\n".join(rows))
    peak = peak_of(read_action_units(tmp_path / "a.csv"))
    assert peak.units == ("AU04",)
    assert greys(clip_frames(path, at=peak.seconds, cache=tmp_path)) == pytest.approx([170], abs=6)


def test_a_wrong_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be 1\.\.64, got 0"):
        clip_frames(tmp_path / "a.mp4", 0)
