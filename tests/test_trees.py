from __future__ import annotations

import itertools

import pytest

from emosym.emotions import LABEL_SPACES, LabelSpace, translated
from emosym.errors import UsageError
from emosym.metrics.trees import path_f1, tree_values
from emosym.rewards.trees import tree
from emosym.taxonomies import BASIC, FORMS, TREES
from emosym.trees import level_labels, path_of, tree_distance, tree_paths


def test_paths_by_hand() -> None:
    assert path_of("Joviality", "parrott") == ("joy", "cheerfulness", "joviality")
    assert path_of("disgust", "parrott") == ("anger", "disgust")
    assert path_of("sadness", "parrott") == ("sadness",)  # not the one below itself
    assert path_of("woe", "parrott") == ("sadness", "woe")
    assert path_of("sad", "parrott") == ("sadness",)  # another form of the word
    assert path_of("grief", "plutchik") == ("sadness", "grief")
    assert path_of("zebra", "parrott") is None and path_of("", "parrott") is None
    assert level_labels("parrott", 1) == ("love", "joy", "surprise", "anger", "sadness", "fear")
    assert len(level_labels("plutchik", 1)) == 8 and len(level_labels("plutchik", 2)) == 16
    with pytest.raises(UsageError, match="Did you mean 'parrott'"):
        tree_paths("parot")


def test_trees_have_no_cycles_and_every_word_one_parent() -> None:
    for name in TREES:
        for word, path in tree_paths(name).items():
            assert path[-1] == word and len(set(path)) == len(path)
            assert all(tree_paths(name)[above] == path[: i + 1] for i, above in enumerate(path))


def test_distances_and_scores_by_hand() -> None:
    glee, bliss = (path_of(word, "parrott") for word in ("glee", "bliss"))
    pride, fury = (path_of(word, "parrott") for word in ("pride", "fury"))
    assert glee and bliss and pride and fury
    assert tree_distance(glee, glee) == 0 and tree_distance(glee, bliss) == 2
    assert tree_distance(glee, pride) == 3 and tree_distance(glee, fury) == 6
    assert path_f1(bliss, glee) == pytest.approx(2 / 3) and path_f1(None, glee) == 0.0
    values = tree_values([bliss, None, fury], [glee, glee, pride])
    # common ancestors: 2, 0, 0; named 3 + 0 + 3, there 3 + 3 + 2
    assert values["tree_precision"] == pytest.approx(2 / 6)
    assert values["tree_recall"] == pytest.approx(2 / 8)
    assert values["tree_f1"] == pytest.approx(4 / 14)
    assert values["tree_distance"] == pytest.approx((2 + 5) / 2)
    assert values["unknown"] == pytest.approx(1 / 3)
    assert values["accuracy_level_1"] == values["accuracy_level_2"] == pytest.approx(1 / 3)
    assert values["accuracy_level_3"] == 0.0 and values["n_level_3"] == 2
    with pytest.raises(UsageError, match="no samples"):
        tree_values([], [])


def test_the_reward_pays_near_misses_and_no_lists() -> None:
    said = [
        "glee",
        "<think>glee</think><answer>bliss</answer>",
        "<think>glee</think>",
        "glee, bliss",
        "zebra",
        "",
        "fury",
        "glee",
    ]
    got = tree(said, label=["glee"] * 7 + [None])
    assert got == [1.0, pytest.approx(2 / 3), 0.0, 0.0, 0.0, 0.0, 0.0, None]
    with pytest.raises(UsageError, match="'zebra' is no emotion"):
        tree(["glee"], label=["zebra"])


def space_map(one: LabelSpace, other: LabelSpace) -> dict[str, str | None]:
    found = {label: translated(label, other) for label in one.labels}
    return {label: None if code is None else other.labels[code] for label, code in found.items()}


def test_maps_between_all_spaces_run_in_no_circles() -> None:
    """Going to another space and back, again and again, settles: there is no circle of labels."""
    for one, other in itertools.permutations(LABEL_SPACES.values(), 2):
        there, back = space_map(one, other), space_map(other, one)
        for label in one.labels:
            seen, now = [label], label
            while (word := there[now]) is not None and (home := back[word]) is not None:
                if home == now:
                    break
                assert home not in seen, (one.name, other.name, [*seen, home])
                seen.append(home)
                now = home


def test_tables_of_words_run_in_no_circles() -> None:
    for word, basic in BASIC.items():
        assert BASIC.get(basic, basic) == basic, word
    roots = [root for root, forms in FORMS.items() for word in forms if word in FORMS]
    assert roots == []


def test_levels_are_label_spaces() -> None:
    for name in ("parrott6", "parrott23", "plutchik8", "plutchik16"):
        space = LABEL_SPACES[name]
        assert f"{len(space)}" == name.lstrip("abcdefghijklmnopqrstuvwxyz")
        assert all(space.polarity(label) for label in space.labels)
    assert LABEL_SPACES["parrott6"].polarity("love") == "positive"
    assert LABEL_SPACES["parrott23"].polarity("envy") == "negative"
