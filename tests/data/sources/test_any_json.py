"""Files of a data set may hold any JSON: a sentence, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from emosym.annotate.attributes import blind_attributes, describe_attributes
from emosym.data.sources.detect import detect_source, splits_to_check
from emosym.data.sources.emoset import attribute_values
from emosym.data.sources.hub import NO_OPTIONS
from emosym.data.sources.open import open_dataset
from emosym.data.sources.reccon import EVIDENCE
from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError
from emosym.types import IMAGE_EMOTION

WORDS = ("awe", " Awe ", "fear", "a/1.png", ".", "/", "../x", "train", "\ud800", "split", "seed")
KEYS = st.sampled_from(
    ("split", "seed", "fractions", "splits", "train", "awe", "votes", "idx2label", "0", "object")
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400)
) | st.sampled_from(WORDS)
ANY = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(KEYS, x, max_size=4), max_leaves=12
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("any")
    for name in ("a", "b"):
        (root / name).mkdir()
        for i in range(4):
            Image.new("RGB", (4, 4)).save(root / name / f"{i}.png")
    (root / "note.json").write_text("{}")
    return root


def read_split(root: Path) -> None:
    for sample in open_dataset("emoset", root, "train"):
        describe_attributes(blind_attributes(sample.attributes))


def read_found(root: Path) -> None:
    source = detect_source(root)
    splits_to_check(source, root, MIKELS8, NO_OPTIONS)
    open_dataset(source, root, "train")


def read_drawn(root: Path) -> None:
    (root / "OASIS.csv").write_text(
        "Theme,Valence_mean,Arousal_mean\n" + "".join(f"{i},{1 + i % 6},3\n" for i in range(20))
    )
    open_dataset("oasis", root, "train")


@pytest.mark.parametrize(
    ("file", "held", "read"),
    [
        ("train.json", lambda x: [["awe", "a/1.png", None], x], read_split),
        ("train.json", lambda x: [["awe", "b/1.png", None], ["awe", x, None]], read_split),
        ("note.json", lambda x: x, read_split),
        ("note.json", lambda x: {"votes": x, "object": x, "brightness": x}, read_split),
        ("info.json", lambda x: x, read_found),
        ("info.json", lambda x: {"split": x, "emotion": {"idx2label": x}}, attribute_values),
        ("splits.json", lambda x: x, read_drawn),
        ("splits.json", lambda x: {"seed": 0, "fractions": x, "splits": {"train": x}}, read_drawn),
    ],
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=ANY)
def test_any_json_is_read_or_refused_in_a_sentence(
    root: Path,
    tmp_path: Path,
    file: str,
    held: Callable[[Any], Any],
    read: Callable[[Path], None],
    value: Any,
) -> None:
    here = tmp_path / "set"
    if here.exists():
        for path in here.glob("*.json"):
            path.unlink()
    else:
        shutil.copytree(root, here)
    (here / "train.json").write_text('[["awe", "a/1.png", "note.json"]]')
    (here / "note.json").write_text("{}")
    (here / file).write_text(json.dumps(held(value)))
    try:
        read(here)
    except EmoSymError as error:
        assert "\n" not in str(error).strip()


@pytest.mark.parametrize(
    ("file", "text", "read", "says"),
    [
        ("train.json", '[["awe", ".", null], ["awe", ".", null]]', read_split, None),
        ("train.json", '[["awe", "a\\ud800.png", null]]', read_split, "no file's name has"),
        ("note.json", '{"votes": {"awe": 1' + "0" * 400 + "}}", read_split, "weights of 0 or more"),
        (
            "note.json",
            '{"votes": {"awe": 1e308, "fear": 1e308}}',
            read_split,
            "weights of 0 or more",
        ),
        ("note.json", '"' + "x" * 5_000_000 + '"', read_split, "is larger than"),
        ("info.json", '{"split": ["train"]}', read_found, None),
        ("info.json", '{"split": {"fractions": 3}}', read_found, None),
        (
            "splits.json",
            '{"seed": 0, "fractions": {"train": "a", "val": 0, "test": 0}, "splits": DRAWN}',
            read_drawn,
            "were drawn with seed 0",
        ),
    ],
)
def test_what_was_a_traceback(
    root: Path,
    tmp_path: Path,
    file: str,
    text: str,
    read: Callable[[Path], None],
    says: str | None,
) -> None:
    here = shutil.copytree(root, tmp_path / "set")
    (here / "train.json").write_text('[["awe", "a/1.png", "note.json"]]')
    if file == "splits.json":
        read_drawn(here)
        drawn = json.loads((here / file).read_text())["splits"]
        text = text.replace("DRAWN", json.dumps(drawn))
    (here / file).write_text(text)
    if says is None:
        read(here)
        return
    with pytest.raises(EmoSymError, match=says):
        read(here)


def test_one_emotion_written_in_two_ways_has_the_sum_of_its_votes(
    root: Path, tmp_path: Path
) -> None:
    here = shutil.copytree(root, tmp_path / "set")
    (here / "train.json").write_text('[[" Awe ", "a/1.png", "note.json"]]')
    (here / "note.json").write_text('{"votes": {"awe": 1, " AWE": 2, "fear": 1}}')
    (sample,) = open_dataset("emoset", here, "train")
    votes = sample.votes_of(IMAGE_EMOTION)
    assert votes == {"awe": 3.0, "fear": 1.0}


LONG = "9" * 5000  # Python refuses to make a number of it
HUGE = 10**400
SCENE = {"scene_id": "s", "utterances": [{"utterance_id": f"u{LONG}", "emotion": "Mad"}]}
DRAWN = {"picture": "a.png", "sentiment": HUGE, "cause": None, "action_units": [], "mode": [1]}


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        (
            "reccon",
            "a_train.json",
            json.dumps({"d": [[{"turn": 1, "utterance": "x", EVIDENCE: [LONG]}]]}),
        ),
        ("goemotions", "train.tsv", f"hi\t1\ta\nho\t{LONG}\tb\n"),
        ("emorynlp", "a_train.json", json.dumps(SCENE)),
        ("mosei", "label.csv", f"video_id,clip_id,text,label,mode\nv,{LONG},hi,1.0,train\n"),
        (
            "storybook-dialogues",
            "train.json",
            json.dumps(
                {
                    "format": "emosym.storybook-dialogues/1",
                    "split": "train",
                    "dialogues": [
                        {"id": "a", "events": [], "turns": [DRAWN]},
                        {"id": "b", "events": [], "turns": [{**DRAWN, "sentiment": 1}]},
                    ],
                }
            ),
        ),
    ],
)
def test_numbers_too_long_and_keys_that_are_none(
    tmp_path: Path, source: str, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    assert detect_source(tmp_path) == source
    assert len(open_dataset(source, tmp_path, "train")) == 1
