"""Dialogues of another set's test: found by their words, dropped whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.data.dialogue_makers import ecf_turns, meld, turn, write_json

from emosym.data.held_out import (
    hashes_of,
    read_hashes,
    shared_utterances,
    utterance_hash,
    without_held_out,
)
from emosym.data.sources.open import open_dataset
from emosym.data.sources.other_tests import held_out_hashes
from emosym.errors import UsageError

LINES = [f"This is the long line number {n}" for n in range(4)]


def test_a_hash_is_of_letters_and_digits() -> None:
    expected = hashlib.sha256(b"ohmygodheslostit2").hexdigest()[:16]
    assert utterance_hash("Oh my God, he\u2019s LOST it (2)!") == expected


def series(root: Path, shared: int) -> Path:
    """Write a training set of ECF whose first conversation shares lines with LINES."""
    turns = ecf_turns(*["joy"] * 4)
    for place, text in enumerate(LINES[:shared]):
        turns[place]["text"] = text.upper().replace(" ", "  ") + " !"
    other = {"conversation_ID": 2, "conversation": ecf_turns("fear", "fear")}
    rows = [{"conversation_ID": 1, "conversation": turns}, other]
    return write_json(root / "Subtask_1_train.json", rows)


@pytest.mark.parametrize(("shared", "kept"), [(2, 6), (3, 2)])
def test_three_shared_utterances_drop_a_dialogue(tmp_path: Path, shared: int, kept: int) -> None:
    rows = [turn(n, n, text=text) for n, text in enumerate(LINES)]
    test = meld(tmp_path / "meld", *rows, name="test_sent_emo.csv")
    meld(tmp_path / "meld", name="train_sent_emo.csv")  # of a set with a test, only that counts
    hashes = held_out_hashes(test)
    assert hashes == {utterance_hash(line) for line in LINES}
    root = series(tmp_path / "ecf", shared)
    whole = open_dataset("ecf", root, "train")
    assert shared_utterances(whole, hashes) == {0: shared}
    left = open_dataset("ecf", root, "train", held_out=hashes)
    assert len(left) == kept and left.ids()[-1] == "2_2"
    assert left[kept - 1].turns[1].emotion == "fear"


def test_lists_of_hashes(tmp_path: Path) -> None:
    path = tmp_path / "held.txt"
    path.write_text("# of some test\n0123456789abcdef\n\n0123456789ABCDEE\n")
    assert held_out_hashes(path) == read_hashes(path) == {"0123456789abcdef", "0123456789abcdee"}
    path.write_text("0123456789abcdef\nwords\n")
    with pytest.raises(UsageError, match="line 2: 'words' is no hash"):
        held_out_hashes(path)


def test_what_cannot_be_held_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing held out at"):
        held_out_hashes(tmp_path / "none")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UsageError, match="is neither"):
        held_out_hashes(tmp_path / "pictures")
    rows = [turn(n, n, text=text) for n, text in enumerate(LINES)]
    train = open_dataset("meld", meld(tmp_path / "m", *rows), "train")
    with pytest.raises(UsageError, match="Every conversation"):
        without_held_out(train, hashes_of([train]))


def test_short_utterances_are_no_sign(tmp_path: Path) -> None:
    root = meld(tmp_path, turn(1, 0, text="Oh my God!"))
    assert hashes_of([open_dataset("meld", root, "train")]) == frozenset()


def test_other_scripts_are_no_sign(tmp_path: Path) -> None:
    # nothing of them is in a hash, so all would be alike
    root = meld(tmp_path, turn(1, 0, text="Что ты делаешь сегодня вечером, Joey?"))
    assert hashes_of([open_dataset("meld", root, "train")]) == frozenset()
