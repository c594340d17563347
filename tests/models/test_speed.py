"""Every measure can be left out, and computes what the libraries' own path computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from emosym.device import cpu_plan
from emosym.errors import UsageError
from emosym.models.painter.autoencoder import build_autoencoder
from emosym.models.painter.painter import Painter, encode_prompts, load_painter
from emosym.models.painter.sampling import denoising_loss
from emosym.models.speed import (
    LEAVE_OUT,
    MEASURES,
    FastDropout,
    FastGroupNorm,
    attention_kind,
    in_use,
    keep_freed_memory,
    prepare_for_cpu,
    swap_dropouts,
)

SDPA = "float32 sdpa"


@contextmanager
def environment(left_out: str, plan: str) -> Iterator[None]:
    """Build models as these two settings say."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(LEAVE_OUT, left_out)
            patch.setenv("EMOSYM_CPU_PLAN", plan)
            cpu_plan.cache_clear()
            yield
    finally:
        cpu_plan.cache_clear()


def test_each_measure_can_be_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEAVE_OUT, raising=False)
    assert all(in_use(name) for name in MEASURES)
    monkeypatch.setenv(LEAVE_OUT, "group_norm dropout")
    assert {name for name in MEASURES if not in_use(name)} == {"group_norm", "dropout"}
    monkeypatch.setenv(LEAVE_OUT, "all")
    assert not any(in_use(name) for name in MEASURES)
    assert keep_freed_memory() is False
    monkeypatch.setenv(LEAVE_OUT, "group_nrom")
    with pytest.raises(UsageError, match="Did you mean 'group_norm'"):
        in_use("group_norm")


def test_attention_follows_the_plan() -> None:
    for kind in ("sdpa", "eager"):
        with environment("", f"float32 {kind}"):
            assert attention_kind() == ("sdpa" if torch.cuda.is_available() else kind)


def painter_as(folder: Path, left_out: str, plan: str) -> Painter:
    with environment(left_out, plan):
        return load_painter(folder / "painter")


@pytest.mark.parametrize("left_out", ["all", "group_norm", "channels_last", ""])
def test_a_unet_computes_and_learns_as_the_librarys(tiny_base: Path, left_out: str) -> None:
    """Without all it is diffusers' own; sdpa stands against eager attention everywhere."""
    ours, plain = painter_as(tiny_base, "", "float32 eager"), painter_as(tiny_base, left_out, SDPA)
    kinds = {type(p).__name__ for p in plain.unet.attn_processors.values()}
    assert kinds == {"AttnProcessor2_0"}
    assert {type(p).__name__ for p in ours.unet.attn_processors.values()} == {"AttnProcessor"}
    norms = [type(m) is FastGroupNorm for m in plain.unet.modules() if isinstance(m, nn.GroupNorm)]
    assert norms and set(norms) == {left_out in ("", "channels_last")}
    weight = plain.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is (
        left_out in ("", "group_norm")
    )
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(3, 4, 8, 8, generator=generator)
    noise = torch.randn(3, 4, 8, 8, generator=generator)
    times = torch.tensor([100.0, 500.0, 900.0])
    found = []
    for painter in (ours, plain):
        trained = (painter.unet, painter.text_encoders[0])
        for module in trained:
            module.requires_grad_(True)
        embeds = encode_prompts(painter, ["a red house", "a tree", ""])
        loss = denoising_loss(painter, latents, embeds, noise, times)
        loss.backward()
        gradients = {
            f"{i}.{name}": p.grad
            for i, module in enumerate(trained)
            for name, p in module.named_parameters()
            if p.grad is not None
        }
        found.append((loss.detach(), gradients))
    (one, ours_by_name), (other, plain_by_name) = found
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert ours_by_name.keys() == plain_by_name.keys() and len(ours_by_name) > 50
    largest = max(float(g.abs().max()) for g in plain_by_name.values())
    for name, gradient in plain_by_name.items():
        torch.testing.assert_close(
            ours_by_name[name], gradient, atol=1e-5 * largest, rtol=1e-3, msg=name
        )


def test_an_autoencoder_computes_and_learns_as_the_librarys() -> None:
    pixels = torch.randn(2, 12, 16, 16, generator=torch.Generator().manual_seed(0))
    found = []
    for left_out in ("all", ""):
        torch.manual_seed(0)
        with environment(left_out, "float32 eager"):
            vae = build_autoencoder(8, (1, 1), (1, 1), 2)
        weight = next(p for p in vae.parameters() if p.dim() == 4 and p.shape[-1] > 1)
        assert weight.is_contiguous() is (left_out == "all")
        vae(pixels).sample.square().mean().backward()
        found.append({name: p.grad for name, p in vae.named_parameters()})
    plain, ours = found
    assert len(plain) > 10
    for name, gradient in plain.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-3, msg=name)


def test_preparing_leaves_no_trace_without_the_measures() -> None:
    with environment("all", SDPA):
        module = prepare_for_cpu(nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)))
    assert type(module[1]) is nn.GroupNorm and module[0].weight.is_contiguous()


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_fast_dropout_has_the_law_of_dropout(p: float) -> None:
    dropout = FastDropout(p)
    x = torch.full((500, 401), 3.0, requires_grad=True)  # no multiple of four
    torch.manual_seed(0)
    y = dropout(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 3 / (1 - p)), atol=0, rtol=1e-4)
    spread = (p * (1 - p)) ** 0.5
    assert abs(float((~kept).double().mean()) - p) < 5 * spread / kept.numel() ** 0.5
    # elements of one random word, and of the next, are dropped independently of each other
    flat = (~kept).double().flatten() - p
    for distance in (1, 2, 3, 4):
        assert abs(float((flat[distance:] * flat[:-distance]).mean())) < (
            5 * spread**2 / len(flat) ** 0.5
        )
    (2 * y).sum().backward()
    torch.testing.assert_close(x.grad, 2 * y.detach() / 3)
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y)
    assert not torch.equal(dropout(x), y)


def test_fast_dropout_at_its_ends() -> None:
    x = torch.randn(7, 5)
    assert torch.equal(FastDropout(0.3).eval()(x), x)
    assert torch.equal(FastDropout(0.0)(x), x)
    assert not FastDropout(1.0)(x).any()
    assert FastDropout(0.5)(x.bfloat16()).dtype == torch.bfloat16


def test_dropouts_are_swapped_unless_left_out() -> None:
    for left_out, kind in (("dropout", nn.Dropout), ("", FastDropout)):
        net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.2))).eval()
        with environment(left_out, SDPA):
            assert swap_dropouts(net) == (not left_out)
        assert type(net[1][0]) is kind
        assert (net[1][0].p, net[1][0].training) == (0.2, False)
