"""`emosym understand dialogue.json` and texts by a trained model, at toy size."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.training.stages.test_m2se import SPACE, adapted, base, dialogue, opened, plan, talk_data

from emosym.config.load import dump_recipe
from emosym.data.dialogue_file import read_dialogue
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.reader.talks import talks_of
from emosym.pipelines.task_reading import speak_answers, with_emotion
from emosym.pipelines.trained import TEXT_MODEL, EmoSymPipeline
from emosym.service.words import EACH_ALONE
from emosym.tasks.names import open_task
from emosym.training.stages.finish import write_stage
from emosym.training.stages.m2se import train_m2se
from emosym.training.stages.talk_values import held_out
from emosym.types import DialogueOutput

__all__ = ("base",)


@pytest.fixture(scope="module")
def model(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = plan(tmp_path_factory.mktemp("talking"), 10, evaluate_every=10)
    trained = adapted(opened(base), recipe)
    train, val = (
        talks_of(trained.reader, data)
        for data in (talk_data("train", 0, 32), talk_data("val", 500, 16))
    )
    train_m2se(trained, train, val, recipe, progress=False)
    held = held_out(trained.reader, val)
    told = {SPACE: (held.logits, held.truth)}
    return write_stage(trained, recipe, dump_recipe(recipe), told, held.values).checkpoint


def write(path: Path, number: int) -> Path:
    turns, _, _ = dialogue(number)
    rows = [{"speaker": turn.speaker, "text": turn.text} for turn in turns]
    path.write_text(json.dumps({"turns": rows}))
    return path


def test_a_dialogue_is_a_row_a_turn(command, model: Path, tmp_path: Path) -> None:
    file, out = write(tmp_path / "d.json", 503), tmp_path / "r.csv"
    code, shown, _ = command("understand", file, "-m", model, "--csv", out)
    assert code == 0 and "caused by turn" in shown and "Look, the" in shown
    rows = list(csv.DictReader(out.open(newline="")))
    count = len(dialogue(503)[0])
    assert [row["source"] for row in rows] == [f"{file}#{n + 1}" for n in range(count)]
    assert all(row["emotion"] in SPACE.labels and not row["error"] for row in rows)
    code, printed, _ = command(
        *("understand", file, "-m", model, "--json", "-", "--course", tmp_path / "new" / "course")
    )
    told = json.loads(printed)
    assert code == 0 and [row["emotion"] for row in told] == [row["emotion"] for row in rows]
    assert [row["causes"] or "" for row in told] == [row["causes"] for row in rows]
    assert EACH_ALONE not in shown
    drawn = (tmp_path / "new" / "course.svg").read_text()
    assert "polarity" in drawn and ">Ann<" in drawn and ">Bo<" in drawn
    for wrong in ((file, write(tmp_path / "e.json", 1)), (tmp_path / "x.png",)):
        code, _, told = command("understand", *wrong, "-m", model, "--course", tmp_path / "c")
        assert code == 2 and "--course draws" in told


def test_with_no_model_named_the_shipped_one_for_words_reads(
    command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was taught single turns, as the shipped one was, says that it read each alone."""
    loaded = load_checkpoint(model)
    single = replace(loaded, reader=replace(loaded.reader, history=False), causes=None)
    single.reader.reasoner.pointer = None
    save_checkpoint(single, tmp_path / "shipped" / TEXT_MODEL)
    monkeypatch.setattr("emosym.pipelines.trained.WEIGHTS", tmp_path / "shipped")
    code, shown, _ = command("understand", write(tmp_path / "d.json", 503))
    assert code == 0 and EACH_ALONE in shown and "caused by turn" not in shown


def test_a_bad_dialogue_among_good_ones_is_one_row(command, model: Path, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.json", 4), tmp_path / "bad.json"
    bad.write_text('{"turns": [{"speaker": "Ann"}]}')
    code, shown, _ = command("understand", bad, good, "-m", model, "--csv", tmp_path / "r.csv")
    assert code == 0 and "turn 1: it has neither" in shown
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    assert [bool(row["error"]) for row in rows] == [True, *[False] * len(dialogue(4)[0])]
    code, _, err = command("understand", bad, "-m", model)
    assert code == 2 and "turn 1: it has neither 'text' nor a 'picture'" in err


def test_texts_by_a_trained_model(command, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    lines = ["Look, the storm.", "", "Oh!"]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    code, shown, _ = command(
        "understand", "--text-file", tmp_path / "lines.txt", "-m", model, "--json", out
    )
    rows = json.loads(out.read_text())
    assert code == 0 and "2 read; 1 could not be read" in shown and "Zero-shot" not in shown
    assert [row["source"] for row in rows] == lines
    empty = "The text is empty: there is nothing to read."
    assert [row["error"] for row in rows] == [None, empty, None]


def test_who_cannot_read_what_says_so(command, model, tiny_checkpoint, tmp_path: Path) -> None:
    file = write(tmp_path / "d.json", 2)
    for words, told in (
        ((file, "-m", tiny_checkpoint), "was not taught conversations"),
        ((file, tmp_path / "a.png", "-m", model), "is a dialogue, the others are not"),
        ((file, "--zero-shot"), "Dialogues are read by a trained model"),
        (("--text", "x", "-m", tiny_checkpoint), "reads pictures. Text is read by"),
        ((tmp_path / "none.json", "-m", model), "none.json"),
    ):
        code, _, err = command("understand", *words)
        assert code == 2 and told in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "holds no conversation"),
        ("[]", "holds no conversation"),
        ('{"turns": 5}', "holds no conversation"),
        ("[5]", "turn 1: a text or an object is meant"),
        ('["Hi.", {"text": 5}]', "turn 2: 'text' must be text"),
        ('[{"text": "Hi.", "pictures": "a.png"}]', "'pictures' must be a list"),
        ('[{"text": "Hi.", "picture": "../a.png"}]', "leaves its folder"),
        ("[", "not valid JSON"),
    ],
)
def test_files_that_hold_no_dialogue(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(UsageError, match=told):
        read_dialogue(tmp_path / "d.json")


def test_forms_of_a_dialogue(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(
        '["Hi.", {"speaker": "Bo", "text": "Yes?", "picture": "b.png"}]'
    )
    sample = read_dialogue(tmp_path / "d.json")
    first, second = sample.turns
    assert (first.speaker, first.text, first.frames) == (None, "Hi.", ())
    assert (second.speaker, second.text) == ("Bo", "Yes?")
    assert second.frames == (tmp_path / "b.png",) and sample.focus is None


def test_why_is_said_of_what_was_read(command, model: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "d.json", 503)
    code, shown, told = command("understand", file, "-m", model, "--explain")
    assert code == 2 and "spoken={eri_grounded: 1}" in told and not shown
    assert command("understand", file, "-m", model, "--resume")[0] == 2
    taught = load_checkpoint(model)
    taught = replace(taught, recipes=(*taught.recipes, "spoken: {eri_grounded: 1.0}"))
    sample = read_dialogue(file)
    (plain,) = EmoSymPipeline(taught).read_dialogues([sample])
    (found,) = EmoSymPipeline(taught).read_dialogues([sample], explain=True)
    assert isinstance(plain, DialogueOutput) and isinstance(found, DialogueOutput)
    assert found.causes == plain.causes
    task, moved = open_task("eri_grounded", SPACE), 0
    for turn, (reading, before) in enumerate(zip(found.readings, plain.readings, strict=True)):
        assert replace(reading, rationale=None).to_dict() == before.to_dict()
        if reading.emotion == "none":
            assert reading.rationale is None
            continue
        pairs = tuple(pair for pair, _ in plain.causes or () if pair.turn == turn)
        asked = with_emotion(replace(sample, focus=turn), reading.emotion, pairs)
        assert [reading.rationale] == speak_answers(taught, task, [asked])
        moved += 1
    assert moved
