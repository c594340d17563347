from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.data.storybook.writer import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import open_chat
from emosym.models.render import render
from emosym.pipelines.likely_options import likely_options, likely_words, orders_of
from emosym.tasks.choice import LETTERS, ask_options
from emosym.types import CHOICE, Sample, Turn

PRESET = "storybook-dialogue-base"


def test_every_option_stands_at_every_place_once() -> None:
    for count in (2, 3, 4):
        orders = orders_of(count)
        for turn, order in enumerate(orders):
            assert [order.index(option) for option in range(count)] == [
                (option + turn) % count for option in range(count)
            ]
        assert all(len({order[place] for order in orders}) == count for place in range(count))


def test_shares_are_those_of_the_letters_put_back_to_their_options() -> None:
    chat = open_chat(resolve_base(PRESET))
    options = ("anger", "joy", "fear")
    story = Sample("q", (Turn(text="Ann won. What does Ann feel?"),), 0, {}, {"choices": options})
    (shares,) = likely_options(chat, [story])
    assert shares.shape == (3, 3) and np.allclose(shares.sum(axis=1), 1.0)
    turned = ask_options(story, ("fear", "anger", "joy"))  # order 1
    (letters,) = likely_words(chat, [turned], LETTERS[:3])
    assert np.allclose(shares[1], letters[[1, 2, 0]], atol=1e-6)


def test_shares_of_words_follow_the_models_own_probabilities() -> None:
    """One token: the share among two answers is that of their products with the turn's end."""
    chat = open_chat(resolve_base(PRESET))
    asked = ask_options(Sample("q", (Turn(text="Hm."),), 0), ("a", "b"))
    (found,) = likely_words(chat, [asked], ("A", "B"))

    def score(word: str) -> float:
        from emosym.models.reader.likelihood import answer_tokens

        ids = answer_tokens(chat, word)
        prompt = render(chat, [asked]).inputs["input_ids"]
        whole = torch.cat([prompt, torch.tensor([ids])], dim=1)
        with torch.no_grad():
            logits = chat.backbone(input_ids=whole).logits.log_softmax(-1)[0]
        places = range(prompt.shape[1] - 1, whole.shape[1] - 1)
        return sum(float(logits[p, i]) for p, i in zip(places, ids, strict=True))

    both = np.array([score("A"), score("B")])
    expected = np.exp(both - both.max())
    assert found == pytest.approx(expected / expected.sum(), abs=1e-4)


def written(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_multiple_choice_from_the_shell(tmp_path: Path) -> None:
    row = {"scenario": "Ann won.", "subject": "Ann", "question type": "Action", "category": "Self"}
    choices = ["Cheer", "Cry", "Leave", "Sleep"]
    rows = [{**row, "qid": i, "choices": choices, "label": choices[i]} for i in range(3)]
    written(tmp_path / "EA.jsonl", rows)
    out, kept = tmp_path / "ea.json", tmp_path / "ea.parquet"
    asked = ["evaluate", "--zero-shot", "--preset", PRESET, "--tasks", "choice", "-o", str(out)]
    data = ["--source", "emobench", "--data", str(tmp_path), "--split", "all"]
    more = ["--predictions", str(kept), "--device", "cpu"]
    done = CliRunner().invoke(app, [*asked, *data, *more], catch_exceptions=False)
    assert done.exit_code == 0 and kept.is_file()
    result = read_result(out)
    values = result["values"]
    assert result["n"] == 3 and result["subject"]["zero_shot"]["preset"] == PRESET
    assert values["chance"] == 0.25 and values["n_action"] == values["n_self"] == 3
    assert 0.0 <= values["accuracy"] <= 1.0 and values["unreadable"] == 0.0
    assert values["accuracy_action"] == values["accuracy"]
    with pytest.raises(UsageError, match=r"tells nothing of the task 'statement'"):
        CliRunner().invoke(
            app, [*asked[:5], "statement", *asked[6:], *data], catch_exceptions=False
        )


def test_statements_are_judged_by_likelihood(tmp_path: Path) -> None:
    write_storybook(tmp_path, {"train": 1, "val": 1, "test": 2}, size=64, seed=3)
    CliRunner().invoke(app, ["data", "statements", str(tmp_path)], catch_exceptions=False)
    out = tmp_path / "judged.json"
    asked = ["evaluate", "--zero-shot", "--preset", "storybook-base", "--tasks", "statement"]
    data = ["--source", "statements", "--data", str(tmp_path), "--split", "test", "-o", str(out)]
    done = CliRunner().invoke(app, [*asked, *data, "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0
    values = read_result(out)["values"]
    assert values["n_scene_context"] == 4 and values["always_correct"] == 0.5
    assert 0.0 <= values["said_correct"] <= 1.0


def test_a_truth_that_is_no_option_is_told() -> None:
    from emosym.evaluation.likely_answers import likely_answered
    from emosym.tasks.choice import choice

    sample = Sample("q", (Turn(text="Hm."),), 0, {CHOICE: "c"}, {"choices": ("a", "b")})
    with pytest.raises(UsageError, match="none of its options"):
        likely_answered(open_chat(resolve_base(PRESET)), CHOICE, choice(), [sample])


def test_one_label_is_the_likeliest_of_all() -> None:
    """Whatever the batch; of a text each label's answer against the others."""
    from emosym.emotions import LABEL_SPACES
    from emosym.evaluation.likely_answers import likely_labels
    from emosym.tasks.mer import mer

    chat, task = open_chat(resolve_base(PRESET)), mer(LABEL_SPACES["meld7"])
    said = ("Hm.", "We lost the boat, and it was my fault, I know.", "What a day it is.")
    samples = [Sample(text, (Turn("Ann", text),), 0) for text in said]
    labels = LABEL_SPACES["meld7"].labels
    words = [f"{label.capitalize()}." for label in labels]
    alone = [
        labels[int(likely_words(chat, [task.conversation(one)], words)[0].argmax())]
        for one in samples
    ]
    assert likely_labels(chat, task, samples, 2) == alone
