"""Stage 1: exactly the right parameters train, nothing is computed twice, kill -9 is harmless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.forks import in_fork
from tests.training.makers import (
    ADAPTED,
    HEAD,
    LOG_SCALE,
    PROJECTOR,
    TOKENS,
    align_killed,
    count_calls,
    metrics,
    moved,
    recipe_of,
    snapshot,
    tiny_feed,
)

from emosym.annotate.attributes import describe_attributes
from emosym.annotate.run import fill
from emosym.apps.cli.annotate_plans import plan_attributes
from emosym.data.sources.open import open_dataset
from emosym.emotions import WORD_NORMS
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint, save_checkpoint, trained_parts
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.painter.painter import encode_prompts
from emosym.models.reader.reasoner import MAX_RATIONALE_TOKENS
from emosym.training.stages import align
from emosym.training.stages.align import (
    embed_texts,
    knowledge_base,
    run_align,
    shuffled_rows,
    train_align,
)
from emosym.training.stages.align_loss import rationale_batch
from emosym.training.stages.feed import open_feed
from emosym.training.stages.start import open_start, use_lora
from emosym.types import IMAGE_EMOTION, Turn, picture_sample

READER = {*TOKENS, *HEAD}


@pytest.fixture
def model(tiny_base: Path) -> EmoSymModel:
    return new_model(str(tiny_base), 2, True, "emosym", 0)


def trained(model: EmoSymModel, tiny_pictures, out: Path, **changes) -> set[str]:
    """Train three steps; return which parameters moved."""
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    recipe = recipe_of("align", out, **changes)
    use_lora(model, recipe)
    before = snapshot(model)
    train_align(model, feed, recipe, progress=False)
    assert not any(p.requires_grad for p in model.reader.reasoner.parameters())
    return moved(before, model)


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"rationale": "label_blind"}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
        ({"rationale": "label_blind", "optim": {"bf16": True}}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
        ({"rationale": "label_aware"}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
        ({"rationale": "shuffled"}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
        ({"rationale": "shuffled_within"}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
        ({"rationale": "none"}, {*ADAPTED}),
        ({"w_align": 0}, {*ADAPTED}),
        ({"w_say": 0, "symmetric": False}, {*ADAPTED, *PROJECTOR}),
        ({"lora": {"r": 0}}, {*PROJECTOR, LOG_SCALE}),
        ({"optim": {"muon_lr": 1e-3, "accumulate": 2}}, {*ADAPTED, *PROJECTOR, LOG_SCALE}),
    ],
    ids=[
        *("blind", "bf16", "aware", "shuffled", "within", "none", "no-align", "published"),
        *("no-lora", "muon"),
    ],
)
def test_exactly_these_parameters_move(
    model: EmoSymModel, tiny_pictures, tmp_path: Path, changes: dict, extra: set[str]
) -> None:
    """No weight decay: what moves has had a gradient. All else is the same to the bit."""
    assert trained(model, tiny_pictures, tmp_path, **changes) == READER | extra


def test_without_recurrence_there_is_no_gain(
    tiny_base: Path, tiny_pictures, tmp_path: Path
) -> None:
    model = new_model(str(tiny_base), 2, False, "emosym", 0)
    wanted = {*READER, *ADAPTED} - {"reasoner.latent_tokens.recurrent_gate"}
    assert trained(model, tiny_pictures, tmp_path, rationale="none") == wanted


def test_without_a_context_token_the_emotion_token_stands_alone(
    tiny_base: Path, tiny_pictures, tmp_path: Path
) -> None:
    model = new_model(str(tiny_base), 0, True, "emosym", 0)
    assert not model.reader.tokens.recurrent
    changes = {"latents": {"num_context_tokens": 0}}
    wanted = {"reasoner.latent_tokens.emotion_embed", *HEAD, *ADAPTED}
    found = trained(model, tiny_pictures, tmp_path / "none", rationale="none", **changes)
    assert found == wanted
    with pytest.raises(UsageError, match="K = 0 needs w_align=0"):
        trained(model, tiny_pictures, tmp_path / "blind", **changes)


def test_from_rationales_alone_no_label_is_used(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    """The head rests, other labels change nothing, and other rationales do."""
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])

    def weights(name: str, **changes: object) -> torch.Tensor:
        fresh = new_model(str(model.base.name), 2, True, "emosym", 0)
        recipe = recipe_of("align", tmp_path / name, w_cls=0)
        use_lora(fresh, recipe)
        before = snapshot(fresh)
        own = replace(feed, reader=fresh.reader, **changes)  # type: ignore[arg-type]
        train_align(fresh, own, recipe, progress=False)
        assert moved(before, fresh) == {*TOKENS, *ADAPTED, *PROJECTOR, LOG_SCALE}
        return fresh.reader.tokens.context_embeds.detach()

    other = replace(feed.samples[5], rationale="A wooden door.")
    first = weights("a")
    assert torch.equal(first, weights("b", targets=feed.targets.roll(1, dims=1)))
    changed = (*feed.samples[:5], other, *feed.samples[6:])
    assert not torch.equal(first, weights("c", samples=changed))
    with pytest.raises(UsageError, match="nothing to learn from"):
        nothing = recipe_of("align", tmp_path / "d", w_cls=0, rationale="none")
        train_align(model, feed, nothing, progress=False)


def test_text_encoder_and_vision_tower_rest_while_it_trains(
    model: EmoSymModel, tiny_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    count_calls(model.painter.text_encoders[0], calls, "text")
    count_calls(model.reader.reasoner.backbone.model.visual, calls, "vision")
    during: list[list[str]] = []
    loop = align.run_loop

    def counted(*args, **kwargs):
        before = list(calls)
        result = loop(*args, **kwargs)
        during.append(calls[len(before) :])
        return result

    monkeypatch.setattr(align, "run_loop", counted)
    trained(model, tiny_pictures, tmp_path)
    assert during == [[]]
    # 8 pictures with 7 different rationales: one call for all texts, one for all pictures
    assert calls == ["vision", "text"]


def test_what_is_logged(model: EmoSymModel, tiny_pictures, tmp_path: Path) -> None:
    trained(model, tiny_pictures, tmp_path)
    rows = metrics(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {"step", "loss", "classify", "align", "say", "accuracy"}
    first = rows[0]
    wanted = 0.5 * first["classify"] + 0.5 * first["align"] + 0.25 * first["say"]
    assert first["loss"] == pytest.approx(wanted, rel=1e-5)


def test_it_learns_eight_pictures(model: EmoSymModel, tiny_pictures, tmp_path: Path) -> None:
    trained(
        model,
        tiny_pictures,
        tmp_path,
        lora={"r": 4, "dropout": 0},
        optim={"steps": 30, "batch_size": 8, "lr": 5e-3},
    )
    rows = metrics(tmp_path)
    for name in ("classify", "align", "say"):
        assert rows[-1][name] < 0.95 * rows[0][name], name


@pytest.mark.slow  # processes import and train
def test_killed_and_resumed_it_is_the_same_run(
    tiny_base: Path, tiny_pictures, tmp_path: Path
) -> None:
    """LoRA dropout, the gist coin and Muon's state included; every run is a fresh fork."""
    arrays = tmp_path / "data.npz"
    np.savez(arrays, pictures=tiny_pictures.pictures[:9], labels=tiny_pictures.labels[:9])
    code, said = in_fork(align_killed, tiny_base, arrays, tmp_path, log=tmp_path / "log")
    assert code == 0, said[-2000:]
    assert "cut ['step-00000002']" in said
    last = "state/step-00000005/weights.safetensors"
    whole, resumed = (load_file(tmp_path / folder / last) for folder in ("whole", "cut"))
    assert set(whole) == set(resumed)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


def test_rationales_that_are_all_equal_are_not_taught(
    model: EmoSymModel, tiny_pictures, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    same = replace(feed, samples=tuple(replace(s, rationale=None) for s in feed.samples))
    with pytest.raises(UsageError, match=r"nothing to learn from.*'A picture\.'.*annotator vlm"):
        train_align(model, same, recipe_of("align", tmp_path, w_cls=0), progress=False)
    train_align(model, same, recipe_of("align", tmp_path, optim={"steps": 1}), progress=False)
    (row,) = metrics(tmp_path)
    assert set(row) == {"step", "loss", "classify", "accuracy"}
    assert "align learns from labels alone" in caplog.text and "annotator vlm" in caplog.text


# --- the knowledge base ---------------------------------------------------------------------------


def test_rationales_by_kind(model: EmoSymModel, tiny_pictures) -> None:
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    blind, aware, shuffled = (
        knowledge_base(model.reader, model.painter, feed, kind, 0)
        for kind in ("label_blind", "label_aware", "shuffled")
    )
    assert list(blind.texts) == [s.rationale for s in feed.samples]
    assert not any(word in text.lower() for word in WORD_NORMS for text in blind.texts)
    for text, plain, sample in zip(aware.texts, blind.texts, feed.samples, strict=True):
        assert text == f"{plain} It evokes {sample.label_of(IMAGE_EMOTION)}."
    assert sorted(shuffled.texts) == sorted(blind.texts) and shuffled.texts != blind.texts
    within = knowledge_base(model.reader, model.painter, feed, "shuffled_within", 0)
    for label in np.unique(feed.truth):
        rows = np.flatnonzero(feed.truth == label)
        dealt, own = ({kind.texts[i] for i in rows} for kind in (within, blind))
        assert dealt == own
    again = knowledge_base(model.reader, model.painter, feed, "shuffled", 0)
    assert again.texts == shuffled.texts
    # the first two pictures share a text
    assert blind.groups.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    torch.testing.assert_close(blind.embeddings.norm(dim=1), torch.ones(8))
    for kind in (blind, shuffled):
        for i, text in enumerate(kind.texts):
            alone = embed_texts(model.painter, [text])[0]
            torch.testing.assert_close(kind.embeddings[i], alone, atol=1e-5, rtol=1e-4)
            assert model.reader.tokenizer.decode(kind.ids[i]) == text[: len(text)]
    pooled = encode_prompts(model.painter, [blind.texts[3]]).pooled
    assert pooled is not None
    wanted = torch.nn.functional.normalize(pooled[0], dim=0)
    torch.testing.assert_close(blind.embeddings[3], wanted, atol=1e-5, rtol=1e-4)


def test_without_a_rationale_the_attributes_speak(model: EmoSymModel, tiny_pictures) -> None:
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:2], tiny_pictures.labels[:2])
    samples = (
        picture_sample("a", label="awe", attributes={"scene": "beach"}),
        picture_sample("b", label="awe", rationale="word " * 300),
    )
    found = knowledge_base(
        model.reader, model.painter, replace(feed, samples=samples), "label_blind", 0
    )
    assert found.texts[0] == "The scene is beach."
    assert len(found.ids[1]) == MAX_RATIONALE_TOKENS


def test_texts_are_dealt_out_within_their_group() -> None:
    texts = [f"text {i}" for i in range(40)]
    groups = np.arange(40) % 2
    dealt = [texts[row] for row in shuffled_rows(groups, 0)]
    assert dealt != texts and dealt == [texts[row] for row in shuffled_rows(groups, 0)]
    for group in (0, 1):
        assert sorted(dealt[group::2]) == sorted(texts[group::2])
    assert [texts[row] for row in shuffled_rows(groups, 1)] != dealt


def test_rationale_batch_by_hand() -> None:
    tokens, labels = rationale_batch([[5, 6, 7], [8]], 2, torch.device("cpu"))
    assert tokens.tolist() == [[5, 6, 7, 2], [8, 2, 2, 2]]
    assert labels.tolist() == [[5, 6, 7, 2], [8, 2, -100, -100]]


# --- the whole stage ------------------------------------------------------------------------------


def test_from_recipe_to_checkpoint(tiny_base: Path, tiny_storybook: Path, tmp_path: Path) -> None:
    recipe = recipe_of(
        "align",
        tmp_path / "out",
        init=str(tiny_base),
        data={"root": str(tiny_storybook), "workers": 1},
        latents={"num_context_tokens": 3, "template": "picture"},
        optim={"steps": 2, "bf16": True},
    )
    result = run_align(recipe, progress=False)
    assert set(result.values) == {"accuracy", "brier", "nll"}
    loaded = load_checkpoint(result.checkpoint)
    wanted = trained_parts(result.model.reader.reasoner)
    for name, tensor in trained_parts(loaded.reader.reasoner).items():
        assert torch.equal(tensor, wanted[name]), name
    assert loaded.stages == ("align",) and loaded.reader.template == "picture"
    assert loaded.domain is not None and loaded.emotion_space is None
    held_out = len(open_dataset("storybook", tiny_storybook, "val"))
    assert loaded.validation == result.model.validation == {"mikels8": held_out}
    assert held_out < 40 and loaded.calibrations == {}  # eight labels need five of each
    assert (tmp_path / "out" / "recipe.yaml").read_text() == loaded.recipes[0]


def test_a_checkpoint_without_context_tokens_goes_on_whatever_is_said_of_them(
    tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(new_model(str(tiny_base), 0, True, "emosym", 0), folder)
    latents = {"num_context_tokens": 0, "recurrent": True, "after": "own_sentence"}
    opened = open_start(recipe_of("align", tmp_path, init=str(folder), latents=latents))
    assert not opened.reader.tokens.num_context_tokens
    with pytest.raises(UsageError, match="num_context_tokens=0, which cannot change"):
        open_start(
            recipe_of("align", tmp_path, init=str(folder), latents={"num_context_tokens": 2})
        )


def test_a_knowledge_base_is_what_is_learnt_from(
    model: EmoSymModel, tiny_storybook: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From `emosym data annotate` to the texts of a run; a changed picture falls back."""
    dataset = open_dataset("storybook", tiny_storybook, "train").subset(range(4))
    path, plan = tmp_path / "kb.parquet", plan_attributes()
    fill(path, dataset, plan)
    feed = open_feed(model.reader, dataset, None)
    wanted = [describe_attributes(sample.attributes) for sample in dataset]
    assert wanted != [sample.rationale for sample in dataset]
    learnt = knowledge_base(model.reader, model.painter, feed, "label_blind", 0, path)
    assert list(learnt.texts) == wanted and caplog.records == []
    moved = tmp_path / "picture.png"
    moved.write_bytes(b"another content")
    changed = replace(feed.samples[0], turns=(Turn(frames=(moved,)),))
    feed = replace(feed, samples=(changed, *feed.samples[1:]))
    learnt = knowledge_base(model.reader, model.painter, feed, "label_blind", 0, path)
    assert list(learnt.texts) == [changed.rationale, *wanted[1:]]
    assert "3 of 4 pictures (1 stale)" in caplog.text


def test_the_recipe_names_the_knowledge_base(
    tiny_base: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    changes = {"data": {"root": str(tiny_storybook), "knowledge": str(tmp_path / "absent.parquet")}}
    recipe = recipe_of("align", tmp_path / "run", init=str(tiny_base), **changes)
    with pytest.raises(UsageError, match="There is no knowledge base"):
        run_align(recipe, progress=False)
