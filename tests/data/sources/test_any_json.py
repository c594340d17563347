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
from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError

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
