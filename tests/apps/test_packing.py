"""A text model as it is passed on: small, whole, opened by name once its base is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.apps.conftest import command
from tests.training.stages.test_m2se import base, plan
from tests.training.stages.test_several import SPACE, comments, opened

from emosym.config.load import dump_recipe
from emosym.errors import UsageError
from emosym.models.calibration import fit_several
from emosym.models.card import model_card
from emosym.models.emosym_model import with_calibration
from emosym.models.reader.talks import read_all_turns, talks_of
from emosym.pipelines import trained
from emosym.pipelines.trained import EmoSymPipeline, find_checkpoint, shipped_models
from emosym.training.stages.finish import write_stage
from emosym.training.stages.start import use_lora

__all__ = ("base", "command")


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, as m2se leaves it; nothing is trained, but its adapter is no zero."""
    out = tmp_path_factory.mktemp("packed") / "run"
    recipe = plan(out, 1, tasks=["text_emotion"], data={"source": "goemotions"})
    model = opened(base)
    use_lora(model, recipe)
    with torch.no_grad():
        for name, weight in model.reader.reasoner.backbone.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.linspace(-0.02, 0.02, weight.numel()).view_as(weight))
    talks = talks_of(model.reader, comments("val", 0, 20))
    logits = np.concatenate([one.logits for one in read_all_turns(model.reader, talks)])
    truth = np.concatenate([talk.marks for talk in talks])
    model = with_calibration(model, fit_several(logits, truth))
    write_stage(model, recipe, dump_recipe(recipe), {SPACE: (logits, truth)}, {"macro_f1": 0.4321})
    (out / "finished.json").write_text('{"macro_f1": 0.4321}')
    return out


def test_a_packed_copy_is_half_as_large_and_reads_the_same(command, run, tmp_path: Path) -> None:
    out = tmp_path / "emosym-text"
    code, shown, err = command("models", "pack", run / "checkpoint", out)
    assert code == 0 and f"Wrote {out}" in shown, err
    for name in ("reader.safetensors", "adapter/adapter_model.safetensors"):
        kinds = {tensor.dtype for tensor in load_file(out / name).values()}
        assert kinds == {torch.bfloat16}
    whole, packed = (EmoSymPipeline.from_pretrained(p) for p in (run / "checkpoint", out))
    assert packed.model.calibrations == whole.model.calibrations
    samples = list(comments("val", 100, 4))
    for one, other in zip(whole.understand(samples), packed.understand(samples), strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=0.02)
    card = (out / "README.md").read_text()
    assert "| macro_f1 | 0.4321 |" in card and "GoEmotions" in card and "CC BY 4.0" in card


def test_a_card_of_a_model_of_words(run: Path) -> None:
    described = json.loads((run / "checkpoint" / "emosym.json").read_text())
    card = model_card({**described, "base": "smollm2-135m"}, {})
    assert "pipeline_tag: text-classification" in card and "from words alone" in card
    assert "picture.jpg" not in card and "emosym models get smollm2-135m" in card
    assert "- HuggingFaceTB/SmolLM2-135M-Instruct\n" in card and "- ''" not in card


def test_it_is_there_once_its_files_are(command, run: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trained, "WEIGHTS", tmp_path)
    assert shipped_models() == ("storybook",)
    with pytest.raises(UsageError, match="Unknown model 'emosym-text'") as told:
        find_checkpoint("emosym-text")
    assert "Valid: storybook" in str(told.value) or "storybook" in str(told.value)
    code, _, err = command("understand", "--text", "Oh!")
    assert code == 2 and "The shipped model reads pictures" in err
    assert command("models", "pack", run / "checkpoint", tmp_path / "emosym-text")[0] == 0
    assert shipped_models() == ("storybook", "emosym-text")
    assert find_checkpoint("emosym-text") == tmp_path / "emosym-text"
    code, shown, _ = command("understand", "--text", "Oh!", "--csv", tmp_path / "r.csv")
    assert code == 0 and any(label in shown for label in SPACE.labels)
    assert "emosym-text" in command("models", "list")[1]


def test_without_its_base_it_says_how_to_get_it(command, run, tmp_path, monkeypatch) -> None:
    copy = Path(shutil.copytree(run / "checkpoint", tmp_path / "copy"))
    described = json.loads((copy / "emosym.json").read_text())
    (copy / "emosym.json").write_text(json.dumps({**described, "base": "smollm2-135m"}))
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("EMOSYM_MODELS", raising=False)
    monkeypatch.setattr("emosym.models.snapshots.cached_snapshot", lambda hub_id: None)
    code, _, err = command("understand", "--text", "Oh!", "-m", copy)
    assert code == 2 and "emosym models get smollm2-135m" in err and "Traceback" not in err
