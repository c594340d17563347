"""`emosym generate` and `emosym evaluate` on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.apps.cli.generate import file_stem, parse_mix, title_of
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pictures_readings_and_sheet_are_written(command, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "out"
    ask = ("--model", tiny_checkpoint, "--out", out, "--steps", 1)
    code, said, _ = command("generate", "awe", "-n", 3, "--batch-size", 2, *ask)
    assert code == 0
    names = [f"awe-seed0-{i:04d}.png" for i in range(3)]
    assert sorted(p.name for p in out.iterdir()) == [*names, "readings.jsonl", "sheet.png"]
    rows = lines(out / "readings.jsonl")
    assert [row["image"] for row in rows] == names
    assert all(row["request"]["weights"] == {"awe": 1.0} for row in rows)
    assert all(name in said for name in names)
    assert Image.open(out / names[0]).size == (64, 64)
    first = (out / names[0]).read_bytes()
    # the same request paints the same picture; another one adds to the folder
    command("generate", "awe", "-n", 1, *ask)
    assert (out / names[0]).read_bytes() == first
    code, _, _ = command("generate", "--mix", "awe=.7,fear=.3", "-n", 1, *ask)
    assert code == 0
    kept = [row["image"] for row in lines(out / "readings.jsonl")]
    assert sorted(kept) == [*sorted(["awe-0.7-fear-0.3-seed0-0000.png", *names])]


def test_other_ways_to_ask(command, tiny_checkpoint, tiny_pictures, tmp_path) -> None:
    Image.fromarray(tiny_pictures.pictures[0]).save(tmp_path / "like me.png")
    ask = ("--model", tiny_checkpoint, "--out", tmp_path / "o", "--steps", 1, "-n", 1)
    assert command("generate", "--like", tmp_path / "like me.png", *ask)[0] == 0
    assert command("generate", "--valence", 2, "--arousal", 6, "--seed", 3, *ask)[0] == 0
    images = {row["image"]: row["request"] for row in lines(tmp_path / "o" / "readings.jsonl")}
    assert set(images) == {"like-like-me-seed0-0000.png", "valence-2-arousal-6-seed3-0000.png"}


def test_a_picture_of_no_known_world_is_not_said_to_lend_its_mood(
    command, tiny_checkpoint, tiny_pictures, tmp_path
) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.fromarray(tiny_pictures.pictures[0]).save(tmp_path / "known.png")
    ask = ("--model", tiny_checkpoint, "--out", tmp_path / "o", "--steps", 1, "-n", 1)
    for name, warned in (("noise.png", True), ("known.png", False)):
        _, said, _ = command("generate", "--like", tmp_path / name, *ask)
        assert ("do not carry its mood" in said) == warned


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--mix", "awe=.8, awe=.2"), "names 'awe' twice"),
        (("aew",), "Did you mean 'awe'"),
        ((), "exactly one of"),
        (("awe", "--mix", "fear=1"), "not both"),
        (("--mix", "fear"), "must look like"),
        (("awe", "--like", "gone.png"), "exactly one of"),
        (("--like", "gone.png"), "no such file"),
        (("awe", "-n", "0"), "num_images must be 1 or more"),
        (("awe", "--steps", "0"), "num_inference_steps must be"),
        (("awe", "--model", "storybok"), "Did you mean 'storybook'"),
    ],
)
def test_bad_requests_write_nothing(
    command, tiny_checkpoint, tmp_path, arguments, sentence
) -> None:
    model = () if "--model" in arguments else ("--model", tiny_checkpoint)
    code, out, err = command("generate", *arguments, *model, "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert sentence in err and "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_an_output_below_a_file_is_refused(command, tmp_path) -> None:
    (tmp_path / "file").touch()
    code, _, err = command("generate", "awe", "--out", tmp_path / "file" / "o")
    assert code == 2
    assert "is a file, not a folder" in err


def test_names_and_titles() -> None:
    assert parse_mix("awe=.7, fear=.3") == {"awe": 0.7, "fear": 0.3}
    with pytest.raises(UsageError, match="must look like"):
        parse_mix("awe=much")
    assert file_stem("../Ä/We ird", 2) == "we-ird-seed2"
    assert file_stem("///", 0) == "painting-seed0"
    assert title_of({"emotion": "awe", "weights": {}}, "{}") == "awe"
    assert title_of({"like": "/home/me/a.png"}, "a {} dog") == "like a.png, prompt: a {} dog"


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    from emosym.data.storybook import write_storybook

    root = tmp_path_factory.mktemp("book") / "book"
    write_storybook(root, {"train": 2, "val": 2, "test": 40}, 64, 5)
    return root


def test_evaluate_writes_a_result(command, book, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "results" / "r.json"
    ask = ("--model", tiny_checkpoint, "--data", book, "--out", out)
    code, said, _ = command("evaluate", *ask)
    assert code == 0
    result = read_result(out)
    assert (result["name"], result["n"]) == ("understanding", 40)
    # the exact posterior of this book is known, so the best possible reading is in the result
    assert result["values"]["best_accuracy"] > 0.8
    assert 0 <= result["values"]["accuracy"] <= 1
    assert "accuracy" in said
    assert command("evaluate", *ask, "--limit", 6, "--seed", 1)[0] == 0
    assert read_result(out)["n"] == 6
    code, _, err = command("evaluate", *ask, "--paint", 2)
    assert code == 1
    assert "has no judges" in err
    code, _, err = command("evaluate", *ask, "--split", "tset")
    assert code == 2
    assert "splits there" in err


def test_evaluate_judges_paintings(book, judged, tmp_path) -> None:
    from emosym.data.sources.emoset import load_emoset
    from emosym.emotions import MIKELS8
    from emosym.evaluation.measure import evaluate_painting, evaluate_reading
    from emosym.models.judges.judge import JUDGE_NAMES
    from emosym.pipelines.trained import EmoSymPipeline

    pipeline = EmoSymPipeline.from_pretrained(judged, "cpu")
    dataset = load_emoset(book, "test")
    done = []
    painted = evaluate_painting(
        pipeline, dataset, 2, num_inference_steps=1, batch_size=2, progress=done.append
    )
    assert painted.result["n"] == sum(done) == 16
    assert set(painted.result["extractors"]) == set(JUDGE_NAMES)
    assert set(painted.outputs) == set(MIKELS8.labels)
    right = np.mean([
        seen == label for label, many in painted.judged["judge-a"].items() for seen in many
    ])  # fmt: skip
    assert painted.result["values"]["emo_a_judge_a"] == pytest.approx(right)
    read = evaluate_reading(pipeline, dataset, limit=5)
    assert len(read.readings) == len(read.names) == 5
    wanted = np.array([MIKELS8.index(reading.emotion) for reading in read.readings])
    assert read.result["values"]["accuracy"] == pytest.approx(np.mean(wanted == read.labels))
    (book / dataset.images[0]).rename(tmp_path / "away.png")
    try:
        with pytest.raises(UsageError, match="no such file"):
            evaluate_reading(pipeline, dataset)
    finally:
        (tmp_path / "away.png").rename(book / dataset.images[0])
