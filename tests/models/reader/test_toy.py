"""The toy reader is Qwen2-VL's own class, small, seeded, with eyes open from the start."""

from __future__ import annotations

import torch
from transformers import Qwen2VLForConditionalGeneration

from emosym.models.reader.latent_tokens import (
    ContextProjector,
    EmotionHead,
    LatentTokens,
    build_heads,
    with_gate,
)
from emosym.models.reader.toy import build_toy_reader, toy_reader_config
from emosym.models.reader.vision import patchify
from emosym.models.tokenizer import IMAGE_PAD, train_tokenizer

TOKENIZER = train_tokenizer(["a red house"] * 4, 300)


def test_class_size_and_names() -> None:
    model = build_toy_reader(TOKENIZER, 0)
    assert type(model) is Qwen2VLForConditionalGeneration
    count = sum(p.numel() for p in model.parameters())
    assert 2_000_000 < count < 4_000_000
    assert model.config.image_token_id == TOKENIZER.convert_tokens_to_ids(IMAGE_PAD)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_heads_divide_at_every_size() -> None:
    for hidden in (96, 192, 288):
        config = toy_reader_config(TOKENIZER, hidden, 1)
        text = config.text_config
        assert text.hidden_size // text.num_attention_heads == 32 == 2 * (4 + 6 + 6)
        assert text.num_attention_heads % text.num_key_value_heads == 0


def test_the_start_is_seeded_and_the_global_stream_untouched() -> None:
    torch.manual_seed(1)
    wanted = torch.randn(2)
    torch.manual_seed(1)
    one, two, other = (build_toy_reader(TOKENIZER, s, 96, 1) for s in (0, 0, 1))
    assert torch.equal(torch.randn(2), wanted)
    a, b, c = (m.model.visual.patch_embed.proj.weight for m in (one, two, other))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_an_untrained_tower_tells_pictures_apart() -> None:
    model = build_toy_reader(TOKENIZER, 0, 96, 1).eval()
    pictures = torch.stack([torch.zeros(64, 64, 3), torch.full((64, 64, 3), 200.0)]).byte()
    values, grid = patchify(pictures, 8, 2, 2)
    with torch.no_grad():
        features = model.model.visual(values, grid_thw=grid).pooler_output.view(2, 16, 96)
    assert float((features[0] - features[1]).abs().mean()) > 0.1 * float(features.std())


# --- latent tokens, heads and the projector -------------------------------------------------------


def test_tokens_are_drawn_at_the_tables_size() -> None:
    tokens = LatentTokens(400, 5, recurrent=True)
    table = 0.3 * torch.randn(1000, 400)
    tokens.initialise(table, torch.Generator().manual_seed(0))
    assert abs(float(tokens.context_embeds.detach().std()) - 0.3) < 0.02
    assert abs(float(tokens.emotion_embed.detach().std()) - 0.3) < 0.04
    assert torch.equal(tokens.recurrent_gate, torch.zeros(400))  # side by side at first
    assert not hasattr(LatentTokens(4, 1, recurrent=False), "recurrent_gate")


def test_an_older_gain_becomes_a_gate_of_one_value() -> None:
    saved = {
        "latent_tokens.emotion_embed": torch.ones(1, 3),
        "latent_tokens.recurrent_gain": torch.tensor(0.25),
    }
    found = with_gate(saved)
    assert set(found) == {"latent_tokens.emotion_embed", "latent_tokens.recurrent_gate"}
    assert found["latent_tokens.recurrent_gate"].tolist() == [0.25, 0.25, 0.25]
    assert "latent_tokens.recurrent_gain" in saved  # what was given is as it was
    assert with_gate(found).keys() == found.keys()


def test_heads_by_space() -> None:
    heads = build_heads(6, {"mikels8": 8, "ecf6": 6})
    assert isinstance(heads["ecf6"], EmotionHead)
    assert heads["ecf6"](torch.ones(2, 6)).shape == (2, 6)
    assert [m.out_features for m in heads["mikels8"].net if hasattr(m, "out_features")] == [256, 8]


def test_the_projector_gives_unit_vectors_of_the_mean_context() -> None:
    projector = ContextProjector(6, 4)
    context = torch.randn(3, 5, 6)
    found = projector(context)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(found, projector(context.mean(1, keepdim=True)))
    assert abs(projector.log_scale.exp().item() - 1 / 0.07) < 1e-4
