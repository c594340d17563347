"""Text alone, end to end at toy size: align, calibrate, save, open, and read sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.training.makers import recipe_of
from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, Qwen2Config

from emosym.config.load import dump_recipe
from emosym.data.dataset import Dataset
from emosym.emotions import own_space
from emosym.errors import EmoSymError, UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base, write_base
from emosym.models.reader.recompute import checkpoint_layers
from emosym.models.tokenizer import train_tokenizer
from emosym.pipelines.trained import EmoSymPipeline
from emosym.service.session import Session, open_session
from emosym.tasks.question import QUESTIONS
from emosym.training.stages.align import train_align
from emosym.training.stages.feed import open_feed
from emosym.training.stages.finish import StageResult, finish_stage
from emosym.training.stages.start import use_lora
from emosym.types import TEXT_EMOTION, BadInput, Sample, Turn, UnderstandingOutput

SPACE = own_space(["glee", "dread"])
WORDS = {"glee": ("sun", "party", "gift"), "dread": ("storm", "ghost", "knife")}
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 160,
    "pad_token_id": 0,
    "initializer_range": 0.2,  # so wide that attention is far from even
}
CONFIGS: dict[str, Any] = {
    "llama": lambda size: LlamaConfig(vocab_size=size, num_key_value_heads=1, **SMALL),
    "qwen2": lambda size: Qwen2Config(vocab_size=size, num_key_value_heads=1, **SMALL),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=160
    ),
    "gpt_neox": lambda size: GPTNeoXConfig(vocab_size=size, **SMALL),
}
ADAPTED = {"llama": 7, "qwen2": 7, "gpt2": 4, "gpt_neox": 4}  # projections of a layer


def sentences(count: int) -> tuple[tuple[Turn, ...], ...]:
    """Dialogues of one or two lines that name one of the words; every other answers a question."""
    found = []
    for number in range(count):
        word = WORDS[SPACE.labels[number % 2]][number // 2 % 3]
        line = Turn("Ann", f"I think of the {word}.")
        found.append((Turn("Bo", "What is it?"), line) if number // 2 % 2 else (line,))
    return tuple(found)


def text_data(split: str, count: int) -> Dataset:
    """Conversations as columns, each about its last turn."""
    turns = sentences(count)
    return Dataset(
        root=Path("nowhere"),
        split=split,
        space=SPACE,
        codes=np.arange(count, dtype=np.int16) % 2,
        names=tuple(f"{split} {number}" for number in range(count)),
        images=(),
        annotations=(None,) * count,
        task=TEXT_EMOTION,
        about=tuple({"scene": WORDS[SPACE.labels[i % 2]][i // 2 % 3]} for i in range(count)),
        conversations=turns,
        places=np.array([(i, len(turns[i]) - 1) for i in range(count)]),
    )


def write_text_base(folder: Path, kind: str) -> Path:
    """A base whose reader is a causal language model of a real class with random weights."""
    texts = [turn.text or "" for turns in sentences(12) for turn in turns]
    texts += [*QUESTIONS.values(), "It shows the sun. Ann: Bo:"]
    tokenizer = train_tokenizer(texts * 4, 320)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(CONFIGS[kind](len(tokenizer)))
    model.save_pretrained(folder / "reader")
    tokenizer.save_pretrained(folder / "reader")
    write_base(folder, 64, {"seed": 1})
    return folder


def opened(folder: Path, recurrent: bool = True) -> EmoSymModel:
    base = resolve_base(str(folder), painter="none")
    return new_model(base, 2, recurrent, "speaker", 0, SPACE)


def plan(out: Path, steps: int, **changes: Any) -> Any:
    optim = {"steps": steps, "batch_size": 8, "checkpoint_every": 1000, "lr": 3e-3}
    return recipe_of("align", out, tasks=[TEXT_EMOTION], optim=optim, **changes)


def trained_names(model: EmoSymModel) -> set[str]:
    return {n for n, p in model.reader.reasoner.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_base(tmp_path_factory.mktemp("llama") / "base", "llama")


@pytest.fixture(scope="module")
def done(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    """A run on sentences with their labels and rationales from their attributes."""
    model = opened(llama)
    recipe = plan(tmp_path_factory.mktemp("run"), 40)
    train = open_feed(model.reader, text_data("train", 48), None)
    val = open_feed(model.reader, text_data("val", 24), None)
    use_lora(model, recipe)
    train_align(model, train, recipe, progress=False)
    return finish_stage(model, recipe, dump_recipe(recipe), train, val, fit_domain_too=True)


@pytest.fixture(scope="module")
def session(done: StageResult) -> Session:
    return open_session(model=str(done.checkpoint), device="cpu")


def close(a: UnderstandingOutput, b: UnderstandingOutput) -> None:
    np.testing.assert_allclose(a.emotion_latent, b.emotion_latent, atol=1e-5, rtol=1e-5)
    assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("rationale", ["none", "label_blind"])
def test_every_trainable_weight_moves_and_no_other(
    kind: str, rationale: str, tmp_path: Path
) -> None:
    model = opened(write_text_base(tmp_path / "base", kind))
    recipe = plan(tmp_path / "run", 3, rationale=rationale)
    use_lora(model, recipe)
    feed = open_feed(model.reader, text_data("train", 16), None)
    reasoner = model.reader.reasoner
    names = [n for n, _ in reasoner.named_parameters()]
    assert sum(".lora_A." in name for name in names) == 2 * ADAPTED[kind]
    before = {n: p.detach().clone() for n, p in reasoner.named_parameters()}
    train_align(model, feed, recipe, progress=False)
    moved = {n for n, p in reasoner.named_parameters() if not torch.equal(before[n], p)}
    own = {n for n in names if not n.startswith("backbone.")}
    if rationale == "none":
        own = {n for n in own if not n.startswith("context_projector.")}
    assert moved == own | {n for n in names if ".lora_" in n}
    assert not trained_names(model)


def test_what_was_learned_is_calibrated_saved_and_opened_the_same(
    done: StageResult, session: Session
) -> None:
    assert done.values["accuracy"] >= 0.9  # chance is 0.5; the words tell all
    assert set(done.model.calibrations) == {SPACE.name} and done.model.domain is None
    again = load_checkpoint(done.checkpoint)
    assert again.mappers is None and again.open_painter is None
    samples = list(text_data("test", 12))
    live, saved = EmoSymPipeline(done.model), EmoSymPipeline(again)
    for a, b in zip(live.understand(samples), saved.understand(samples), strict=True):
        assert a.probabilities == b.probabilities
        assert np.array_equal(a.context_latents, b.context_latents)
    read = session.understand_all(samples)
    right = [r.emotion == s.label_of(TEXT_EMOTION) for r, s in zip(read, samples, strict=True)]
    assert np.mean(right) >= 0.9
    assert session.understand(samples[0], explain=True).rationale


def test_it_says_what_it_takes(session: Session) -> None:
    about = session.about()
    assert about.takes == {"text", "conversation"} and about.tasks == (TEXT_EMOTION,)
    assert about.spaces == (SPACE.name,) and about.can_read and not about.can_paint
    assert session.understand(Sample("s", (Turn(text="The sun."),))).in_domain is None


def test_a_batch_reads_as_its_sentences_alone(session: Session) -> None:
    samples = list(text_data("test", 9))
    together = session.understand_all(samples)
    assert np.std([one.probabilities["glee"] for one in together]) > 0.01
    for sample, reading in zip(samples, together, strict=True):
        close(session.understand(sample), reading)


def test_what_cannot_be_read_is_a_row_and_the_others_stay(
    session: Session, tiny_pictures: Any, tmp_path: Path
) -> None:
    from PIL import Image

    picture = Image.fromarray(tiny_pictures.pictures[0])
    good, other = list(text_data("test", 2))
    mixed: dict[str, Any] = {
        "good": good,
        "long": Sample("l", (Turn(text="the sun " * 400),)),
        "empty": Sample("e"),
        "picture": picture,
        "shown": Sample("s", (Turn("Ann", "Look!", (picture,)), Turn("Bo", "Oh."))),
        "missing": Sample("m", (Turn("Ann", frames=(tmp_path / "no.png",)), Turn("Bo", "Oh."))),
        "other": other,
    }
    found = dict(session.understand_many(mixed))
    wrong = {name: one.error for name, one in found.items() if isinstance(one, BadInput)}
    assert set(wrong) == {"long", "empty", "picture", "shown", "missing"}
    assert "this model reads 85: give less" in wrong["long"]
    assert "reads text only" in wrong["picture"] and "reads text only" in wrong["shown"]
    assert "neither a picture nor words" in wrong["empty"] and "no.png" in wrong["missing"]
    for name, sample in (("good", good), ("other", other)):
        reading = found[name]
        assert isinstance(reading, UnderstandingOutput)
        close(session.understand(sample), reading)
    with pytest.raises(UsageError, match="reads text only"):
        session.understand(picture)
    with pytest.raises(UsageError, match="this model reads 85"):
        session.understand(mixed["long"])


def test_layers_without_projections_and_of_other_kinds_are_refused(llama: Path) -> None:
    model = opened(llama)
    backbone = model.reader.reasoner.backbone
    assert checkpoint_layers(backbone) == 2
    for layer in backbone.model.layers:  # type: ignore[union-attr, operator]
        layer.self_attn = layer.mlp = None
    with pytest.raises(EmoSymError, match=r"set lora\.r=0, or take another base"):
        use_lora(model, recipe_of("align", Path("run")))
    with pytest.raises(EmoSymError, match="does not know the layers of a 'llama' model"):
        broken = opened(llama).reader.reasoner.backbone
        for layer in broken.model.layers:  # type: ignore[union-attr, operator]
            del layer.self_attn
        checkpoint_layers(broken)
