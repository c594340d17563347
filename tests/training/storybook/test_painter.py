"""Every stage of the base painter runs, resumes and learns at toy lengths."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from emosym.errors import UsageError
from emosym.models.painter.autoencoder import build_autoencoder, encode_with, to_pixels
from emosym.models.painter.toy import build_painter
from emosym.models.tokenizer import train_tokenizer
from emosym.training.storybook import painter as base_painter
from emosym.training.storybook.contact_sheet import evaluate_base_painter, rows_sheet
from emosym.training.storybook.painter import (
    BasePainterSettings,
    autoencoder_losses,
    encode_corpus,
    train_autoencoder,
    train_base_painter,
)

TINY = BasePainterSettings(
    autoencoder_steps=20,
    unet_steps=20,
    batch_size=8,
    checkpoint_every=10,
    ema_decay=0.5,
    bf16=False,  # bf16 convolutions of so few channels take a slow path on some CPUs
)


@pytest.fixture
def tiny_models(monkeypatch) -> None:
    """Build the same classes, smaller, so that a step takes milliseconds."""
    monkeypatch.setattr(
        base_painter,
        "build_autoencoder",
        lambda device: build_autoencoder(8, (1, 1), (1, 1), 2, device=device),
    )
    monkeypatch.setattr(
        base_painter,
        "build_painter",
        lambda tokenizer, vae, device: build_painter(tokenizer, (16, 16, 16), 32, 16, vae, device),
    )


@pytest.fixture(scope="module")
def corpus() -> tuple[np.ndarray, list[str]]:
    """Red or blue pictures that say so."""
    rng = np.random.default_rng(0)
    red = rng.integers(0, 2, 32).astype(bool)
    pictures = rng.integers(0, 60, (32, 32, 32, 3), dtype=np.uint8)
    pictures[..., 0] += np.where(red, 180, 0).astype(np.uint8)[:, None, None]
    pictures[..., 2] += np.where(red, 0, 180).astype(np.uint8)[:, None, None]
    return pictures, ["a red field" if r else "a blue field" for r in red]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a red field", "a blue field"] * 4, 300)


@pytest.mark.usefixtures("tiny_models")
def test_a_painter_comes_out_learns_and_is_read_back(corpus, tokenizer, tmp_path: Path) -> None:
    pictures, captions = corpus
    painter = train_base_painter(tmp_path, tokenizer, pictures, captions, TINY, progress=False)
    latents = np.load(tmp_path / "latents.npy")
    assert latents.shape == (32, 4, 8, 8)
    assert abs(float(latents.mean())) < 0.05
    assert float(latents.std()) == pytest.approx(1.0, abs=0.05)
    for stage in ("autoencoder", "unet"):
        rows = (tmp_path / stage / "metrics.jsonl").read_text().splitlines()
        losses = [float(json.loads(row)["loss"]) for row in rows]
        assert losses[-1] < losses[0]
    stamp = (tmp_path / "painter" / "model_index.json").stat().st_mtime_ns
    again = train_base_painter(tmp_path, tokenizer, pictures, captions, TINY, progress=False)
    assert (tmp_path / "painter" / "model_index.json").stat().st_mtime_ns == stamp
    ours, theirs = painter.unet.state_dict(), again.unet.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    painted = evaluate_base_painter(tmp_path, again, pictures[:8], captions[:8], 0, 2)
    assert painted.shape == (8, 32, 32, 3)
    with Image.open(tmp_path / "samples.png") as sheet:
        assert sheet.size == (8 * 32 * 2, 3 * 32 * 2)
    measured = json.loads((tmp_path / "samples.json").read_text())
    assert measured["captions"] == captions[:8]
    assert measured["edge_ratio"] > 0


@pytest.mark.usefixtures("tiny_models")
def test_an_interrupted_autoencoder_goes_on_to_the_same_weights(
    corpus, tmp_path: Path, monkeypatch
) -> None:
    pictures, _ = corpus
    whole = train_autoencoder(tmp_path / "whole", pictures, TINY, progress=False)
    calls = []
    real = base_painter.autoencoder_losses

    def fails(*arguments):
        calls.append(1)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(base_painter, "autoencoder_losses", fails)
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(tmp_path / "cut", pictures, TINY, progress=False)
    monkeypatch.setattr(base_painter, "autoencoder_losses", real)
    resumed = train_autoencoder(tmp_path / "cut", pictures, TINY, progress=False)
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_autoencoder_losses_by_hand(monkeypatch) -> None:
    """A decoder that says 0 for a checkerboard of 1 and -1: L1 = L2 = 1, edges = 2 + 2."""
    vae = build_autoencoder(8, (1, 1), (1, 1), 2)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    pixels = board.expand(1, 3, 8, 8)
    monkeypatch.setattr(base_painter, "raw_pictures", lambda v, z: torch.zeros(1, 3, 8, 8))
    latents = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)  # mean 2, deviation sqrt 2
    monkeypatch.setattr(base_painter, "raw_latents", lambda v, x: latents)
    losses = autoencoder_losses(vae, pixels, 0.0)
    assert [float(losses[k]) for k in ("l1", "l2", "edges")] == [1.0, 1.0, 4.0]
    moments = 4 + (2**0.5 - 1) ** 2
    assert float(losses["moments"]) == pytest.approx(moments)
    assert float(losses["loss"]) == pytest.approx(4 + 0.05 * moments)


def test_encoded_corpus_is_the_encoding_and_refuses_others(corpus, tmp_path: Path) -> None:
    pictures, _ = corpus
    torch.manual_seed(0)
    vae = build_autoencoder(8, (1, 1), (1, 1), 2).eval()
    stored = encode_corpus(tmp_path / "latents.npy", vae, pictures)
    with torch.no_grad():
        wanted = encode_with(vae, to_pixels(torch.from_numpy(pictures[:4]))).numpy()
    assert np.abs(stored[:4] - wanted).max() < 0.03 * np.abs(wanted).max() + 1e-3
    with pytest.raises(UsageError, match="other pictures"):
        encode_corpus(tmp_path / "latents.npy", vae, pictures[:5])


def test_wrong_input_is_refused(corpus, tokenizer, tmp_path: Path) -> None:
    pictures, captions = corpus
    with pytest.raises(UsageError, match="captions"):
        train_base_painter(tmp_path, tokenizer, pictures, captions[:3])
    with pytest.raises(UsageError, match="uint8"):
        train_base_painter(
            tmp_path, tokenizer, pictures.astype(np.float32), captions, dataclasses.replace(TINY)
        )


def test_too_few_pictures_for_a_row_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 8"):
        rows_sheet(np.zeros((1, 4, 4, 3), np.uint8))
