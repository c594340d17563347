"""`emosym generate` and `emosym evaluate` on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.apps.cli.generate import parse_mix
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result
from emosym.pipelines.requests import PaintRequest
from emosym.service.gallery import stem_of, title_of


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pictures_readings_and_sheet_are_written(command, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "out"
    ask = ("--model", tiny_checkpoint, "--out", out, "--steps", 1)
    code, said, _ = command("generate", "awe", "-n", 3, "--batch-size", 2, *ask)
    assert code == 0
    rows = lines(out / "readings.jsonl")
    names = [row["image"] for row in rows]
    assert sorted(p.name for p in out.iterdir()) == [*names, "readings.jsonl", "sheet.png"]
    stem = names[0].removesuffix("-0000.png")
    assert names == [f"{stem}-{i:04d}.png" for i in range(3)]
    assert stem.startswith("awe-seed0-") and len(stem) == len("awe-seed0-") + 6
    assert all(row["request"]["weights"] == {"awe": 1.0} for row in rows)
    assert all(name in said for name in names)
    assert Image.open(out / names[0]).size == (64, 64)
    kept = {name: (out / name).read_bytes() for name in names}
    # the same request finds its pictures; every other one has names of its own
    code, said, _ = command("generate", "awe", "-n", 3, *ask)
    assert code == 0 and "(3 were there already)" in said
    for other in (
        ("awe", "--intensity", 1.5),
        ("awe", "--prompt", "a {} lake"),
        ("awe", "--prompt", "{} a lake"),
        ("awe", "--seed", 1),
        ("--mix", "awe=.7,fear=.3"),
        ("--mix", "awe=.7,fear=.30001"),
    ):
        assert command("generate", *other, "-n", 1, *ask)[0] == 0
    assert {name: (out / name).read_bytes() for name in names} == kept
    assert len(lines(out / "readings.jsonl")) == 9
    made = {path.name for path in out.glob("*.png")}
    assert {row["image"] for row in lines(out / "readings.jsonl")} < made
    assert len(made) == 9 + 7  # nor do sheets replace each other


def test_a_record_repaints_its_picture_alone(command, tiny_checkpoint, tmp_path) -> None:
    import shlex

    out = tmp_path / "out"
    asked = ("--mix", "awe=.7,fear=.3", "--prompt", "a {} 'lake'\nat night", "--intensity", 1.5)
    options = ("--model", tiny_checkpoint, "--steps", 2, "--batch-size", 1)
    command("generate", *asked, "-n", 3, "--seed", 5, "--out", out, *options)
    row = lines(out / "readings.jsonl")[2]
    words = shlex.split(row["repaint"])
    assert words[:2] == ["emosym", "generate"] and words[-2:] == ["--index", "2"]
    assert command(*words[1:], "--batch-size", 1, "--out", tmp_path / "again")[0] == 0
    (again,) = lines(tmp_path / "again" / "readings.jsonl")
    assert again == row
    first, second = (Image.open(place / row["image"]) for place in (out, tmp_path / "again"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_a_stopped_run_goes_on_where_it_was(
    command, tiny_checkpoint, tmp_path, monkeypatch
) -> None:
    from emosym.pipelines.trained import EmoSymPipeline

    out = tmp_path / "out"
    ask = ("generate", "fear", "-n", 4, "--batch-size", 1, "--steps", 1, "-m", tiny_checkpoint)
    real, painted = EmoSymPipeline.paint, []

    def stopped(self, request, *more):
        for output in real(self, request, *more):
            if len(painted) == 2:
                raise KeyboardInterrupt
            painted.append(output.request["index"])
            yield output

    monkeypatch.setattr(EmoSymPipeline, "paint", stopped)
    code, _, err = command(*ask, "--out", out)
    assert code == 130 and "2 of 4 are kept" in err
    assert [row["request"]["index"] for row in lines(out / "readings.jsonl")] == [0, 1]
    painted.clear()
    monkeypatch.setattr(EmoSymPipeline, "paint", real)
    with (out / "readings.jsonl").open("a") as stream:
        stream.write('{"image": "torn')
    code, said, _ = command(*ask, "--out", out)
    assert code == 0 and "(2 were there already)" in said
    rows = lines(out / "readings.jsonl")
    assert [row["request"]["index"] for row in rows] == [0, 1, 2, 3]


def test_intensities_and_seeds_stand_beside_each_other(command, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "out"
    ask = ("-m", tiny_checkpoint, "--steps", 1, "--out", out)
    code, said, _ = command("generate", "awe", "--intensity", "1,1.5,2", "--seeds", "1,2", *ask)
    assert code == 0 and "Wrote 6 pictures" in said
    rows = lines(out / "readings.jsonl")
    assert [(row["request"]["intensity"], row["seed"]) for row in rows] == [
        (strength, seed) for strength in (1.0, 1.5, 2.0) for seed in (1, 2)
    ]
    (sheet,) = out.glob("sheet*.png")
    width, height = Image.open(sheet).size
    assert height > 3 * 192 and width >= 2 * 192
    for option, value in (("--intensity", "1,much"), ("--seeds", "1.5")):
        code, _, err = command("generate", "awe", option, value, *ask)
        assert code == 2 and f"{option} is a number, or several" in err
    assert command("generate", "awe", "--seeds", "1", "--seed", "2", *ask)[0] == 2


def test_a_prompt_without_braces_says_where_the_emotion_went(
    command, tiny_checkpoint, tmp_path
) -> None:
    ask = ("-n", 1, "-m", tiny_checkpoint, "--steps", 1, "--out", tmp_path / "o")
    _, said, _ = command("generate", "awe", "--prompt", "a lake", *ask)
    assert 'as in "{} a lake"' in said
    _, said, _ = command("generate", "awe", "--prompt", "a {} lake", *ask)
    assert "no {}" not in said


def test_other_ways_to_ask(command, tiny_checkpoint, tiny_pictures, tmp_path) -> None:
    Image.fromarray(tiny_pictures.pictures[0]).save(tmp_path / "like me.png")
    ask = ("--model", tiny_checkpoint, "--out", tmp_path / "o", "--steps", 1, "-n", 1)
    assert command("generate", "--like", tmp_path / "like me.png", *ask)[0] == 0
    assert command("generate", "--valence", 2, "--arousal", 6, "--seed", 3, *ask)[0] == 0
    names = [row["image"] for row in lines(tmp_path / "o" / "readings.jsonl")]
    assert names[0].startswith("like-like-me-seed0-")
    assert names[1].startswith("valence-2-arousal-6-seed3-")


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
    odd = PaintRequest(None, None, {"emotion": "../Ä/We ird"}, prompt="x" * 10_000, seed=2)
    stem = stem_of(odd, "model")
    assert stem.startswith("we-ird-" + "x" * 24 + "-seed2-")
    assert stem != stem_of(odd, "other") and len(stem) < 100
    assert stem_of(PaintRequest(None, None, {"emotion": "///"}), "m").startswith("painting-seed0-")
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
