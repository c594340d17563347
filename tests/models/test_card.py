from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from emosym.emotions import own_space
from emosym.models.calibration import Calibration, calibration_row
from emosym.models.card import model_card
from emosym.models.checkpoint import describe_checkpoint
from emosym.space_rows import space_row

STORYBOOK: dict[str, Any] = {
    "base": "storybook-base",
    "label_space": "mikels8",
    "stages": ["align", "rl", "joint"],
    "num_context_tokens": 4,
    "versions": {"emosym": "0.1", "torch": "2.13"},
    "git": "abc123",
}


def header_of(card: str) -> dict[str, Any]:
    _, header, _ = card.split("---\n", 2)
    found = yaml.safe_load(header)
    assert isinstance(found, dict)
    return found


def code_of(card: str) -> str:
    return card.split("```python\n")[1].split("```")[0]


def test_the_header_is_the_hubs() -> None:
    header = header_of(model_card(STORYBOOK, {}))
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "emosym"
    assert "storybook" in header["tags"]
    assert "base_model" not in header
    big = header_of(model_card({**STORYBOOK, "base": "emosym-2b"}, {}))
    assert big["base_model"][0] == "Qwen/Qwen2-VL-2B-Instruct"
    assert "storybook" not in big["tags"]


def test_storybook_makes_no_claim_about_photographs_and_others_do_not_say_storybook() -> None:
    card = model_card(STORYBOOK, {})
    assert "no claim about photographs" in card
    assert "storybook" not in model_card({**STORYBOOK, "base": "emosym-7b"}, {}).lower()


@pytest.mark.parametrize("base", ["storybook-base", "emosym-2b", "/home/someone/a-base"])
def test_what_it_is_not_for_is_on_every_card(base: str) -> None:
    card = model_card({**STORYBOOK, "base": base}, {})
    for word in ("inner states", "hiring", "surveillance", "cultures", "norms of emotion *words*"):
        assert word in card
    assert "is not an emotion that somebody feels" in card
    assert "/home/" not in card  # no path of the machine that wrote it


def test_a_card_of_words_speaks_of_texts() -> None:
    spaces = [space_row(own_space(["joy", "fear"]))]
    about = {"spaces": spaces, "space": spaces[0]["name"], "calibrations": {}}
    about["validation"] = {spaces[0]["name"]: 9}
    rest = {"domain": None, "emotion_space": None, "base": "smollm2-135m"}
    told = {key: STORYBOOK[key] for key in ("stages", "versions", "git")}
    card = model_card({**told, **about, **rest}, {"macro_f1_at_half": 0.5})
    assert "9 validation texts" in card and "Whether a text is outside" in card
    assert "is not the emotion of whoever wrote or spoke them" in card
    assert "hiring" in card and "painted" not in card and "image-generation" not in card
    assert "thresholds are .5" in card and "unsure below" not in card
    sure = Calibration(n=9, abstain_below=0.614, target=0.8, coverage=0.666, accuracy=0.801)
    about["calibrations"] = {spaces[0]["name"]: calibration_row(sure)}
    card = model_card({**told, **about, **rest}, {})
    assert "unsure below 0.61: above it are 67 % of 9 held-out texts, 80 % of " in card


def test_numbers_are_those_given() -> None:
    card = model_card(STORYBOOK, {"accuracy": 0.90625, "odd|name": 2, "auc": float("nan")})
    assert "| accuracy | 0.9062 | share of pictures read as their label" in card
    assert "| odd/name | 2 |  |" in card
    assert "| auc | undefined |  |" in card
    assert "None were given" in model_card(STORYBOOK, {})


def test_stages_recipes_and_versions_are_named() -> None:
    recipes = [f"stage: {stage}\nseed: 0\n" for stage in STORYBOOK["stages"]]
    card = model_card(STORYBOOK, {}, recipes)
    assert "2. `rl`: `recipe-1-rl.yaml`" in card
    assert "# joint\nstage: joint\nseed: 0\n```" in card
    assert "emosym 0.1, torch 2.13; commit `abc123`." in card


def test_the_loading_example_is_python_and_paints_only_where_it_can() -> None:
    painted, read = model_card(STORYBOOK, {}), model_card({**STORYBOOK, "stages": ["align"]}, {})
    ast.parse(code_of(painted))
    ast.parse(code_of(read))
    assert "generate(" in code_of(painted)
    assert "generate(" not in code_of(read)
    assert "does not paint" in read
    assert len(code_of(painted).strip().splitlines()) <= 10


def test_a_real_checkpoint_gets_a_card_whose_example_runs(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    import numpy as np
    from PIL import Image

    card = model_card(describe_checkpoint(tiny_checkpoint), {"accuracy": 0.5})
    assert str(tiny_checkpoint.parent) not in card
    reading = code_of(card).split("for painting")[0]
    picture = tmp_path / "picture.jpg"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(picture)
    code = reading.replace("this-folder", str(tiny_checkpoint)).replace("picture.jpg", str(picture))
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["reading"].emotion in names["reading"].probabilities


def test_a_stage_that_ran_twice_shows_both_recipes_in_order() -> None:
    stages = ["align", "feedback", "feedback"]
    card = model_card({**STORYBOOK, "stages": stages}, {}, ["seed: 3", "beta: 1", "beta: 2"])
    places = [
        card.index(f"```yaml\n# {block}\n```")
        for block in ("align\nseed: 3", "feedback\nbeta: 1", "feedback\nbeta: 2")
    ]
    assert places == sorted(places)
