"""What a model says, trained by TRL at toy size: only the adapter moves, and stopped runs go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forks import in_fork
from tests.training.trl_runs import few_letters, grpo_killed, recipe_of

from emosym.emotions import MIKELS8
from emosym.errors import StoppedEarly, UsageError
from emosym.models.checkpoint import load_checkpoint, trained_parts
from emosym.models.render import render
from emosym.tasks.image_emotion import image_emotion
from emosym.tasks.reasoned import in_form
from emosym.training.run import run_recipe
from emosym.training.stages import text_rewards
from emosym.training.stages.text_rewards import columns_of, open_rewards, readable_of
from emosym.training.stages.trl_policy import PictureProcessor, messages_of


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    backbone = load_checkpoint(folder).reader.reasoner.backbone
    return {k: v for k, v in backbone.state_dict().items() if "lora_" in k}


def rows_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow  # importing trl and datasets takes longer than what they are asked
def test_grpo_moves_the_adapter_alone_and_goes_on_after_a_stop(
    tiny_checkpoint: Path,
    tiny_storybook: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(text_rewards.OTHERS, "few_letters", few_letters)

    def recipe(name: str) -> Any:
        return recipe_of(
            "rl_text",
            tmp_path / name,
            tiny_checkpoint,
            tiny_storybook,
            num_generations=4,
            rewards={"few_letters": 1.0, "accuracy": 0.5},
        )

    written, values = run_recipe(recipe("whole"), progress=False)
    rows = rows_of(tmp_path / "whole")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert abs(rows[0]["kl"]) < 1e-6 and rows[-1]["kl"] > 1e-4  # the policy that came in
    assert rows[0]["reward"] == pytest.approx(rows[0]["few_letters"] + 0.5 * rows[0]["accuracy"])
    assert rows[0]["readable"] == 0.0  # it has learned no label yet, and this is said
    assert "Only 0 % of the first sampled answers" in caplog.text
    assert {"score", "score before", "form before", "names_absent"} <= set(values)
    before, after = adapter_of(tiny_checkpoint), adapter_of(written)
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[k], after[k]) for k in before if ".lora_B." in k)
    parts, own = (
        trained_parts(load_checkpoint(folder).reader.reasoner)
        for folder in (tiny_checkpoint, written)
    )
    assert all(torch.equal(parts[name], own[name]) for name in parts)
    assert load_checkpoint(written).calibrations == {}  # the heads read through what has moved

    with pytest.raises(StoppedEarly, match="rl_text at step 1 of 4"):
        run_recipe(recipe("cut"), progress=False, deadline=0.0)
    torn = tmp_path / "cut/state/checkpoint-3"  # killed while it was written
    torn.mkdir()
    again, more = run_recipe(recipe("cut"), progress=False)
    assert not torn.exists() or (torn / "whole").is_file()
    assert [row["step"] for row in rows_of(tmp_path / "cut")] == [1, 2, 3, 4]
    for name, value in adapter_of(again).items():
        assert torch.allclose(value, after[name], atol=1e-6), name
    assert more == pytest.approx(values)


@pytest.mark.slow  # four runs, and a process that imports trl
def test_grpo_goes_on_after_it_was_killed(
    tiny_checkpoint: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    code, said = in_fork(
        grpo_killed, tiny_checkpoint, tiny_storybook, tmp_path, log=tmp_path / "log"
    )
    assert code == 0, said
    told = [line for line in said.splitlines() if line.startswith(("whole ", "cut "))]
    assert told == [
        "whole ['checkpoint-2*', 'checkpoint-4*']",
        "cut ['checkpoint-2']",  # torn: the next run begins anew
        "cut ['checkpoint-2*']",
        "cut ['checkpoint-2*', 'checkpoint-4*']",
    ]
    whole, cut = (rows_of(tmp_path / name) for name in ("whole", "cut"))
    assert [row["step"] for row in cut] == [1, 2, 3, 4]
    assert [row["reward"] for row in cut] == pytest.approx([row["reward"] for row in whole])
    after, again = (adapter_of(tmp_path / name / "checkpoint") for name in ("whole", "cut"))
    for name, value in again.items():
        assert torch.allclose(value, after[name], atol=1e-6), name


@pytest.mark.parametrize("wrong", ["random", "likely"])
def test_dpo_prefers_what_is_there(
    wrong: str, tiny_checkpoint: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(
        "preference",
        tmp_path / "out",
        tiny_checkpoint,
        tiny_storybook,
        wrong=wrong,
        optim={"steps": 3},
    )
    written, _ = run_recipe(recipe, progress=False)
    rows = rows_of(tmp_path / "out")
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # both sides as the reference
    assert rows[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-5)
    before, after = adapter_of(tiny_checkpoint), adapter_of(written)
    assert any(not torch.equal(before[k], after[k]) for k in before)


def test_prompts_are_what_the_model_reads_elsewhere(
    tiny_checkpoint: Path, tiny_storybook: Path
) -> None:
    from emosym.data.sources.open import open_dataset

    chat = load_checkpoint(tiny_checkpoint).reader.chat
    task = in_form(image_emotion(MIKELS8), "sure")
    asked = [
        task.conversation(sample) for sample in open_dataset("storybook", tiny_storybook, "val")
    ]
    wanted = render(chat, asked[:3]).inputs
    prompts = [messages_of(chat, one) for one in asked[:3]]
    processor = PictureProcessor(chat)
    rows = processor.apply_chat_template(
        prompts, tokenize=True, return_dict=True, add_generation_prompt=True
    )
    assert rows["input_ids"] == wanted["input_ids"].tolist()
    texts = processor.apply_chat_template(prompts, add_generation_prompt=True)
    images = [[part["image"] for part in one[0]["content"] if "image" in part] for one in prompts]
    batch = processor(images=images, text=texts, padding=True)
    for name in ("input_ids", "attention_mask", "pixel_values", "mm_token_type_ids"):
        assert torch.equal(batch[name], wanted[name]), name


def test_rewards_by_name_and_what_they_need(
    tiny_checkpoint: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    from emosym.data.sources.open import open_dataset

    task = in_form(image_emotion(MIKELS8), "reasoned")
    sample = open_dataset("storybook", tiny_storybook, "train")[0]
    label, objects = sample.label_of("image_emotion"), sample.attributes["object"]
    said = f"<think>A {objects[0]} and a {objects[1]}.</think><answer>{label}</answer>"
    functions, weights = open_rewards({"task": 1, "cues": 0.5, "format": 0.1}, task, MIKELS8)
    assert weights == [1.0, 0.5, 0.1]
    columns = {name: [value] for name, value in columns_of(sample, task).items()}
    assert [one([said], **columns) for one in functions] == [[1.0], [1.0], [1.0]]
    assert readable_of(task)([said, "A ball.", ""]) == [1.0, 0.0, 0.0]
    with pytest.raises(UsageError, match=r"Unknown reward 'acuracy'.*accuracy"):
        open_rewards({"acuracy": 1}, task, MIKELS8)
    recipe = recipe_of(
        "rl_text", tmp_path, tiny_checkpoint, tiny_storybook, rewards={"action_units": 1}
    )
    with pytest.raises(UsageError, match="needs units, which no sample"):
        run_recipe(recipe, progress=False)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"tasks": ["image_emotion", "mer"]}, "one task is trained at a time"),
        ({"lora": {"r": 0}}, "lora.r must be 1 or more"),
        ({"form": "plain", "stage": "preference"}, "no reason to prefer in the form 'plain'"),
        ({"form": "rated", "stage": "preference"}, "no reason to prefer in the form 'rated'"),
        ({"tasks": ["mood"]}, "Unknown task 'mood'"),
    ],
)
def test_recipes_that_cannot_be(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    stage = more.pop("stage", "rl_text")
    with pytest.raises(UsageError, match=told):
        run_recipe(recipe_of(stage, tmp_path, tmp_path, tmp_path, **more), progress=False)
