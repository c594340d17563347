"""All turns of a conversation from one pass: each as if the conversation had ended there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image
from tests.models.reader.test_text_models import SMALL, write_model
from transformers import LlamaConfig

from emosym.errors import UsageError
from emosym.models.emosym_model import new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.prefix import prefill
from emosym.models.reader.reasoner import think
from emosym.models.reader.turns import read_turns, think_turns
from emosym.models.render_turns import MARK, render_turns, turn_line
from emosym.types import Sample, Turn

ASKED = "What does each speaker feel?"
TALKS = (
    Sample("a", (Turn("Ann", "You came back!"), Turn("Bo", "I did."), Turn("Ann", "Why now?"))),
    Sample("b", (Turn(None, "Alone here, nobody to talk with."),)),
    Sample("c", (Turn("Cy", ""), Turn("Ann", "Say something.\nPlease!"))),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("turns") / "reader"
    write_model(folder, LlamaConfig(**{**SMALL, "max_position_embeddings": 1024}))
    return resolve_base("smollm2-135m", reader=str(folder), painter="none")


def model_of(base, steps: int, recurrent: bool):
    model = new_model(base, steps, recurrent, "speaker", seed=1)
    reasoner = model.reader.reasoner
    if reasoner.latent_tokens.recurrent:
        with torch.no_grad():
            reasoner.latent_tokens.recurrent_gate.uniform_(-0.5, 0.5)
    return model.reader


@pytest.mark.parametrize(("steps", "recurrent"), [(2, True), (2, False), (0, False)])
def test_a_turn_is_read_as_if_the_conversation_ended_there(base, steps, recurrent) -> None:
    reader = model_of(base, steps, recurrent)
    with torch.no_grad():
        rendered = render_turns(reader.chat, TALKS, ASKED)
        found = think_turns(
            reader.reasoner, read_turns(reader.reasoner, rendered.inputs, rendered.ends)
        )
        assert rendered.ends.shape == (3, 3)
        assert found.context.shape[:3] == (3, 3, steps)
        for b, sample in enumerate(TALKS):
            for n in range(len(sample.turns)):
                cut = render_turns(
                    reader.chat, [replace(sample, turns=sample.turns[: n + 1])], ASKED
                )
                assert int(cut.ends[0, -1]) == cut.inputs["input_ids"].shape[1] - 1 or n == 0
                alone = think(reader.reasoner, prefill(reader.reasoner.backbone, cut.inputs))
                torch.testing.assert_close(
                    found.emotion[b, n], alone.emotion_latent[0], atol=1e-5, rtol=1e-4
                )
                torch.testing.assert_close(
                    found.context[b, n], alone.context_latents[0], atol=1e-5, rtol=1e-4
                )


def test_pictures_between_the_words(tiny_base, tiny_pictures) -> None:
    reader = model_of(resolve_base(str(tiny_base)), 2, True)
    shown = [Image.fromarray(picture) for picture in tiny_pictures.pictures[:3]]
    talks = (
        Sample("p", (Turn("Ann", "Look.", (shown[0],)), Turn("Bo", "No."), Turn("Ann", "See!"))),
        Sample("q", (Turn("Bo", "Mine.", (shown[1], shown[2])), Turn("Ann", None, (shown[0],)))),
        Sample("r", (Turn("Cy", "Words alone."),)),
    )
    with torch.no_grad():
        rendered = render_turns(reader.chat, talks, ASKED)
        read = read_turns(reader.reasoner, rendered.inputs, rendered.ends)
        found = think_turns(reader.reasoner, read)
        for b, sample in enumerate(talks):
            for n in range(len(sample.turns)):
                cut = render_turns(
                    reader.chat, [replace(sample, turns=sample.turns[: n + 1])], ASKED
                )
                alone = think(reader.reasoner, prefill(reader.reasoner.backbone, cut.inputs))
                torch.testing.assert_close(
                    found.emotion[b, n], alone.emotion_latent[0], atol=1e-4, rtol=1e-3
                )


def test_what_is_said_later_changes_nothing_before(base) -> None:
    reader = model_of(base, 1, False)
    other = replace(TALKS[0], turns=(*TALKS[0].turns[:2], Turn("Ann", "Go away, all of you.")))

    def emotions(sample: Sample) -> torch.Tensor:
        rendered = render_turns(reader.chat, [sample], ASKED)
        read = read_turns(reader.reasoner, rendered.inputs, rendered.ends)
        return think_turns(reader.reasoner, read).emotion[0]

    with torch.no_grad():
        one, two = emotions(TALKS[0]), emotions(other)
    torch.testing.assert_close(one[:2], two[:2], atol=1e-5, rtol=1e-4)
    assert (one[2] - two[2]).abs().max() > 1e-3


def test_a_gradient_of_one_turn_reaches_no_later_words(base) -> None:
    reader = model_of(base, 1, True)
    rendered = render_turns(reader.chat, TALKS[:1], ASKED)
    table = reader.reasoner.backbone.get_input_embeddings()
    table.weight.requires_grad_(True)
    read = read_turns(reader.reasoner, rendered.inputs, rendered.ends)
    think_turns(reader.reasoner, read).emotion[0, 1].sum().backward()
    ids = rendered.inputs["input_ids"][0]
    end = int(rendered.ends[0, 1])
    later = set(ids[end + 1 :].tolist()) - set(ids[: end + 1].tolist())
    assert later and all(not table.weight.grad[token].any() for token in later)
    assert table.weight.grad[int(ids[end])].any()


def test_lines_of_turns() -> None:
    assert turn_line(Turn("Ann", f"One{MARK}\ntwo")) == "Ann: One two\n"
    assert turn_line(Turn(None, None)) == "\n"


def test_a_conversation_needs_a_turn(base) -> None:
    reader = model_of(base, 1, False)
    with pytest.raises(UsageError, match="'none' has no turn"):
        render_turns(reader.chat, [Sample("none")], ASKED)
