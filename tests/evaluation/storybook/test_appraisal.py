"""Readers of true cues: who knows the appraisals needs few labels, a sum learns nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from emosym.apps.cli.evaluate_base import evaluate_base
from emosym.config.load import resolve_recipe
from emosym.config.recipes import BaseRecipe
from emosym.data.storybook.appraisal.world import draw_appraisal_story
from emosym.errors import UsageError
from emosym.evaluation.storybook.appraisal import (
    best_probe,
    fitted_accuracy,
    is_too_easy,
    probe_base,
    true_appraisals,
    true_cues,
    verdict,
)
from emosym.models.tokenizer import load_tokenizer
from emosym.training.storybook.corpus import load_texts
from emosym.training.storybook.pretrain import run_base


def test_true_cues_name_each_value_once() -> None:
    stories = [draw_appraisal_story(1, index) for index in range(40)]
    found = true_cues(stories)
    assert found.shape == (40, 48)
    counts = np.array([len(story.objects) for story in stories])
    assert (found.sum(axis=1) == 5 + counts).all()  # scene, light, count, face, action, objects
    assert set(np.unique(true_appraisals(stories))) == {-1.0, 1.0}


def test_who_knows_the_appraisals_needs_few_labels() -> None:
    def added_up(_: int) -> LogisticRegression:
        return LogisticRegression(max_iter=300)

    assert fitted_accuracy(true_appraisals, added_up, 50, seed=3, repeats=1) > 0.9
    assert fitted_accuracy(true_cues, added_up, 400, seed=3, repeats=1) < 0.2


def test_a_probe_finds_what_states_tell_and_nothing_where_they_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(2, size=(700, 2))
    truth = (bits[:, 0] ^ bits[:, 1]).tolist()
    states = np.concatenate([bits, rng.normal(size=(700, 2))], axis=1)
    assert best_probe(states[:200], states[200:], truth[:200], truth[200:]) > 0.95
    noise = rng.normal(size=(700, 4))
    assert best_probe(noise[:200], noise[200:], truth[:200], truth[200:]) < 0.62


def test_the_stop_rule() -> None:
    assert is_too_easy(0.92, 0.941) and not is_too_easy(0.90, 0.941)
    assert "TOO EASY" in verdict({"probe_accuracy": 0.92, "best_achievable": 0.941}, 200)
    told = verdict({"probe_accuracy": 0.5, "best_achievable": 0.9412}, 200)
    assert "reads 50.0% with 200 labels, where 94.1% is achievable" in told and "EASY" not in told


def base_recipe(out: Path, **changes: object) -> BaseRecipe:
    optim = {"steps": 21, "batch_size": 2, "bf16": False, "muon_lr": 1e-3}
    raw = {
        **{"stage": "base", "out": str(out), "count": 64, "workers": 1, "level": "appraisal"},
        "parts": ["reader"],
        "reader": {"hidden_size": 96, "layers": 1, "says": ["caption"], "optim": optim},
        **changes,
    }
    found = resolve_recipe(raw, "test")
    assert isinstance(found, BaseRecipe)
    return found


def test_a_base_of_captions_alone_is_trained_and_probed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # the tests beside this one would wait
    recipe = base_recipe(tmp_path / "run")
    base = run_base(recipe, progress=False)
    texts, tokenizer = load_texts(recipe), load_tokenizer(base / "reader")
    assert all(texts[i].rationale == [] and texts[i].caption for i in range(64))
    words = (
        "It goes well: the storm. Then the roof flew off. At first ill, beyond control, together."
    )
    assert len(tokenizer.encode(words)) == 24  # two more than there are words, stops and commas
    log = (recipe.out / "reader" / "metrics.jsonl").read_text()
    assert "describe" in log and "stands_out" not in log and "questions" not in log
    result = probe_base(str(base), labels=40, tested=30)
    names = {"start", "picture", "layers", "vision", "accuracy"}
    found = {name: result["values"][f"probe_{name}"] for name in names}
    assert found["accuracy"] == max(found.values()) and result["values"]["too_easy"] == 0.0
    evaluate_base(str(base), tmp_path / "probe.json", 30, 0, None, 40)
    told = " ".join(capsys.readouterr().out.split())
    assert "there is something to reason out" in told and (tmp_path / "probe.json").is_file()
    with pytest.raises(UsageError, match="--sheet"):
        evaluate_base(str(base), tmp_path / "probe.json", 30, 0, tmp_path / "sheet.png", 40)


def test_a_base_that_would_see_appraisals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must not have seen"):
        base_recipe(tmp_path, reader={"says": ["caption", "rationale"]})
    with pytest.raises(UsageError, match="no judges of the level 'appraisal'"):
        base_recipe(tmp_path, parts=["reader", "judges"])
