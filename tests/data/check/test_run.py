"""The check of a whole data set: what it finds, that it goes on, and that it never differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.data.makers import broken_emoset, clean_emoset, scene

from emosym.data.check.run import IN_PROCESS, check_dataset
from emosym.data.sources.emoset import load_emoset
from emosym.errors import UsageError


def test_a_clean_data_set(tmp_path: Path) -> None:
    root = clean_emoset(tmp_path)
    steps: list[int] = []
    report = check_dataset(root, "emoset", started=steps.append, progress=steps.append)
    assert report["clean"] and report["problems"] == 0 and not any(report["findings"].values())
    assert report["pictures"] == 12 and steps == [12, 12]
    assert list(report["splits"]) == ["train", "test"]
    train = report["splits"]["train"]
    assert (train["rows"], train["annotated"], train["unlabelled"]) == (6, 6, 0)
    assert train["emotions"]["awe"] == train["emotions"]["fear"] == 3
    assert report["remarks"]["short_sides"] == [40, 40, 40]
    assert load_emoset(root, "train")[0].rationale == "a lake a boat still water"
    assert json.loads(json.dumps(report)) == report


def test_every_fault_is_found_and_none_stops(tmp_path: Path) -> None:
    report = check_dataset(broken_emoset(tmp_path), "emoset")
    found = report["findings"]
    assert [row["where"] for row in found["bad_rows"]] == ["test.json, row 11", "test, ../secret"]
    assert found["unknown_labels"] == [
        {"label": "Joy", "count": 1, "nearest": None, "rows": ["test.json, row 9"]},
        {
            **{"label": "feer", "count": 2, "nearest": "fear"},
            "rows": ["test.json, row 7", "test.json, row 8"],
        },
    ]
    pictures = {kind: [row["picture"] for row in found[kind]] for kind in list(found)[3:7]}
    assert pictures == {
        "missing_pictures": ["image/0.jpg"],
        "unreadable_pictures": ["image/1.jpg"],
        "missing_annotations": ["image/2.jpg"],
        "bad_annotations": ["image/3.jpg"],
    }
    assert "cannot be read as a picture" in found["unreadable_pictures"][0]["sentence"]
    first, second = found["exact_duplicates"]
    assert [row["picture"] for row in first["members"]] == ["image/4.jpg", "image/exact.jpg"]
    assert first["splits"] == ["train", "test"] and first["labels"] == ["awe", "fear"]
    assert [row["picture"] for row in second["members"]] == ["image/7.jpg"] * 2
    near = [[row["picture"] for row in group["members"]] for group in found["near_duplicates"]]
    assert near == [["image/5.jpg", "image/near.png"], ["image/8.jpg", "image/within.jpg"]]
    assert [group["splits"] for group in found["near_duplicates"]] == [["train", "test"], ["test"]]
    assert all(row["distance"] <= 6 for g in found["near_duplicates"] for row in g["members"])
    # 2 rows, 3 labels, 4 files, 2 exact groups, and of the near ones only that between splits
    assert report["problems"] == 12 and not report["clean"]
    assert (report["rows"], report["pictures"]) == (18, 15)
    assert report["remarks"]["unlisted_pictures"] == ["image/unlisted.jpg"]
    assert [row["picture"] for row in report["remarks"]["flat_pictures"]] == ["image/black.png"]


def test_the_report_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    """Two spawned processes: about two seconds."""
    root = clean_emoset(tmp_path, IN_PROCESS // 2 + 20)
    reports = [check_dataset(root, "emoset", workers=workers) for workers in (1, 2)]
    assert reports[0]["pictures"] >= IN_PROCESS
    assert json.dumps(reports[0]) == json.dumps(reports[1])


def test_a_misspelt_emotion_folder(tmp_path: Path) -> None:
    for index, name in enumerate(("awe", "amusment", "fear")):
        (tmp_path / name).mkdir()
        scene(index).save(tmp_path / name / "x.jpg")
    (tmp_path / "awe" / "x.jpg").rename(tmp_path / "awe" / "x.png")
    report = check_dataset(tmp_path, "folder")
    assert report["findings"]["unknown_labels"] == [
        {"label": "amusment", "count": 1, "nearest": "amusement", "rows": ["amusment/x.jpg"]}
    ]
    assert report["splits"]["all"]["unlabelled"] == 1 and report["problems"] == 1
    assert report["remarks"]["misnamed_pictures"][0]["format"] == "JPEG"
    assert not list(tmp_path.glob("*.json"))  # a check draws no splits


def test_votes_ratings_and_a_split_that_cannot_be_opened(tmp_path: Path) -> None:
    header = "image amusement awe contentment excitement anger disgust fear sadness"
    (tmp_path / "train.txt").write_text(f"{header}\n1.png 0 2 0 0 0 0 1 0\n")
    (tmp_path / "test.txt").write_text(f"{header}\n")
    scene(1).save(tmp_path / "1.png")
    report = check_dataset(tmp_path, "ldl")
    assert report["splits"]["train"]["with_votes"] == report["splits"]["train"]["rows"] == 1
    assert report["findings"]["broken_splits"][0]["split"] == "test" and report["problems"] == 1
    (tmp_path / "ratings.csv").write_text("file,valence,arousal\n1.png,3,3\ngone.png,4,4\n")
    rated = check_dataset(tmp_path, "oasis")
    assert rated["splits"]["all"]["rated"] == 2
    assert [row["id"] for row in rated["findings"]["missing_pictures"]] == ["gone.png"]


def test_stored_pictures_are_checked_too(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    cells = [{"bytes": b"no picture", "path": None}, None]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["awe", "joy"])}
    )
    datasets.Dataset.from_dict({"image": cells, "label": [0, 1]}, features).save_to_disk(
        tmp_path / "set"
    )
    report = check_dataset(tmp_path / "set", "hub")
    sentences = [row["sentence"] for row in report["findings"]["unreadable_pictures"]]
    assert "row 0' cannot be read as a picture: it holds text" in sentences[0]
    assert "row 1' cannot be read as a picture: it is empty" in sentences[1]
    assert report["findings"]["unknown_labels"][0]["label"] == "joy"


def test_what_cannot_be_checked(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    with pytest.raises(UsageError, match="no split files"):
        check_dataset(tmp_path, "emoset")
    with pytest.raises(UsageError, match="1 or more, got 0"):
        check_dataset(tmp_path, "folder", workers=0)
    with pytest.raises(UsageError, match="Did you mean 'folder'"):
        check_dataset(tmp_path, "folders")
