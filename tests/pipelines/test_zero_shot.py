"""Zero-shot reading and painting on the real classes at tiny size."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import emosym
from emosym.emotions import MIKELS8, LabelSpace
from emosym.errors import EmoSymError, UsageError
from emosym.files import read_json, write_json
from emosym.models.painter.stock import open_stock_painter
from emosym.models.reader.answering import printable, up_to_sentence
from emosym.models.reader.likelihood import (
    answer_tokens,
    content_free_pictures,
    corrected,
    log_prior,
    pack_answers,
)
from emosym.models.reader.prefix import language_model
from emosym.models.render import ask_of_pictures, render
from emosym.pipelines.requests import paint_request
from emosym.pipelines.zero_shot import ZeroShotPipeline
from emosym.pipelines.zero_shot_painting import emotion_prompt, emotion_words, words_of
from emosym.pipelines.zero_shot_reading import ZeroShotReader, likelihoods, open_reader, read_words
from emosym.pipelines.zero_shot_source import find_source, own_labels
from emosym.types import BadInput, UnderstandingOutput

LABELS = LabelSpace("two", ("joy", "dread"))
READERS = ("emosym-2b-xl", "qwen2.5-vl-3b", "qwen3-vl-2b", "internvl3-1b", "storybook-base")


@pytest.fixture(autouse=True)
def models(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    return tiny_models


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Three noisy pictures of different shapes."""
    rng = np.random.default_rng(0)
    sizes = ((60, 90), (120, 80), (64, 64))
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]


def exact_reader(preset: str) -> ZeroShotReader:
    """Open a reader in fp32, so that two ways to compute a number can be compared."""
    return open_reader(replace(find_source(preset).base, dtype="float32"), LABELS)


@pytest.fixture(scope="module", params=READERS)
def reader(request: pytest.FixtureRequest, tiny_models: Path) -> Iterator[ZeroShotReader]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOSYM_MODELS", str(tiny_models))
        yield exact_reader(request.param)


@torch.no_grad()
def by_hand(reader: ZeroShotReader, picture: Image.Image, word: str) -> float:
    """Return a word's log-likelihood by one forward of the library over prompt and word."""
    chat = reader.chat
    answer = torch.tensor([answer_tokens(chat, word)])
    inputs = render(chat, ask_of_pictures([picture], reader.question)).inputs
    prompt = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(answer).to(kinds)], 1)
    inputs.pop("num_patches", None)
    shares = chat.backbone(**inputs).logits[0].double().log_softmax(-1)
    return sum(float(shares[prompt - 1 + k, token]) for k, token in enumerate(answer[0]))


def test_likelihoods_are_those_of_one_whole_forward_per_word(
    reader: ZeroShotReader, pictures: list[Image.Image]
) -> None:
    found = likelihoods(reader, pictures)
    assert found.shape == (3, 2)
    assert all(len(answer_tokens(reader.chat, word)) > 2 for word in LABELS.labels)
    wanted = [[by_hand(reader, picture, word) for word in LABELS.labels] for picture in pictures]
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-4)
    # one alone is as in the batch
    np.testing.assert_allclose(likelihoods(reader, pictures[:1]), found[:1], atol=2e-4)


def test_all_words_share_one_prefill(reader: ZeroShotReader, pictures: list[Image.Image]) -> None:
    lengths: list[int] = []

    def count(_module: object, _args: object, kwargs: dict[str, torch.Tensor]) -> None:
        lengths.append(kwargs["inputs_embeds"].shape[1])

    hook = language_model(reader.chat.backbone).register_forward_pre_hook(count, with_kwargs=True)
    try:
        likelihoods(reader, pictures)
    finally:
        hook.remove()
    words = [answer_tokens(reader.chat, word) for word in LABELS.labels]
    prompt = (
        render(reader.chat, ask_of_pictures(pictures, reader.question)).inputs["input_ids"].shape[1]
    )
    assert lengths == [prompt, 1 + sum(len(word) - 1 for word in words)]


def test_a_word_is_answered_in_the_template_and_ends_the_turn(reader: ZeroShotReader) -> None:
    chat = reader.chat
    tokens = answer_tokens(chat, "joy")
    assert chat.tokenizer.decode(tokens[:-1]) == "joy"
    assert tokens[-1] == chat.end_token
    assert tokens.count(chat.end_token) == 1


def test_chat_templates_of_other_kinds(reader: ZeroShotReader) -> None:
    tokenizer = copy.deepcopy(reader.chat.tokenizer)
    chat = replace(reader.chat, tokenizer=tokenizer)
    turns = "{% for m in messages %}{{ 'USER:' if m['role'] == 'user' else 'ANSWER:' }}"
    said = "{% for part in m['content'] %}{{ ' ' + part['text'] + ' ' if 'text' in part }}"
    rest = "{% endfor %}{% endfor %}{{ 'ANSWER:' if add_generation_prompt }}"
    tokenizer.chat_template = turns + said + rest
    assert tokenizer.decode(answer_tokens(chat, "joy")[:-1]) == " joy"
    assert answer_tokens(chat, "joy")[-1] == chat.end_token
    tokenizer.chat_template = turns + said + rest.replace("'ANSWER:' if", "'ANSWER: <think>' if")
    with pytest.raises(UsageError, match="think first"):
        answer_tokens(chat, "joy")
    tokenizer.chat_template = None
    with pytest.raises(UsageError, match="no chat template"):
        answer_tokens(chat, "joy")


def test_a_content_free_picture_is_corrected_to_uniform(reader: ZeroShotReader) -> None:
    nothing = content_free_pictures(reader.chat.image_size)
    found = likelihoods(reader, nothing)
    ratios = found.softmax(-1) / reader.prior.exp()
    np.testing.assert_allclose(ratios.mean(0), 1.0, atol=1e-3)
    grey = replace(reader, prior=log_prior(found[:1]))
    reading = read_words(grey, nothing[:1])[0]
    assert list(reading.probabilities.values()) == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_reading_has_the_fields_of_a_trained_models(
    reader: ZeroShotReader, pictures: list[Image.Image]
) -> None:
    first, again = read_words(reader, pictures), read_words(reader, pictures)
    for reading, same in zip(first, again, strict=True):
        assert reading.probabilities == same.probabilities
        assert sum(reading.probabilities.values()) == pytest.approx(1.0)
        assert sum(reading.raw_probabilities.values()) == pytest.approx(1.0)
        assert reading.confidence == max(reading.probabilities.values())
        assert reading.probabilities[reading.emotion] == reading.confidence
        assert reading.in_domain is None and reading.outside is None
        assert reading.emotion_latent.size == reading.context_latents.size == 0
        assert reading.polarity == ("positive" if reading.emotion == "joy" else None)
        assert reading.valence_norm is None
    assert read_words(reader, []) == []


def test_it_says_why_in_its_own_words(reader: ZeroShotReader, pictures: list[Image.Image]) -> None:
    said = read_words(reader, pictures[:2], explain=True)
    alone = read_words(reader, pictures[:1], explain=True)[0]
    assert alone.rationale == said[0].rationale  # greedy, and not changed by its batch
    for reading in said:
        assert reading.rationale is None or reading.rationale.isprintable()


def test_packed_words_see_the_prompt_and_themselves_only() -> None:
    packed = pack_answers([[5, 6, 9], [7, 9]], torch.device("cpu"))
    assert packed.tokens.tolist() == [5, 6, 7]
    assert packed.offsets.tolist() == [0, 1, 2, 1]
    assert packed.within.int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 0, 0, 1],
    ]
    scored = zip(packed.source.tolist(), packed.target.tolist(), packed.label.tolist(), strict=True)
    assert list(scored) == [(0, 5, 0), (1, 6, 0), (2, 9, 0), (0, 7, 1), (3, 9, 1)]


def test_the_prior_divides_shares() -> None:
    nothing = torch.tensor([[0.8, 0.2], [0.4, 0.6]]).double().log() - 3.0  # a constant cancels
    prior = log_prior(nothing)
    np.testing.assert_allclose(prior.exp(), [0.6, 0.4])
    shares = corrected(torch.tensor([[0.6, 0.4], [0.9, 0.1]]).double().log(), prior)
    np.testing.assert_allclose(shares, [[0.5, 0.5], [6 / 7, 1 / 7]])  # .9/.6 : .1/.4 = 6 : 1


def test_files_are_streamed_and_bad_ones_are_rows(
    pictures: list[Image.Image], tmp_path: Path
) -> None:
    pipeline = emosym.ZeroShotPipeline.from_pretrained("storybook-base", ["calm", "joy"], "cpu")
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    (tmp_path / "1b.png").write_text("text")
    paths = sorted(tmp_path.iterdir())
    found = dict(pipeline.understand_many(paths, batch_size=2))
    assert [Path(name).name for name in found] == ["0.png", "1.png", "1b.png", "2.png"]
    assert isinstance(found[str(paths[2])], BadInput)
    alone = pipeline.understand(paths[3])
    many = found[str(paths[3])]
    assert isinstance(many, UnderstandingOutput)
    assert many.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
    assert len(pipeline.understand(pictures, batch_size=2)) == 3


def test_words_are_cut_at_a_sentence_and_steer_no_terminal() -> None:
    assert up_to_sentence("It is dark. The sky is") == "It is dark."
    assert up_to_sentence("no end") == "no end"
    assert printable("a\x1b[31mb\nc") == "a [31mb c"


def test_labels_are_two_or_more_different_words() -> None:
    assert own_labels([" Joy", "deep  dread"]).labels == ("joy", "deep dread")
    assert own_labels(list(MIKELS8.labels)) is MIKELS8
    assert own_labels(None) is MIKELS8
    for wrong, told in (
        (["joy"], "2 to 64"),
        (["joy", "Joy"], "twice"),
        (["joy", " "], "Label 2"),
        (["joy", "<|im_end|>"], "letters"),
        ([f"word{i}" for i in range(65)], "got 65"),
    ):
        with pytest.raises(UsageError, match=told):
            own_labels(wrong)


def test_what_a_preset_stands_for(models: Path, tiny_base: Path, tmp_path: Path) -> None:
    both = find_source("qwen2.5-vl-3b", max_pixels=50_000)
    assert both.reads and both.paints and both.base.max_pixels == 50_000
    folder = find_source(models / "InternVL3-1B-hf")
    assert folder.reads and not folder.paints
    by_id = find_source("somebody/InternVL3-1B-hf")
    assert by_id.base.reader == str(models / "InternVL3-1B-hf")
    painter = find_source(models / "stable-diffusion-xl-base-1.0")
    assert painter.paints and not painter.reads
    joined = find_source(models / "InternVL3-1B-hf", str(models / "stable-diffusion-xl-base-1.0"))
    assert joined.reads and joined.paints
    assert find_source(tiny_base).base.image_size == 64
    for source, options, told in (
        ("qwen2.5-vl-3B", {}, "Did you mean 'qwen2.5-vl-3b'"),
        ("nobody/nothing", {}, "hf download nobody/nothing"),
        (tmp_path, {}, "holds no model"),
        ("qwen2.5-vl-3b", {"max_pixels": 10}, "3136 or more"),
        (tiny_base, {"max_pixels": 10_000}, "64 x 64"),
    ):
        with pytest.raises(UsageError, match=told):
            find_source(source, **options)


def test_what_is_not_here_is_said(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    painter = ZeroShotPipeline.from_pretrained(models / "stable-diffusion-xl-base-1.0")
    with pytest.raises(UsageError, match="paints only"):
        painter.understand(Image.new("RGB", (32, 32)))
    reader = ZeroShotPipeline.from_pretrained(models / "InternVL3-1B-hf")
    with pytest.raises(UsageError, match="reads only"):
        reader.generate("awe")
    text = ZeroShotPipeline.from_pretrained(models / "stable-diffusion-xl-base-1.0/text_encoder")
    with pytest.raises(UsageError, match="neither reads pictures and text nor goes on"):
        text.understand(Image.new("RGB", (32, 32)))
    monkeypatch.setenv("EMOSYM_MODELS", str(tmp_path))
    with pytest.raises(UsageError, match=r"hf download Qwen/Qwen2\.5-VL-3B-Instruct"):
        ZeroShotPipeline.from_pretrained()
    shutil.copytree(models / "Qwen2.5-VL-3B-Instruct", tmp_path / "Qwen2.5-VL-3B-Instruct")
    half = ZeroShotPipeline.from_pretrained()
    assert half.can_read and not half.can_paint
    with pytest.raises(UsageError, match="hf download stable-diffusion-v1-5"):
        half.generate("awe")


def test_a_trained_checkpoint_is_not_a_stock_model(tiny_checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="by --model"):
        ZeroShotPipeline.from_pretrained(tiny_checkpoint)


def test_emotions_become_words() -> None:
    def words(mix: object, intensity: float = 1.0) -> str:
        return emotion_words(MIKELS8, MIKELS8.weights(mix), intensity)  # type: ignore[arg-type]

    assert words("awe") == "awe"
    assert words({"awe": 0.5, "fear": 0.5}) == "awe and fear"
    assert words({"fear": 0.3, "awe": 0.7}) == "awe with some fear"
    assert words({"awe": 0.9, "fear": 0.1}) == "awe with a touch of fear"
    assert words("awe", 0.4) == "faint awe"
    assert words("awe", 1.5) == "strong awe"
    assert words("awe", 3.0) == "overwhelming awe"
    assert words("awe", 0.0) == "no particular emotion"
    assert emotion_prompt("{}", "awe") == "a picture that evokes awe"
    assert emotion_prompt("{} a street", "awe") == "a picture that evokes awe, a street"
    assert emotion_prompt("a street, {}", "awe") == "a street, a picture that evokes awe"
    assert emotion_prompt("a street", "awe") == "a picture that evokes awe, a street"


def test_what_words_cannot_say_is_refused() -> None:
    like = paint_request(MIKELS8, like=Image.new("RGB", (8, 8)))
    with pytest.raises(UsageError, match="trained model"):
        words_of(MIKELS8, like)
    with pytest.raises(UsageError, match="spread"):
        words_of(MIKELS8, paint_request(MIKELS8, "awe", spread=0.5))


@pytest.mark.parametrize("preset", ["qwen2.5-vl-3b", "emosym-2b-xl", "storybook-base"])
def test_painting_does_not_depend_on_the_batch(preset: str, models: Path) -> None:
    if not (models / "stable-diffusion-v1-5").is_dir():
        pytest.fail("the snapshots lack Stable Diffusion")
    pipeline = ZeroShotPipeline.from_pretrained(preset, device="cpu")
    source = replace(pipeline.source, base=replace(pipeline.base, dtype="float32"))
    pipeline = ZeroShotPipeline(source, MIKELS8)
    ask = {"num_inference_steps": 2, "prompt": "{} a street at night"}
    first = pipeline.generate("awe", num_images=3, batch_size=2, **ask)
    again = pipeline.generate("awe", num_images=2, batch_size=1, **ask)
    for one, other in zip(first, again, strict=False):
        apart = np.asarray(one.image).astype(int) - np.asarray(other.image).astype(int)
        assert np.abs(apart).max() <= 1
    assert np.asarray(first[0].image).std() > 1
    assert (np.asarray(first[0].image) != np.asarray(first[1].image)).any()
    assert first[0].reading is not None and not first[0].withheld
    told = first[1].request
    assert told["painter_prompt"] == "a picture that evokes awe, a street at night"
    assert told["zero_shot"] == preset and told["index"] == 1
    assert "spread" not in told
    json.dumps(told)


def test_a_flagged_painting_is_withheld_and_black(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "sd"
    shutil.copytree(models / "stable-diffusion-v1-5", folder)
    weights = folder / "safety_checker" / "model.safetensors"
    tensors = load_file(weights)
    tensors["concept_embeds_weights"].fill_(-1.0)  # everything is near enough
    save_file(tensors, weights, metadata={"format": "pt"})
    painted = ZeroShotPipeline.from_pretrained(folder).generate("awe", num_inference_steps=1)[0]
    assert painted.withheld
    assert not np.asarray(painted.image).any()
    assert painted.reading is None


def test_a_painter_with_gaps_is_refused(models: Path, tmp_path: Path) -> None:
    def changed(name: str, **entries: object) -> Path:
        shutil.copytree(models / "stable-diffusion-v1-5", tmp_path / name)
        index = read_json(tmp_path / name / "model_index.json", "index")
        write_json(tmp_path / name / "model_index.json", index | entries)
        return tmp_path / name

    def opening(folder: Path) -> None:
        open_stock_painter(folder, torch.float32, "cpu")

    with pytest.raises(UsageError, match="does not have"):
        opening(changed("a", _class_name="MadeUpPipeline"))
    with pytest.raises(UsageError, match="from words"):
        opening(changed("b", _class_name="StableVideoDiffusionPipeline"))
    gone = changed("c")
    for file in (gone / "unet").glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with pytest.raises(EmoSymError, match="pickled weights only"):
        opening(gone)
    odd = changed("d")
    config = read_json(odd / "text_encoder" / "config.json", "config")
    write_json(odd / "text_encoder" / "config.json", config | {"num_hidden_layers": 3})
    with pytest.raises(EmoSymError, match="do not fit"):
        opening(odd)


@pytest.mark.parametrize("preset", ["emosym-2b-xl", "qwen3-vl-2b", "internvl3-1b"])
def test_a_shape_that_the_processor_refuses_is_an_error_row(preset: str, tmp_path: Path) -> None:
    shapes = {"good": (60, 90), "strip": (3, 900), "dot": (1, 1), "thin": (90, 3), "last": (64, 64)}
    for name, size in shapes.items():
        Image.new("RGB", size, (200, 90, 30)).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in shapes]
    pipeline = ZeroShotPipeline.from_pretrained(preset, LABELS, "cpu")
    rows = list(pipeline.understand_many(paths, batch_size=5))
    assert [source for source, _ in rows] == [str(path) for path in paths]
    bad = {Path(s).stem: found for s, found in rows if isinstance(found, BadInput)}
    assert not {"good", "last"} & set(bad)
    assert ("strip" in bad) == (preset != "internvl3-1b")
    for name, found in bad.items():
        assert "which this model's image processor refuses" in found.error
        with pytest.raises(UsageError, match=r"3 x 900|1 x 1|90 x 3"):
            pipeline.understand(tmp_path / f"{name}.png")
