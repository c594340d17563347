"""Several heads in one run: rows of one batch may belong to different label spaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import TinyPictures
from tests.training.makers import recipe_of
from tests.training.stages import test_text_reader as texts

from emosym.config.load import dump_recipe
from emosym.data.dataset import Dataset
from emosym.emotions import own_space
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, answering_in
from emosym.pipelines.trained import EmoSymPipeline
from emosym.training.stages.align import run_align, train_align
from emosym.training.stages.feed import Feed, open_feed
from emosym.training.stages.finish import finish_stage
from emosym.training.stages.join import heads_loss, join_feeds
from emosym.training.stages.losses import label_loss
from emosym.training.stages.start import use_lora
from emosym.types import TEXT_EMOTION

LINES = own_space(["one line", "two lines", "none"])  # another question about the same sentences


def line_data(split: str, count: int) -> Dataset:
    """The sentences of `text_data`, labelled by how many lines there are."""
    data = texts.text_data(split, count)
    return replace(data, space=LINES, codes=np.arange(count, dtype=np.int16) // 2 % 2)


def both(model: EmoSymModel, split: str, count: int) -> tuple[Feed, Feed]:
    second = replace(model.reader, space=LINES)
    return (
        open_feed(model.reader, texts.text_data(split, count), None),
        open_feed(second, line_data(split, count), None),
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts.write_text_base(tmp_path_factory.mktemp("join") / "base", "llama")


@pytest.fixture
def model(base: Path) -> EmoSymModel:
    found = texts.opened(base)
    found.reader.reasoner.add_head(LINES, 0)
    return found


def test_each_row_is_scored_by_its_own_head_alone(model: EmoSymModel) -> None:
    feed = join_feeds(model.reader, both(model, "train", 12))
    assert [(p.space.name, p.first, p.stop, p.task) for p in feed.parts()] == [
        (texts.SPACE.name, 0, 12, TEXT_EMOTION),
        (LINES.name, 12, 24, TEXT_EMOTION),
    ]
    assert feed.targets.shape == (24, 3) and set(feed.truth.tolist()) == {0, 1, 2, 3}
    reasoner = model.reader.reasoner
    latents = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    rows = np.array([13, 2, 5, 23, 14])
    loss, accuracy = heads_loss(reasoner, feed, latents, rows, lambda found: found)
    first = reasoner.logits(latents[[1, 2]], texts.SPACE)
    second = reasoner.logits(latents[[0, 3, 4]], LINES)
    wanted = 2 * label_loss(first, feed.targets[[2, 5], :2])
    wanted = (wanted + 3 * label_loss(second, feed.targets[[13, 23, 14]])) / 5
    torch.testing.assert_close(loss, wanted)
    right = (first.argmax(-1) == torch.tensor([0, 1])).sum()
    right = right + (second.argmax(-1) == torch.tensor([0, 1, 1])).sum()
    assert float(accuracy) == pytest.approx(float(right) / 5)
    reasoner.heads.requires_grad_(True)
    alone, _ = heads_loss(reasoner, feed, latents, np.arange(1, 6), lambda found: found)
    alone.backward()
    moved = {
        space.name: any(bool(p.grad.any()) for p in reasoner.head(space).parameters())  # type: ignore[union-attr]
        for space in (texts.SPACE, LINES)
    }
    assert moved == {texts.SPACE.name: True, LINES.name: False}


def test_one_run_teaches_two_heads_and_calibrates_both(model: EmoSymModel, tmp_path: Path) -> None:
    recipe = texts.plan(tmp_path / "run", 40, rationale="none")
    train = join_feeds(model.reader, both(model, "train", 48))
    val, other = both(model, "val", 24)
    use_lora(model, recipe)
    train_align(model, train, recipe, progress=False)
    done = finish_stage(model, recipe, dump_recipe(recipe), train, val, True, others=[other])
    assert done.values["accuracy"] >= 0.9
    assert done.values[f"accuracy in {LINES.name}"] >= 0.9
    opened = load_checkpoint(done.checkpoint)
    names = {texts.SPACE.name, LINES.name}
    assert {space.name for space in opened.spaces} == set(opened.calibrations) == names
    assert opened.validation == dict.fromkeys(names, 24)
    samples = list(texts.text_data("test", 8))
    assert EmoSymPipeline(opened).about().spaces == (texts.SPACE.name, LINES.name)
    for space in (texts.SPACE, LINES):
        live = EmoSymPipeline(answering_in(done.model, space)).understand(samples)
        saved = EmoSymPipeline(answering_in(opened, space)).understand(samples)
        assert [a.probabilities for a in live] == [b.probabilities for b in saved]
    told = [reading.emotion for reading in saved]
    wanted = [LINES.labels[len(sample.turns) - 1] for sample in samples]
    assert np.mean([a == b for a, b in zip(told, wanted, strict=True)]) >= 0.9


def folder_of(root: Path, pictures: np.ndarray, names: tuple[str, ...]) -> dict[str, object]:
    for number, picture in enumerate(pictures):
        place = root / names[number % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.png")
    return {"source": "folder", "root": str(root)}


def test_a_recipe_names_more_data_sets(
    tiny_base: Path, tiny_pictures: TinyPictures, tmp_path: Path
) -> None:
    first = folder_of(tmp_path / "a", tiny_pictures.pictures[:20], ("glee", "dread"))
    second = folder_of(tmp_path / "b", tiny_pictures.pictures[20:], ("calm", "awe", "sad"))
    told = {"init": str(tiny_base), "rationale": "none", "latents": {"num_context_tokens": 2}}
    recipe = recipe_of("align", tmp_path / "run", data=first, also=[second], **told)
    model = load_checkpoint(run_align(recipe, progress=False).checkpoint)
    assert [space.labels for space in model.spaces] == [("dread", "glee"), ("awe", "calm", "sad")]
    assert model.space.labels == ("dread", "glee") and len(model.validation) == 2
    assert model.domain is not None
    assert len(model.domain.distances) == sum(model.validation.values())
    assert model.reader.reasoner.device == torch.device("cpu")
    twice = recipe_of("align", tmp_path / "twice", data=first, also=[second, first], **told)
    with pytest.raises(UsageError, match="Two data sets of one run have the label space"):
        run_align(twice, progress=False)
