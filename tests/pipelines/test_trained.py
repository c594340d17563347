"""The pipeline on a whole tiny model: reading, painting, saving, and what it refuses."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.checkpoints import edited, without_file

from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError, UsageError
from emosym.files import sha256_of
from emosym.models.reader.reasoner import think
from emosym.pipelines import trained as emosym_pipeline
from emosym.pipelines.trained import EmoSymPipeline, find_checkpoint
from emosym.pipelines.trained_reading import open_pictures
from emosym.service.session import Session
from emosym.types import BadInput, Sample, Turn, UnderstandingOutput, picture_sample


@pytest.fixture(scope="module")
def pipeline(tiny_checkpoint) -> EmoSymPipeline:
    return EmoSymPipeline.from_pretrained(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def pictures(tiny_pictures) -> list[Image.Image]:
    return [Image.fromarray(picture) for picture in tiny_pictures.pictures[:7]]


@pytest.fixture
def copied(tiny_checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_a_reading_holds_what_its_parts_say(pipeline, pictures) -> None:
    reading = pipeline.understand(pictures[0])
    shares = np.array(list(reading.probabilities.values()))
    prefix, _ = open_pictures(pipeline.model.reader, [pictures[0]])
    with torch.no_grad():
        thought = think(pipeline.model.reader.reasoner, prefix)
        logits = pipeline.model.reader.reasoner.logits(thought.emotion_latent)[0]
    assert tuple(reading.probabilities) == MIKELS8.labels
    # calibrated: softmax of logits / T, with the checkpoint's T = 1.7
    np.testing.assert_allclose(shares, (logits / 1.7).softmax(-1).numpy(), rtol=1e-5)
    assert reading.emotion == MIKELS8.labels[int(shares.argmax())]
    assert reading.confidence == shares.max()
    assert reading.polarity == MIKELS8.polarity(reading.emotion)
    expected = shares @ np.array(MIKELS8.norms())
    got = (reading.valence_norm, reading.arousal_norm, reading.dominance_norm)
    np.testing.assert_allclose(got, expected)
    assert reading.emotion_latent.shape == (96,)
    assert reading.context_latents.shape == (2, 96)
    assert reading.rationale is None


def test_a_batch_reads_as_its_pictures_alone(pipeline, pictures) -> None:
    together = pipeline.understand(pictures, batch_size=3)
    for picture, reading in zip(pictures, together, strict=True):
        alone = pipeline.understand(picture)
        assert alone.emotion == reading.emotion
        np.testing.assert_allclose(
            list(alone.probabilities.values()), list(reading.probabilities.values()), atol=1e-6
        )
        np.testing.assert_allclose(alone.emotion_latent, reading.emotion_latent, atol=1e-4)
        np.testing.assert_allclose(alone.context_latents, reading.context_latents, atol=1e-4)
        assert alone.in_domain == reading.in_domain
    # and readings differ between pictures, or the test above says nothing
    assert np.std([r.probabilities["awe"] for r in together]) > 1e-4


def test_paths_bytes_and_pictures_read_alike(pipeline, pictures, tmp_path) -> None:
    path = tmp_path / "a.png"
    pictures[0].save(path)
    sources = [path, str(path), encoded(pictures[0]), pictures[0]]
    readings = pipeline.understand(sources)
    first = list(readings[0].probabilities.values())
    for source, reading in zip(sources, readings, strict=True):
        assert list(reading.probabilities.values()) == pytest.approx(first, abs=1e-6)
        alone = pipeline.understand(source)
        assert list(alone.probabilities.values()) == pytest.approx(first, abs=1e-6)
    assert pipeline.understand([]) == []


def test_explain_speaks_and_changes_no_number(pipeline, pictures) -> None:
    plain = pipeline.understand(pictures[:3])
    spoken = pipeline.understand(pictures[:3], explain=True)
    said = [reading.rationale for reading in spoken]
    assert any(said)
    assert all(text is None or text == text.strip() for text in said)
    for a, b in zip(plain, spoken, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities)
    alone = [pipeline.understand(picture, explain=True).rationale for picture in pictures[:3]]
    assert alone == said


def test_a_picture_unlike_all_others_is_outside(pipeline, tiny_pictures) -> None:
    seen = pipeline.understand([Image.fromarray(p) for p in tiny_pictures.pictures[32:]])
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    strange = pipeline.understand(Image.fromarray(noise))
    assert strange.outside
    assert strange.in_domain == pytest.approx(1 / 17)  # farther than all 16 held-out pictures
    assert all(reading.outside == (reading.in_domain < 0.1) for reading in seen)
    assert np.mean([reading.outside for reading in seen]) < 0.2


def test_many_files_stream_and_bad_ones_are_rows(pipeline, pictures, tmp_path) -> None:
    paths = []
    for i, picture in enumerate(pictures):
        paths.append(tmp_path / f"{i}.png")
        picture.save(paths[-1])
    paths[2].write_bytes(b"")
    paths[4].write_text("not a picture")
    paths[5].unlink()
    found = list(pipeline.understand_many(paths, batch_size=2, workers=2))
    assert [source for source, _ in found] == [str(path) for path in paths]
    bad = {i for i, (_, reading) in enumerate(found) if isinstance(reading, BadInput)}
    assert bad == {2, 4, 5}
    alone = pipeline.understand(paths[6])
    assert found[6][1].probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    paths[3].write_bytes(b"")
    only_bad = list(pipeline.understand_many([paths[2], paths[3]]))
    assert all(isinstance(reading, BadInput) for _, reading in only_bad)


def test_dialogues_and_pictures_of_one_batch_read_as_alone(pipeline, pictures) -> None:
    said = Sample("said", (Turn("Ann", "I got the job!"), Turn("Bo", "You left me here.")))
    shown = Sample(
        "shown",
        (
            Turn("Ann", "Look at this.", (pictures[0],)),
            Turn("Bo", "A red house."),
            Turn("Ann", frames=(pictures[1], pictures[2])),
        ),
    )
    first = Sample("first", shown.turns, focus=0)  # up to the turn in question
    other = Sample("other", (Turn("Ann", "I left him."), *shown.turns[1:]))
    alone = picture_sample("alone", pictures[0])
    given = [said, pictures[0], shown, alone, first, other]
    named = {str(number): one for number, one in enumerate(given)}
    session = Session(pipeline)
    for together in (
        pipeline.understand(given),
        session.understand_all(given),
        [reading for _, reading in session.understand_many(named)],
        [reading for _, reading in session.understand_many(named, batch_size=2)],
    ):
        for one, reading in zip(given, together, strict=True):
            assert isinstance(reading, UnderstandingOutput)
            single = session.understand(one)
            np.testing.assert_allclose(reading.emotion_latent, single.emotion_latent, atol=1e-5)
            assert reading.probabilities == pytest.approx(single.probabilities, abs=1e-5)
            assert reading.in_domain == single.in_domain
        told = [tuple(reading.emotion_latent[:8].round(4)) for reading in together]
        assert told[1] == told[3] and len(set(told)) == 5  # all that is shown and said is seen
    assert together[0].in_domain is None and together[2].in_domain is not None
    assert pipeline.about().tasks == ("image_emotion",) and pipeline.about().takes == {"image"}


def test_a_bad_picture_in_a_list_is_a_usage_error(pipeline, pictures) -> None:
    with pytest.raises(UsageError, match="it is empty"):
        pipeline.understand([pictures[0], b""])
    with pytest.raises(UsageError, match="batch_size must be 1 or more"):
        pipeline.understand(pictures, batch_size=0)


def test_reading_does_not_load_the_painter(tiny_checkpoint, pictures, tmp_path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    fresh = EmoSymPipeline.from_pretrained(folder, "cpu")
    fresh.understand(pictures[0])
    assert fresh.model.open_painter.opened is None
    fresh.generate("awe", num_inference_steps=1)
    assert fresh.model.open_painter.opened is not None
    assert fresh.model.painter is fresh.model.painter


def test_paintings_do_not_depend_on_the_batch(pipeline) -> None:
    settings = {"num_inference_steps": 2, "seed": 5}
    five = pipeline.generate("fear", num_images=5, batch_size=5, **settings)
    alone = pipeline.generate("fear", num_images=5, batch_size=2, **settings)
    fewer = pipeline.generate("fear", num_images=2, **settings)
    for others in (alone, fewer):
        for a, b in zip(five, others, strict=False):
            difference = np.abs(np.asarray(a.image, int) - np.asarray(b.image, int))
            assert difference.max() <= 1
    assert [output.request["index"] for output in five] == [0, 1, 2, 3, 4]
    first, second = (np.asarray(output.image, int) for output in five[:2])
    assert np.abs(first - second).max() > 1
    other = pipeline.generate("fear", num_inference_steps=2, seed=6)[0]
    assert np.abs(first - np.asarray(other.image, int)).max() > 1


def test_each_painting_comes_with_the_models_own_reading(pipeline) -> None:
    outputs = pipeline.generate("awe", num_images=3, num_inference_steps=2, batch_size=2)
    for output in outputs:
        own = pipeline.understand(output.image)
        assert output.reading.probabilities == pytest.approx(own.probabilities, abs=1e-6)
        assert output.image.size == (64, 64)
        json.dumps(output.request)


def changed(pipeline: EmoSymPipeline, *asked, **settings) -> np.ndarray:
    fixed = {"num_inference_steps": 2, "seed": 1, **settings}
    return np.asarray(pipeline.generate(*asked, **fixed)[0].image, int)


def test_what_is_asked_for_reaches_the_painting(pipeline, pictures) -> None:
    plain = changed(pipeline, "awe")
    assert np.array_equal(plain, changed(pipeline, {"awe": 2.0}))
    for other in (
        changed(pipeline, "sadness"),
        changed(pipeline, {"awe": 0.5, "sadness": 0.5}),
        changed(pipeline, "awe", intensity=3.0),
        changed(pipeline, "awe", guidance_scale=9.0),
        changed(pipeline, "awe", prompt="a dog in a {} street"),
        changed(pipeline, valence=2.0, arousal=6.0),
        changed(pipeline, like=pictures[0]),
    ):
        assert np.abs(plain - other).max() > 0
    # with intensity 0 and no spread every emotion is the one centre
    settings = {"intensity": 0.0, "spread": 0.0}
    assert np.array_equal(
        changed(pipeline, "awe", **settings), changed(pipeline, "fear", **settings)
    )
    assert np.array_equal(
        changed(pipeline, like=pictures[0], intensity=0.0), changed(pipeline, "awe", **settings)
    )


def test_before_the_joint_stage_nothing_can_be_painted(copied, pictures) -> None:
    files = without_file(copied, "emotion_space.safetensors")
    files.pop("recipe-1-joint.yaml")
    edited(copied, files=files, emotion_space=None, stages=["align"], recipes=1)
    early = EmoSymPipeline.from_pretrained(copied, "cpu")
    assert early.understand(pictures[0]).emotion in MIKELS8.labels
    assert not early.can_paint
    with pytest.raises(EmoSymError, match=r"no emotion space \(stages done: align\)"):
        early.generate("awe")


def test_saved_and_opened_again_it_is_the_same(pipeline, pictures, tmp_path) -> None:
    pipeline.save_pretrained(tmp_path / "saved")
    again = EmoSymPipeline.from_pretrained(tmp_path / "saved", "cpu")
    for a, b in zip(pipeline.understand(pictures), again.understand(pictures), strict=True):
        assert a.probabilities == b.probabilities
        assert np.array_equal(a.context_latents, b.context_latents)
        assert a.in_domain == b.in_domain
    assert np.array_equal(changed(pipeline, "awe"), changed(again, "awe"))
    assert again.card == "# A tiny model\n"
    assert again.model.stages == ("align", "joint")
    assert again.model.recipes == pipeline.model.recipes
    pipeline.save_pretrained(tmp_path / "saved")  # an older checkpoint may be replaced
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="is not a checkpoint"):
        pipeline.save_pretrained(precious)
    assert (precious / "thesis.txt").read_text() == "years"


def test_a_changed_file_is_noticed(copied) -> None:
    weights = copied / "reader.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(EmoSymError, match=r"reader\.safetensors has the wrong checksum"):
        EmoSymPipeline.from_pretrained(copied)
    weights.unlink()
    with pytest.raises(EmoSymError, match=r"reader\.safetensors is missing"):
        EmoSymPipeline.from_pretrained(copied)


def test_a_changed_base_is_noticed(tiny_base, copied, tmp_path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    described = json.loads((copied / "emosym.json").read_text())
    described["base"] = str(base)
    (copied / "emosym.json").write_text(json.dumps(described))
    EmoSymPipeline.from_pretrained(copied)
    with (base / "reader" / "config.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(EmoSymError, match=r"config\.json has the wrong checksum"):
        EmoSymPipeline.from_pretrained(copied)


def test_another_version_and_damaged_descriptions_are_refused(copied) -> None:
    described = json.loads((copied / "emosym.json").read_text())
    (copied / "emosym.json").write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(UsageError, match="has format 99; this version of emosym reads 1 and 2"):
        EmoSymPipeline.from_pretrained(copied)
    (copied / "emosym.json").write_text(json.dumps(described)[:-9])
    with pytest.raises(UsageError, match="is not valid JSON"):
        EmoSymPipeline.from_pretrained(copied)
    del described["template"]
    (copied / "emosym.json").write_text(json.dumps(described))
    with pytest.raises(UsageError, match="lacks 'template'"):
        EmoSymPipeline.from_pretrained(copied)


def test_weights_of_another_model_are_refused(copied) -> None:
    edited(copied, num_context_tokens=3)
    with pytest.raises(EmoSymError, match=r"(do|does) not fit this model"):
        EmoSymPipeline.from_pretrained(copied)


def test_names_that_are_no_model_get_the_fix(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(emosym_pipeline, "WEIGHTS", tmp_path)
    with pytest.raises(EmoSymError, match="make demo"):
        find_checkpoint("storybook")
    with pytest.raises(UsageError, match="Did you mean 'storybook'"):
        find_checkpoint("storybok")
    with pytest.raises(UsageError, match=r"it has no emosym\.json"):
        find_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="There is no checkpoint folder"):
        find_checkpoint(tmp_path / "gone")
    with pytest.raises(UsageError, match="hf download someone/nothing"):
        find_checkpoint("someone/nothing")


def test_push_uploads_a_whole_checkpoint_only_when_asked(pipeline, monkeypatch) -> None:
    import huggingface_hub

    uploaded = {}

    class Hub:  # stands for the network, which tests do not have
        def create_repo(self, repo_id, private, exist_ok):
            uploaded["repo"] = (repo_id, private)

        def upload_folder(self, repo_id, folder_path):
            described = json.loads((folder_path / "emosym.json").read_text())
            sums = {name: sha256_of(folder_path / name) for name in described["files"]}
            uploaded["whole"] = sums == described["files"]
            return f"https://hub.test/{repo_id}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert pipeline.push_to_hub("me/tiny") == "https://hub.test/me/tiny"
    assert uploaded == {"repo": ("me/tiny", True), "whole": True}
