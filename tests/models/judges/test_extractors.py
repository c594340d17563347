"""Extractors open real networks, with random weights that the tests save."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ConvNextImageProcessorPil,
    ResNetConfig,
    ResNetForImageClassification,
)

from emosym.errors import EmoSymError, UsageError
from emosym.files import sha256_of
from emosym.models.judges import extractors as e
from emosym.models.judges.clip_judge import load_clip_judge
from emosym.models.judges.inception import Inception
from emosym.models.judges.lpips import alexnet_features
from emosym.models.tensors import read_tensors


def pictures(count: int, side: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Inception in half precision, as .safetensors and .pth."""
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    net = Inception()
    for layer in net.modules():  # the default shrinks a signal to nothing over so many layers
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    tensors = {k: t.half().contiguous() for k, t in net.state_dict().items()}
    save_file(tensors, folder / "inception.safetensors")
    torch.save(tensors, folder / "inception.pth", _use_new_zipfile_serialization=False)
    return folder


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained AlexNet's file, classifier included, named as the published one."""
    torch.manual_seed(1)
    features = alexnet_features()
    tensors = {f"features.{k}": t.contiguous() for k, t in features.state_dict().items()}
    tensors["classifier.1.weight"] = torch.zeros(2, 2)
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders clip/, places/ and imagenet/ in the transformers layout, tiny and untrained."""
    folder = tmp_path_factory.mktemp("extractors")
    torch.manual_seed(2)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = CLIPVisionConfig(
        **sizes, num_attention_heads=2, image_size=32, patch_size=16, projection_dim=12
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "clip")
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder / "clip")
    for name, classes in (("places", 365), ("imagenet", 1000)):
        shape = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
        net = ResNetForImageClassification(
            ResNetConfig(**shape, layer_type="basic", num_labels=classes)
        )
        net.save_pretrained(folder / name)
        ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder / name)
    return folder


def test_inception_has_the_size_of_the_published_network() -> None:
    net = Inception()
    # torchvision tells 27,161,264 with 1000 outputs, 3,326,696 of them its auxiliary head's.
    assert sum(p.numel() for p in net.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    shapes = {name: tuple(t.shape) for name, t in net.state_dict().items()}
    assert shapes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert shapes["Mixed_6b.branch7x7dbl_5.conv.weight"] == (192, 128, 1, 7)
    assert shapes["Mixed_6c.branch7x7_3.bn.running_var"] == (192,)
    assert shapes["Mixed_7a.branch7x7x3_4.conv.weight"] == (192, 192, 3, 3)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7c.branch_pool.conv.weight"] == (192, 2048, 1, 1)
    assert net.Mixed_7b.pool == "average"
    assert net.Mixed_7c.pool == "max"


def test_inception_from_either_file(inception_weights: Path) -> None:
    images = pictures(3)
    found = [
        e.load_inception(inception_weights / name)
        for name in ("inception.safetensors", "inception.pth")
    ]
    first, second = (extractor.run(images) for extractor in found)
    assert first.shape == (3, 2048)
    assert first.dtype == np.float32
    assert np.array_equal(first, second)
    assert found[0].name == "inception"
    assert found[0].checksum == sha256_of(inception_weights / "inception.safetensors")
    net = Inception().eval()
    net.load_state_dict(read_tensors(inception_weights / "inception.pth", "it"))
    with torch.inference_mode():
        alone = net(torch.from_numpy(images[1:2]).permute(0, 3, 1, 2)).numpy()
    size = np.abs(alone).max()
    assert np.abs(first[1:2] - alone).max() < 1e-4 * size
    assert np.abs(first[0] - first[1]).max() > 1e-2 * size


def test_torchmetrics_takes_it_as_a_feature_network() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    net = FrechetInceptionDistance(feature=Inception())
    assert net.real_features_sum.shape == (2048,)


def test_lpips_is_the_librarys(alexnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional.image import lpips as library

    ours = e.load_lpips(alexnet)
    features = alexnet_features()
    tensors = read_tensors(alexnet, "it")
    kept = {k.removeprefix("features."): t for k, t in tensors.items() if "features" in k}
    features.load_state_dict(kept)
    monkeypatch.setattr(library, "_get_tv_model_features", lambda *_: features)
    theirs = library._NoTrainLpips(net="alex")
    first, second = pictures(5, 64, 1), pictures(5, 64, 2)
    second[0] = first[0]
    unit = [torch.from_numpy(p).permute(0, 3, 1, 2).float() / 255 for p in (first, second)]
    for compat in (False, True):
        want = theirs(*((x if compat else 2 * x - 1) for x in unit)).flatten().detach().numpy()
        assert ours.run(first, second, compat) == pytest.approx(want, rel=1e-4, abs=1e-6)
    corrected, compat_too = (ours.run(first, second, mode) for mode in (False, True))
    assert corrected[0] == 0.0
    assert (corrected[1:] > 0.0).all()
    assert np.abs(corrected[1:] - compat_too[1:]).min() > 1e-5
    assert ours.name == "alexnet"
    heads = sha256_of(e._published_heads())
    assert ours.checksum == hashlib.sha256((sha256_of(alexnet) + heads).encode()).hexdigest()


def test_batches_change_nothing(alexnet: Path, models: Path) -> None:
    images, others = pictures(5, 64, 1), pictures(5, 64, 2)
    whole = e.load_lpips(alexnet).run(images, others, False)
    assert e.load_lpips(alexnet, batch=2).run(images, others, False) == pytest.approx(whole)
    clip = e.load_clip(str(models / "clip")).run(images)
    assert e.load_clip(str(models / "clip"), batch=2).run(images) == pytest.approx(clip, abs=1e-5)


def test_clip_by_folder_and_by_hub_id(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(models))
    images = pictures(3, 40)
    by_folder, by_id = e.load_clip(str(models / "clip")), e.load_clip("someone/clip")
    found = by_folder.run(images)
    assert found.shape == (3, 12)
    assert np.array_equal(found, by_id.run(images))
    assert by_folder.name == "clip"
    assert by_folder.checksum == by_id.checksum
    net = CLIPVisionModelWithProjection.from_pretrained(models / "clip").eval()
    pixels = CLIPImageProcessorPil.from_pretrained(models / "clip")(
        list(images), return_tensors="pt"
    ).pixel_values
    with torch.inference_mode():
        assert found == pytest.approx(net(pixels).image_embeds.numpy(), abs=1e-5)


@pytest.mark.parametrize(("folder", "kind"), [("places", e.PLACES), ("imagenet", e.IMAGENET)])
def test_classifiers(models: Path, folder: str, kind: tuple[str, int]) -> None:
    found = e.load_classifier(str(models / folder), kind)
    shares = found.run(pictures(3, 40))
    assert found.name == kind[0]
    assert shares.shape == (3, kind[1])
    assert shares.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    net = ResNetForImageClassification.from_pretrained(models / folder).eval()
    pixels = ConvNextImageProcessorPil.from_pretrained(models / folder)(
        list(pictures(3, 40)), return_tensors="pt"
    ).pixel_values
    with torch.inference_mode():
        assert shares == pytest.approx(net(pixels).logits.softmax(-1).numpy(), abs=1e-5)


def test_the_checksum_follows_weights_and_preparation(models: Path, tmp_path: Path) -> None:
    import shutil

    clip = tmp_path / "clip"
    shutil.copytree(models / "clip", clip)
    same = e.folder_checksum(clip)
    assert same == e.folder_checksum(models / "clip")
    config = clip / "preprocessor_config.json"
    config.write_text(config.read_text().replace("32", "48"))
    resized = e.folder_checksum(clip)
    weights = clip / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert len({same, resized, e.folder_checksum(clip)}) == 3


def test_the_linear_judge_by_hand(models: Path, tmp_path: Path) -> None:
    clip = e.load_clip(str(models / "clip"))
    weight, bias = torch.randn(8, 12, generator=torch.Generator().manual_seed(0)), torch.arange(8.0)
    head = tmp_path / "head.safetensors"
    save_file({"fc.weight": weight, "fc.bias": bias}, head)
    labels = tuple("abcdefgh")
    judge = load_clip_judge(clip, head, labels)
    images = pictures(4, 40)
    logits = clip.run(images) @ weight.numpy().T + bias.numpy()
    want = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert judge.probabilities(images) == pytest.approx(want, rel=1e-4)
    assert np.array_equal(judge.features(images), clip.run(images))
    with pytest.raises(UsageError, match=r"\(7, D\)"):
        load_clip_judge(clip, head, labels[:7])
    save_file({"fc.weight": weight}, head)
    with pytest.raises(UsageError, match="one weight and one bias"):
        load_clip_judge(clip, head, labels)
    save_file({"fc.weight": weight[:, :5].contiguous(), "fc.bias": bias}, head)
    with pytest.raises(UsageError, match="5 columns"):
        load_clip_judge(clip, head, labels).probabilities(images)


def test_weights_that_do_not_fit_are_refused(inception_weights: Path, tmp_path: Path) -> None:
    tensors = read_tensors(inception_weights / "inception.safetensors", "it")
    tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    other = tmp_path / "inception_v3_google.pth"  # as torchvision's: 1000 outputs
    torch.save(
        {**tensors, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, other
    )
    with pytest.raises(EmoSymError, match=r"does not fit the FID Inception network: .*fc\."):
        e.load_inception(other)
    less = tmp_path / "less.pth"
    torch.save({k: t for k, t in tensors.items() if "Mixed_7c" not in k}, less)
    with pytest.raises(EmoSymError, match=r"Missing key.*Mixed_7c"):
        e.load_inception(less)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        e.load_inception(tmp_path / "gone.pth")
    odd = tmp_path / "weights.ckpt"
    odd.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        read_tensors(odd, "it")
    for name in ("weights.pth", "weights.safetensors"):
        broken = tmp_path / name
        for content in (b"", b"not weights at all"):
            broken.write_bytes(content)
            with pytest.raises(EmoSymError, match="is damaged"):
                read_tensors(broken, "it")
    code = tmp_path / "code.pth"
    torch.save(argparse.Namespace(run="anything"), code)
    with pytest.raises(EmoSymError, match="more than tensors"):
        read_tensors(code, "it")
    torch.save({"weight": torch.zeros(1), "note": "hello"}, code)
    with pytest.raises(EmoSymError, match="does not map names to tensors"):
        read_tensors(code, "it")


def test_folders_that_cannot_be_used(models: Path, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(UsageError, match="neither a folder here nor a hub id"):
        e.load_clip("no such folder")
    with pytest.raises(UsageError, match="nothing is fetched unasked"):
        e.load_clip("someone/absent-clip")
    with pytest.raises(UsageError, match="1000 classes apart; places365 has 365"):
        e.load_classifier(str(models / "imagenet"), e.PLACES)
    bare = tmp_path / "clip"
    shutil.copytree(models / "clip", bare)
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(UsageError, match=r"no preprocessor_config\.json"):
        e.load_clip(str(bare))
    (bare / "model.safetensors").unlink()
    with pytest.raises(EmoSymError, match="no weights"):
        e.load_clip(str(bare))


def test_pictures_that_cannot_be_used(alexnet: Path, models: Path) -> None:
    clip, lpips = e.load_clip(str(models / "clip")), e.load_lpips(alexnet)
    for bad in (pictures(2).astype(np.float32), pictures(2)[0], pictures(2)[..., :1]):
        with pytest.raises(UsageError, match="uint8 of shape"):
            clip.run(bad)
        with pytest.raises(UsageError, match="uint8 of shape"):
            lpips.run(bad, bad, False)
    with pytest.raises(UsageError, match="no pictures"):
        clip.run(pictures(2)[:0])
    with pytest.raises(UsageError, match="at least 35 pixels"):
        lpips.run(pictures(2, 34), pictures(2, 34), False)
    lpips.run(pictures(2, 35), pictures(2, 35), False)
    with pytest.raises(UsageError, match="of one size"):
        lpips.run(pictures(2, 40), pictures(2, 48), False)
