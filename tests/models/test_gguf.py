"""GGUF files: converted once, whole, to a folder that reads as transformers reads the GGUF."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from emosym.errors import EmoSymError, UsageError
from emosym.models.gguf import converted, gguf_of
from emosym.models.presets import Base
from emosym.models.reader.backbone import open_chat
from emosym.models.snapshots import locate

WIDTH, LAYERS, HEADS, INNER = 32, 1, 2, 64
WORDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_gguf(path: Path) -> Path:
    """Write a llama of one layer with random weights and a byte-level tokenizer."""
    letters = [chr(33 + i) for i in range(94)] + ["Ġ", "Ċ", "jo"]
    tokens = [*WORDS, *letters]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(WORDS) + [1] * len(letters))
    writer.add_token_merges(["j o"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd": (len(tokens), WIDTH),
        "output_norm": (WIDTH,),
        "blk.0.attn_norm": (WIDTH,),
        "blk.0.ffn_norm": (WIDTH,),
        **{f"blk.0.attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": (INNER, WIDTH),
        "blk.0.ffn_up": (INNER, WIDTH),
        "blk.0.ffn_down": (WIDTH, INNER),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.2, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@torch.no_grad()
def test_a_gguf_is_converted_once_and_reads_the_same(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m").mkdir()
    path = write_gguf(tmp_path / "m" / "tiny.gguf")
    folder = locate(str(path), "reader")
    assert folder.parent == cache / "gguf" and not list(folder.parent.glob(".tmp-*"))
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    made_of = json.loads((folder / "converted.json").read_text())
    assert made_of["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert locate(str(tmp_path / "m"), "reader") == folder  # its folder names it as well
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    chat = open_chat(Base("tiny", str(path), "", None, None, "float32"))
    direct = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    ids = torch.tensor([[1, 5, 9, 2]])
    found, wanted = chat.backbone(ids).logits, direct(ids).logits
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=5e-3)  # kept in fp16
    assert chat.tokenizer.encode("jo") == chat.tokenizer.convert_tokens_to_ids(["jo"])
    assert chat.tokenizer.chat_template.startswith("{% for m in")


def test_what_is_no_gguf_is_said_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(200))
    with pytest.raises(EmoSymError, match=r"bad.gguf cannot be read as a GGUF model"):
        converted(bad)
    assert not list((cache / "gguf").iterdir())


def test_several_in_one_folder_are_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(UsageError, match=r"a.gguf, b.gguf"):
        gguf_of(tmp_path)
    assert gguf_of(tmp_path / "a.gguf") == tmp_path / "a.gguf"
    (tmp_path / "config.json").write_text("{}")
    assert gguf_of(tmp_path) is None
