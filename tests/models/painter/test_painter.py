"""The painter's parts: speed paths that change no number, latents, prompts, folders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import nn
from torch.nn.functional import group_norm

from emosym.errors import UsageError
from emosym.models.painter.autoencoder import (
    build_autoencoder,
    decode_with,
    downscale_factor,
    encode_with,
    to_pictures,
    to_pixels,
    unshuffle_factor,
)
from emosym.models.painter.painter import (
    Painter,
    encode_prompts,
    load_painter,
    save_painter,
)
from emosym.models.painter.prompt import fill_placeholders
from emosym.models.painter.text_encoder import (
    inserted_embeddings,
    placeholder_mask,
    tokenize,
)
from emosym.models.painter.toy import build_painter
from emosym.models.speed import FastGroupNorm, keep_freed_memory, swap_group_norms
from emosym.models.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a red street with a big dog", "a quiet lake, a moon"] * 4, 320)


@pytest.fixture(scope="module")
def painter(tokenizer) -> Painter:
    torch.manual_seed(0)
    built = build_painter(tokenizer, (16, 16, 32), 32, 24, build_autoencoder(8, (1, 1), (1, 1), 2))
    for module in built.modules().values():
        module.eval()
    return built


@pytest.mark.parametrize("shape", [(3, 8, 5, 4), (2, 8, 7)])
def test_fast_group_norm_equals_the_library_in_value_and_gradients(shape) -> None:
    torch.manual_seed(1)
    norm = nn.GroupNorm(4, 8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    fast = FastGroupNorm.sharing(norm)
    x = (5 + torch.randn(shape)).requires_grad_()
    upstream = torch.randn(shape)
    ours, theirs = fast(x), group_norm(x, 4, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)
    wanted = torch.autograd.grad(theirs, (x, norm.weight, norm.bias), upstream)
    got = torch.autograd.grad(ours, (x, fast.weight, fast.bias), upstream)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_fast_group_norm_passes_a_numerical_gradient_check_of_its_formula() -> None:
    x = torch.randn(1, 4, 2, 2)
    norm = FastGroupNorm(2, 4)
    x.requires_grad_()
    direction = torch.randn_like(x)
    norm(x).pow(3).sum().backward()
    step = 1e-2
    with torch.no_grad():
        slope = norm(x + step * direction).pow(3).sum() - norm(x - step * direction).pow(3).sum()
    assert float((x.grad * direction).sum()) == pytest.approx(float(slope) / (2 * step), rel=2e-2)


def test_swap_keeps_the_very_parameters() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(nn.GroupNorm(2, 4)))
    weight = module[1][0].weight
    assert swap_group_norms(module) == 1
    assert isinstance(module[1][0], FastGroupNorm)
    assert module[1][0].weight is weight
    assert swap_group_norms(module) == 0


def test_keep_freed_memory_answers_whether_it_worked() -> None:
    assert keep_freed_memory() in (True, False)


def test_pictures_and_pixels_are_inverse() -> None:
    pictures = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    assert torch.equal(to_pictures(to_pixels(pictures)), pictures)


def test_latents_have_the_scale_that_the_configuration_says() -> None:
    torch.manual_seed(0)
    vae = build_autoencoder(8, (1, 1), (1, 1), 2).eval()
    pixels = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        plain = encode_with(vae, pixels)
        decoded = decode_with(vae, plain)
        vae.register_to_config(shift_factor=0.5, scaling_factor=2.0)
        scaled = encode_with(vae, pixels)
        torch.testing.assert_close(scaled, (plain - 0.5) * 2)
        torch.testing.assert_close(decode_with(vae, scaled), decoded, atol=1e-5, rtol=1e-4)
    assert plain.shape == (2, 4, 4, 4)
    assert decoded.shape == pixels.shape
    assert (unshuffle_factor(vae), downscale_factor(vae)) == (2, 4)


def test_stable_diffusions_autoencoder_is_not_unshuffled() -> None:
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=2,
    ).eval()
    assert (unshuffle_factor(vae), downscale_factor(vae)) == (1, 2)
    pixels = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        latents = encode_with(vae, pixels)
        wanted = vae.encode(pixels).latent_dist.mean * 0.18215
    torch.testing.assert_close(latents, wanted)


def test_tokens_are_framed_and_padded(tokenizer) -> None:
    ids = tokenize(tokenizer, ["a dog", "", "a quiet lake " * 20], 8)
    assert ids[:, 0].tolist() == [tokenizer.bos_token_id] * 3
    assert ids[1, 1:].tolist() == [tokenizer.eos_token_id] * 7
    assert ids[2, -1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[2, :-1].tolist()


def test_inserted_rows_equal_the_tokens_own_embeddings(painter, tokenizer) -> None:
    encoder = painter.text_encoders[0]
    ids = tokenize(tokenizer, [fill_placeholders("a {} dog", 2)], 24)
    mask = placeholder_mask(tokenizer, ids)
    rows = encoder.get_input_embeddings()(ids[mask])[None]  # (1, 3, D)
    with torch.no_grad():
        plain = encoder(input_ids=ids).last_hidden_state
        with inserted_embeddings(encoder, mask, rows):
            inserted = encoder(input_ids=ids).last_hidden_state
        with inserted_embeddings(encoder, mask, rows.flip(-1)):
            other = encoder(input_ids=ids).last_hidden_state
        after = encoder(input_ids=ids).last_hidden_state
    torch.testing.assert_close(inserted, plain)
    torch.testing.assert_close(after, plain)
    assert (other - plain).abs().max() > 1e-3


def test_gradient_reaches_every_condition_and_only_through_its_place(painter) -> None:
    conditions = torch.randn(2, 3, painter.embed_dims[0], requires_grad=True)
    embeds = encode_prompts(painter, ["a {} street", "a lake"], [conditions])
    assert embeds.hidden.shape == (2, 24, 32)
    # Sums of a normalised row are constant, so the test reads a nonlinear function.
    embeds.hidden[0].pow(3).sum().backward()
    assert (conditions.grad[0].abs().sum(-1) > 0).all()
    assert conditions.grad[1].abs().sum() == 0


def test_prompts_without_conditions_lose_their_braces(painter) -> None:
    with torch.no_grad():
        a = encode_prompts(painter, ["a {} street"])
        b = encode_prompts(painter, ["a street"])
    assert torch.equal(a.hidden, b.hidden)
    real = len(painter.tokenizers[0]("a street", add_special_tokens=False).input_ids) + 2
    assert a.mask.sum().item() == real


def test_wrong_conditions_are_refused(painter) -> None:
    width = painter.embed_dims[0]
    with pytest.raises(UsageError, match="condition_embeds"):
        encode_prompts(painter, ["a"], [torch.randn(2, 2, width)])
    with pytest.raises(UsageError, match="condition_embeds"):
        encode_prompts(painter, ["a"], [torch.randn(1, 2, width + 1)])
    with pytest.raises(UsageError, match=r"too long.*Shorten what stands before"):
        encode_prompts(painter, ["a dog " * 30 + "{}"], [torch.randn(1, 2, width)])


def test_a_saved_painter_opens_with_the_same_numbers(painter, tmp_path: Path) -> None:
    painter.vae.register_to_config(shift_factor=0.25, scaling_factor=1.5)
    save_painter(painter, tmp_path)
    opened = load_painter(tmp_path)
    assert opened.vae.config.scaling_factor == 1.5
    assert opened.scheduler.config.prediction_type == "flow_prediction"
    assert not any(p.requires_grad for m in opened.modules().values() for p in m.parameters())
    with torch.no_grad():
        a, b = (encode_prompts(p, ["a big dog"]) for p in (painter, opened))
        torch.testing.assert_close(a.hidden, b.hidden)
        noise = torch.randn(1, 4, 16, 16)
        x = [p.unet(noise, 500, e.hidden).sample for p, e in ((painter, a), (opened, b))]
    torch.testing.assert_close(x[0], x[1])
    assert not list(tmp_path.rglob("*.bin"))


def test_missing_parts_are_named(painter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model_index\.json"):
        load_painter(tmp_path)
    save_painter(painter, tmp_path, torch.bfloat16)
    assert next(painter.unet.parameters()).dtype == torch.float32
    (tmp_path / "unet" / "config.json").unlink()
    with pytest.raises(UsageError, match="unet"):
        load_painter(tmp_path)


def test_a_stable_diffusion_shaped_folder_opens(tokenizer, tmp_path: Path) -> None:
    """No unshuffling, an epsilon scheduler, an old end-of-text quirk."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=2,
    )
    base = build_painter(tokenizer, (16, 16, 16), 32, 24, vae)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    base.text_encoders[0].config.eos_token_id = 2
    save_painter(Painter(base.tokenizers, base.text_encoders, vae, unet, DDPMScheduler()), tmp_path)
    opened = load_painter(tmp_path)
    assert opened.scheduler.config.prediction_type == "epsilon"
    assert opened.text_encoders[0].eos_token_id == tokenizer.eos_token_id
    conditions = [torch.randn(1, 2, 32)]
    with torch.no_grad():
        embeds = encode_prompts(opened, ["a {} dog"], conditions)
    # The pooled output is read at the first end, not at a placeholder.
    end = int(embeds.mask.sum()) - 1
    torch.testing.assert_close(embeds.pooled[0], embeds.hidden[0, end])


def test_a_saved_painter_names_no_folder_of_this_machine(tiny_base: Path, tmp_path: Path) -> None:
    save_painter(load_painter(tiny_base / "painter"), tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.json"):
        assert str(tiny_base) not in path.read_text()


def test_what_one_thread_inserts_no_other_thread_hears(painter, tokenizer) -> None:
    encoder = painter.text_encoders[0]
    ids = tokenize(tokenizer, [fill_placeholders("a {} dog", 2)], 24)
    mask = placeholder_mask(tokenizer, ids)
    rows = torch.ones(1, 3, painter.embed_dims[0])

    def encode() -> torch.Tensor:
        with torch.no_grad():
            hidden: torch.Tensor = encoder(input_ids=ids).last_hidden_state
        return hidden

    plain = encode()
    with ThreadPoolExecutor(1) as other, inserted_embeddings(encoder, mask, rows):
        heard = other.submit(encode).result()
        assert (encode() - plain).abs().max() > 1e-3
    assert torch.equal(heard, plain)
