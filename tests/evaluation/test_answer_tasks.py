"""Tasks put to a model that reads storybook conversations: by latents, in words, in the shell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet
from tests.apps.conftest import command

from emosym.data.action_units import UNIT_SPACE
from emosym.data.sources.open import open_dataset
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.emotions import SENTIMENT7, label_space
from emosym.errors import UsageError
from emosym.evaluation.answer_tasks import answer_tasks
from emosym.models.checkpoint import save_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.pipelines.task_reading import can_read, speak_answers, with_found
from emosym.pipelines.trained import EmoSymPipeline
from emosym.tasks.names import open_task
from emosym.tasks.task import Unparsed
from emosym.types import ECPE, ERI, FER, MER, MSA, DialogueOutput, Sample

__all__ = ("command",)
MELD7 = label_space("meld7")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talks") / "talks"
    write_dialogues(folder, {"train": 1, "val": 1, "test": 4}, size=64, seed=3, workers=1)
    return folder


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> EmoSymModel:
    fresh = new_model(str(tiny_base), 1, False, "turns", seed=1, space=MELD7)
    for space in (SENTIMENT7, UNIT_SPACE):
        fresh.reader.reasoner.add_head(space, 1)
    fresh.reader.reasoner.add_pointer(MELD7, 1)
    return replace(fresh, causes=MELD7)


def test_latents_answer_as_the_pipeline_reads(model: EmoSymModel, root: Path) -> None:
    data = open_dataset("storybook-dialogues", root, "test", MELD7)
    names = (MER, MSA, FER, ECPE, "ecpe_predicted")
    assert all(can_read(model, name) for name in names)
    found = {one.name: one for one in answer_tasks(model, names, data)}
    assert set(found) == set(names)
    first = data[0]
    (whole,) = EmoSymPipeline(model).read_dialogues([Sample("d", first.turns)])
    assert isinstance(whole, DialogueOutput)
    for turn in range(len(first.turns)):
        assert found[MER].predictions[turn] == whole.readings[turn].emotion
        assert -3 <= found[MSA].predictions[turn] <= 3
        shares = whole.others[turn][UNIT_SPACE.name]
        shown = {code.upper() for code, share in shares.items() if share > 0.5}
        assert set(found[FER].predictions[turn]) == shown
    for place, sample in enumerate(data):
        emotion = sample.turns[sample.focus].emotion
        for pair in found[ECPE].predictions[place]:  # given emotions stay what they are
            assert pair.turn == sample.focus and pair.emotion == emotion != "neutral"


def test_in_words_where_it_is_asked_or_no_head_is(model: EmoSymModel, root: Path) -> None:
    data = open_dataset("storybook-dialogues", root, "test", MELD7).subset(range(3))
    (spoken,) = answer_tasks(model, [MER], data, spoken=True)
    assert spoken.answers is not None and len(spoken.answers) == 3
    assert all(isinstance(found, (str, Unparsed)) for found in spoken.predictions)
    assert not can_read(replace(model, causes=None), ECPE)
    with pytest.raises(UsageError, match="tells nothing of the task 'text_emotion'"):
        answer_tasks(model, ["text_emotion"], data)


def test_reasons_are_asked_of_what_latents_find(model: EmoSymModel, root: Path) -> None:
    data = open_dataset("storybook-dialogues", root, "test", MELD7)
    told = {one.name: one for one in answer_tasks(model, [MER, "ecpe_predicted"], data)}
    found = with_found(model, data)
    for place, (sample, true) in enumerate(zip(found, data, strict=True)):
        emotion = told[MER].predictions[place]
        assert sample.turns[sample.focus].emotion == sample.targets[MER] == emotion
        assert sample.targets[ECPE] == told["ecpe_predicted"].predictions[place]
        assert sample.targets.get(ERI) == true.targets.get(ERI)
    moved = [place for place, sample in enumerate(data) if ERI in sample.targets][:3]
    (spoken,) = answer_tasks(model, ["eri_grounded"], data.subset(moved))
    asked = speak_answers(model, open_task("eri_grounded", MELD7), [found[i] for i in moved])
    assert list(spoken.answers) == asked
    assert list(spoken.truths) == [data[i].targets[ERI] for i in moved]


def test_the_shell_writes_a_result_a_task(command, model, root: Path, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "c")
    asked = ("evaluate", tmp_path / "c", "--data", root, "--source", "storybook-dialogues")
    out, answers = tmp_path / "r.json", tmp_path / "a.parquet"
    code, shown, _ = command(
        *asked, "--tasks", "mer,ecpe", "--out", out, "--predictions", answers, "--limit", 5
    )
    assert code == 0 and "weighted_f1" in shown
    values = json.loads((tmp_path / "r-mer.json").read_text())["values"]
    assert {"accuracy", "weighted_f1", "majority_accuracy"} <= set(values)
    causes = json.loads((tmp_path / "r-ecpe.json").read_text())["values"]
    assert {"pair_f1", "self_and_previous_pair_f1"} <= set(causes)
    assert parquet.read_table(answers).num_rows == 10
    for words, told in (
        (("--tasks", "mer,painting"), "is no task"),
        (("--tasks", "text_emotion"), "tells nothing of the task"),
        (("--tasks", "mar"), "Did you mean"),
    ):
        code, _, err = command(*asked, *words, "--out", out)
        assert code == 2 and told in err and "Traceback" not in err
