"""Labels of one's own from folders to a reading; several heads; a model without a painter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import TinyPictures
from tests.training.makers import recipe_of, tiny_feed

from emosym.data.sources.open import open_dataset
from emosym.errors import EmoSymError, UsageError
from emosym.evaluation.measure import evaluate_reading
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import answering_in, new_model, unknowns
from emosym.models.presets import resolve_base
from emosym.pipelines.trained import EmoSymPipeline, space_named
from emosym.training.stages.align import embed_by_reading, run_align, train_align
from emosym.training.stages.finish import StageResult
from emosym.training.stages.start import open_checkpoint, use_lora

NAMES = ("joy", "calm", "fear", "sad")
OWN = "calm-fear-joy-sad"


@pytest.fixture(scope="module")
def root(tiny_pictures: TinyPictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four folders of nine pictures: 28 to train on, 4 held out, 4 to test."""
    folder = tmp_path_factory.mktemp("own") / "pictures"
    for number, picture in enumerate(tiny_pictures.pictures[:36]):
        place = folder / NAMES[number % 4]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def aligned(root: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    data = {"source": "folder", "root": str(root)}
    latents = {"num_context_tokens": 2}
    out = tmp_path_factory.mktemp("own-run")
    recipe = recipe_of(
        *("align", out), init=str(tiny_base), data=data, rationale="none", latents=latents
    )
    return run_align(recipe, progress=False)


def test_folders_make_a_space_that_reading_and_evaluation_follow(
    aligned: StageResult, root: Path, tiny_pictures: TinyPictures
) -> None:
    assert space_named(aligned.checkpoint, "storybook", "nowhere").name == OWN
    pipeline = EmoSymPipeline.from_pretrained(aligned.checkpoint, "cpu")
    assert pipeline.space.labels == ("calm", "fear", "joy", "sad")
    reading = pipeline.understand(Image.fromarray(tiny_pictures.pictures[0]))
    assert set(reading.probabilities) == set(NAMES)
    assert reading.valence_norm is None  # no norm of calm is known
    data = open_dataset("folder", root, "test", pipeline.space)
    values = evaluate_reading(pipeline, data, workers=1).result["values"]
    assert 0 <= values["accuracy"] <= 1
    assert values["polarity_accuracy"] is None and values["outside_share"] is None


def test_rows_nobody_voted_on_are_counted_and_not_read(aligned: StageResult, root: Path) -> None:
    pipeline = EmoSymPipeline.from_pretrained(aligned.checkpoint, "cpu")
    data = open_dataset("folder", root, "train", pipeline.space).subset([0, 1, 2])
    votes = np.zeros((3, 4), dtype=np.float32)
    votes[0, 1], votes[2, 3] = 2, 5
    voted = replace(data, votes=votes, codes=np.array([1, -1, 3], dtype=np.int16))
    result = evaluate_reading(pipeline, voted, workers=1).result
    assert result["n"] == 2 and result["values"]["without_votes"] == 1
    whole = evaluate_reading(pipeline, voted.subset([0, 2]), workers=1).result
    assert "without_votes" not in whole["values"]
    assert whole["values"]["accuracy"] == result["values"]["accuracy"]


def test_four_validation_pictures_leave_unknown_what_they_cannot_tell(
    aligned: StageResult, tiny_pictures: TinyPictures
) -> None:
    model = load_checkpoint(aligned.checkpoint)
    assert model.calibrations == {} and model.validation == {OWN: 4}
    told = unknowns(model)
    assert "need 20 validation pictures, five of each label (4 held out)" in told[0]
    assert "needs 100 validation pictures (4 held out)" in told[1]
    reading = EmoSymPipeline(model).understand(Image.fromarray(tiny_pictures.pictures[0]))
    assert reading.outside is None and reading.abstains is None
    card = (aligned.checkpoint / "README.md").read_text()
    assert "4 validation pictures; **not calibrated" in card
    assert "Polarity unknown: calm, sad" in card and "outside of what it knows: **unknown**" in card


def test_align_goes_on_from_a_checkpoint_and_adds_a_head(
    aligned: StageResult, root: Path, tmp_path: Path
) -> None:
    data = {"source": "folder", "root": str(root), "labels": ["sad", "joy", "calm", "fear"]}
    plan = {"init": str(aligned.checkpoint), "data": data, "rationale": "none"}
    done = run_align(recipe_of("align", tmp_path / "run", **plan), progress=False)
    model = load_checkpoint(done.checkpoint)
    assert [space.name for space in model.spaces] == [OWN, "sad-joy-calm-fear"]
    assert model.space.name == "sad-joy-calm-fear" and model.stages == ("align", "align")
    assert model.validation == {"sad-joy-calm-fear": 4} and model.emotion_space is None
    old, new = (load_checkpoint(c).reader.reasoner for c in (aligned.checkpoint, done.checkpoint))
    assert torch.equal(*(r.heads[OWN].net[0].weight for r in (old, new)))  # rests as it was
    moved = [r.latent_tokens.emotion_embed for r in (old, new)]
    assert not torch.equal(*moved)
    assert answering_in(model, OWN).space.labels == ("calm", "fear", "joy", "sad")
    with pytest.raises(UsageError, match="Unknown label space of this model 'mikels'"):
        answering_in(model, "mikels")
    with pytest.raises(UsageError, match="Unknown label space of this model"):
        open_checkpoint(
            recipe_of(
                *("rl", tmp_path / "rl"),
                init=str(done.checkpoint),
                data={**data, "labels": ["a", "b"]},
            )
        )
    with pytest.raises(UsageError, match=r"has latents\.num_context_tokens=2"):
        run_align(
            recipe_of("align", tmp_path / "k", **plan, latents={"num_context_tokens": 3}),
            progress=False,
        )


def test_a_model_without_a_painter_aligns_by_its_own_reading_of_the_rationales(
    tiny_base: Path, tiny_pictures: TinyPictures, tmp_path: Path
) -> None:
    base = resolve_base(str(tiny_base), painter="none")
    model = new_model(base, 2, True, "emosym", 0)
    assert model.mappers is None and model.open_painter is None
    recipe = recipe_of("align", tmp_path / "run")
    use_lora(model, recipe)
    texts = ["a dark wood", "a dark wood", "a bright beach with people who play"]
    embedded = embed_by_reading(model.reader, texts)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3))
    assert torch.allclose(embedded[0], embedded[1], atol=1e-5)
    assert torch.allclose(embedded[:1], embed_by_reading(model.reader, texts[:1]), atol=1e-5)
    for name, parameter in model.reader.reasoner.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter)
    assert torch.allclose(embedded, embed_by_reading(model.reader, texts), atol=1e-5)  # frozen base
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:8], tiny_pictures.labels[:8])
    before = model.reader.reasoner.context_projector.net.weight.clone()
    train_align(model, feed, recipe, progress=False)
    assert not torch.equal(before, model.reader.reasoner.context_projector.net.weight)
    save_checkpoint(replace(model, stages=("align",), recipes=("stage: align\n",)), tmp_path / "c")
    assert not (tmp_path / "c" / "mappers.safetensors").exists()
    opened = EmoSymPipeline.from_pretrained(tmp_path / "c", "cpu")
    assert opened.understand(Image.fromarray(np.zeros((64, 64, 3), np.uint8))).emotion
    with pytest.raises(EmoSymError, match="has no painter"):
        opened.generate("awe")
