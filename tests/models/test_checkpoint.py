"""Checkpoints: what is saved comes back the same; what is damaged is refused in one sentence."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.checkpoints import described_in, edited

from emosym.errors import EmoSymError, UsageError
from emosym.files import sha256_of
from emosym.models import checkpoint as module
from emosym.models.adapters import UNET_PROJECTIONS, add_adapter, lora_config
from emosym.models.calibration import Calibration
from emosym.models.checkpoint import (
    describe_checkpoint,
    is_checkpoint,
    load_checkpoint,
    save_checkpoint,
    trained_parts,
)
from emosym.models.emosym_model import EmoSymModel, new_model, with_calibration
from emosym.models.painter.painter import encode_prompts
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.models.reader.reader import ADAPTER, encode_pictures, prefill_features
from emosym.models.reader.reasoner import think
from emosym.provenance import git_hash, package_versions


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


@torch.no_grad()
def outputs(model: EmoSymModel, pictures) -> list[torch.Tensor]:
    reasoner = model.reader.reasoner
    features = encode_pictures(model.reader, pictures)
    thought = think(reasoner, prefill_features(model.reader, features))
    embeds = model.mappers(thought.emotion_latent, thought.context_latents)
    hidden = encode_prompts(model.painter, ["{} a"] * len(pictures), embeds).hidden
    return [
        reasoner.logits(thought.emotion_latent),
        thought.context_latents,
        reasoner.context_projector(thought.context_latents),
        hidden,
        model.painter.unet(torch.ones(len(pictures), 4, 8, 8), 10, hidden).sample,
    ]


def test_saved_and_opened_again_it_computes_the_same(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    fresh = load_checkpoint_copy(model, tmp_path)
    painter = fresh.painter
    lora = lora_config(2, 4, 0.0, UNET_PROJECTIONS)
    add_adapter(painter.unet, lora, ADAPTER, 0)
    torch.manual_seed(0)
    for name, parameter in painter.unet.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter)
    painter.unet.eval()
    save_checkpoint(fresh, tmp_path / "two")
    again = load_checkpoint(tmp_path / "two")
    wanted, found = (
        outputs(fresh, tiny_pictures.pictures[:2]),
        outputs(again, tiny_pictures.pictures[:2]),
    )
    for one, other in zip(wanted, found, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(wanted[-1], outputs(model, tiny_pictures.pictures[:2])[-1])
    assert (again.temperature, again.stages, again.recipes) == (
        *(1.7, ("align", "joint")),
        ("stage: align\n", "stage: joint\n"),
    )
    assert model.emotion_space is not None and again.emotion_space is not None
    assert (
        again.emotion_space.labels == model.emotion_space.labels
        and again.emotion_space.num_context_tokens == 2
    )
    for one_g, other_g in zip(
        model.emotion_space.gaussians, again.emotion_space.gaussians, strict=True
    ):
        for part in ("mean", "directions", "variances", "rest"):
            assert torch.equal(getattr(one_g, part), getattr(other_g, part))
    assert model.domain is not None and again.domain is not None
    assert again.domain.threshold == model.domain.threshold == 0.1
    assert torch.equal(again.domain.distances, model.domain.distances)


def test_a_checkpoint_with_one_gain_for_all_dimensions_opens_as_it_was(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    """Format 1 held a scalar where the gate (H,) is now: the products are the same to the bit."""
    folder = tmp_path / "older"
    save_checkpoint(model, folder)
    tensors = load_file(folder / "reader.safetensors")
    gate = tensors.pop("latent_tokens.recurrent_gate")
    save_file(
        {**tensors, "latent_tokens.recurrent_gain": torch.tensor(0.117)},
        folder / "reader.safetensors",
    )
    files = described_in(folder)["files"]
    edited(folder, files=files | {"reader.safetensors": sha256_of(folder / "reader.safetensors")})
    older = load_checkpoint(folder)
    tokens = older.reader.tokens
    assert tokens.recurrent_gate.shape == gate.shape
    z = torch.randn(3, 1, len(gate), generator=torch.Generator().manual_seed(0))
    assert torch.equal(tokens.fed_back(z), torch.tensor(0.117) * z)
    pictures = tiny_pictures.pictures[:2]
    assert not torch.equal(outputs(older, pictures)[0], outputs(model, pictures)[0])
    save_checkpoint(older, tmp_path / "newer")
    for one, other in zip(
        outputs(older, pictures),
        outputs(load_checkpoint(tmp_path / "newer"), pictures),
        strict=True,
    ):
        assert torch.equal(one, other)


def load_checkpoint_copy(model: EmoSymModel, tmp_path: Path) -> EmoSymModel:
    save_checkpoint(model, tmp_path / "one")
    return load_checkpoint(tmp_path / "one")


def test_nothing_trains_and_no_dropout_runs_in_an_opened_model(model: EmoSymModel) -> None:
    reasoner = model.reader.reasoner
    assert not any(p.requires_grad for p in reasoner.parameters())
    assert not any(m.training for m in reasoner.modules())
    assert not any(
        p.requires_grad for m in model.painter.modules().values() for p in m.parameters()
    )


def test_the_description_names_everything(tiny_checkpoint: Path, tiny_base: Path) -> None:
    described = describe_checkpoint(tiny_checkpoint)
    files = {p.relative_to(tiny_checkpoint).as_posix() for p in tiny_checkpoint.rglob("*.*")}
    assert set(described["files"]) == files - {"emosym.json"}
    assert described["base"] == str(tiny_base)
    assert [row["name"] for row in described["spaces"]] == ["mikels8"]
    assert described["space"] == "mikels8" and described["recurrent"] is True
    assert described["adapter"] is described["mappers"] is True
    assert described["unet_adapter"] is False and described["recipes"] == 2
    assert {"torch", "transformers", "diffusers", "peft", "emosym"} <= set(described["versions"])
    assert is_checkpoint(tiny_checkpoint) and not is_checkpoint(tiny_base)
    assert described["versions"] == package_versions() and described["git"] == git_hash()


def test_the_base_is_not_copied(tiny_checkpoint: Path) -> None:
    from safetensors.torch import load_file

    kept = load_file(tiny_checkpoint / "reader.safetensors")
    assert not any(k.startswith("backbone.") for k in kept)


@pytest.mark.parametrize("name", ["reader.safetensors", "adapter/adapter_model.safetensors"])
def test_one_flipped_bit_is_a_checksum_error(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-3] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(EmoSymError, match=rf"{Path(name).name} has the wrong checksum"):
        load_checkpoint(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "mappers.safetensors").unlink()
    with pytest.raises(EmoSymError, match=r"incomplete: mappers\.safetensors is missing"):
        load_checkpoint(copy)


def test_another_format_is_a_usage_error(copy: Path) -> None:
    with pytest.raises(UsageError, match="format 3; this version of emosym reads 1 and 2"):
        load_checkpoint(edited(copy, format=3))
    (copy / "emosym.json").write_text("[1]")
    with pytest.raises(UsageError, match="format None"):
        load_checkpoint(copy)
    (copy / "emosym.json").write_text('{"format": 1,')
    with pytest.raises(UsageError, match="not valid JSON"):
        load_checkpoint(copy)


def test_a_description_without_a_field_is_a_usage_error(copy: Path) -> None:
    with pytest.raises(UsageError, match="lacks 'template'"):
        load_checkpoint(edited(copy, template="-"))


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match=r"not an emosym checkpoint: it has no emosym\.json"):
            load_checkpoint(folder)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    with pytest.raises(EmoSymError, match=r"(do|does) not fit this model"):
        load_checkpoint(edited(copy, num_context_tokens=3))


def test_a_backbone_with_missing_weights_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    weights = load_file(folder / "reader" / "model.safetensors")
    weights.pop(next(k for k in weights if "q_proj.weight" in k))
    save_file(weights, folder / "reader" / "model.safetensors", {"format": "pt"})
    (folder / "base.json").unlink()
    from emosym.models.presets import write_base

    write_base(folder, 64, {})
    with pytest.raises(EmoSymError, match="do not fit their configuration"):
        load_backbone(resolve_base(str(folder)))


def test_a_failed_save_leaves_the_old_checkpoint_whole(
    model: EmoSymModel, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "save_gaussians", full)
    with pytest.raises(EmoSymError, match="The disk is full"):
        save_checkpoint(with_calibration(model, Calibration(9.0)), copy)
    assert {p: p.read_bytes() for p in copy.parent.rglob("*") if p.is_file()} == before


def test_a_new_model_is_the_same_for_the_same_seed(tiny_base: Path) -> None:
    one, two, other = (new_model(str(tiny_base), 2, True, "emosym", s) for s in (0, 0, 1))
    parts = [trained_parts(m.reader.reasoner) for m in (one, two, other)]
    assert all(torch.equal(parts[0][k], parts[1][k]) for k in parts[0])
    assert not torch.equal(
        parts[0]["latent_tokens.emotion_embed"], parts[2]["latent_tokens.emotion_embed"]
    )
    assert not any(p.requires_grad for p in one.reader.reasoner.backbone.parameters())
    assert one.emotion_space is one.domain is None and one.stages == ()


def test_reading_does_not_load_the_painter(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emosym.models.painter import painter

    calls: list[object] = []
    real = painter.load_painter
    monkeypatch.setattr(painter, "load_painter", lambda *a, **k: calls.append(a) or real(*a, **k))
    model = load_checkpoint(tiny_checkpoint)
    assert calls == []
    assert model.painter is model.painter and len(calls) == 1


@pytest.fixture
def loud() -> Iterator[None]:
    """Let the libraries say all they would say to a newcomer, where a test can hear it."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    transformers_logging.enable_progress_bar()
    diffusers_logging.enable_propagation()
    yield
    diffusers_logging.disable_propagation()


def test_opening_a_model_says_nothing(
    tiny_checkpoint: Path,
    loud: None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from transformers.utils import logging as transformers_logging

    load_checkpoint(tiny_checkpoint).open_painter()
    shown = capfd.readouterr()
    assert shown.err == shown.out == caplog.text == ""
    assert transformers_logging.is_progress_bar_enabled()  # for whoever else wants it


def test_a_key_that_diffusers_itself_wrote_is_no_warning_and_another_is(
    tiny_base: Path, tmp_path: Path, loud: None, caplog: pytest.LogCaptureFixture
) -> None:
    from emosym.models.painter.painter import load_painter

    folder = Path(shutil.copytree(tiny_base / "painter", tmp_path / "painter"))
    config = folder / "vae" / "config.json"
    written = json.loads(config.read_text())
    assert "block_out_channels" not in written
    config.write_text(json.dumps({**written, "block_out_channels": [8]}))
    load_painter(folder)
    assert caplog.text == ""
    config.write_text(json.dumps({**written, "odd": 1}))
    load_painter(folder)
    assert "{'odd': 1}" in caplog.text
