"""Where others' weights are, what they need, and what tells them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emosym.errors import EmoSymError, UsageError
from emosym.models.snapshots import (
    SAMPLE_BYTES,
    bytes_needed,
    fingerprint,
    free_memory,
    locate,
    require_memory,
    weight_files,
)


def write(path: Path, **tensors: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def test_a_source_is_a_folder_or_below_the_named_root_or_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMOSYM_MODELS", raising=False)
    assert locate(str(tmp_path), "reader") == tmp_path
    with pytest.raises(UsageError, match=r"reader of x, a/b, is not on this.*`hf download a/b`"):
        locate("a/b", "reader of x")
    monkeypatch.setenv("EMOSYM_MODELS", str(tmp_path))
    with pytest.raises(UsageError, match="nothing is fetched unasked"):
        locate("a/b", "reader of x")
    (tmp_path / "b").mkdir()
    assert locate("a/b", "reader of x") == tmp_path / "b"
    for odd in ("no-such", "/no/such/folder", "a/../b", ""):
        with pytest.raises(UsageError, match="neither a folder here nor a hub id"):
            locate(odd, "painter of x")


def test_weights_of_a_variant_are_not_the_plain_ones(tmp_path: Path) -> None:
    plain = write(tmp_path / "model.safetensors", a=torch.zeros(2))
    half = write(tmp_path / "model.fp16.safetensors", a=torch.zeros(2).half())
    assert weight_files(tmp_path) == [plain] and weight_files(tmp_path, "fp16") == [half]


def test_bytes_are_counted_from_headers_in_the_dtype_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", w=torch.zeros(3, 5), ids=torch.zeros(4).long())
    assert bytes_needed([path], "bfloat16") == 3 * 5 * 2 + 4 * 8
    assert bytes_needed([path, path], "float32") == 2 * (3 * 5 * 4 + 4 * 8)
    path.write_bytes(b"no header")
    with pytest.raises(EmoSymError, match=r"a.safetensors is damaged"):
        bytes_needed([path], "float32")


def test_too_little_memory_is_said_with_both_numbers() -> None:
    assert free_memory("cpu") > 0
    require_memory(1, "cpu", "reader")
    with pytest.raises(EmoSymError, match=r"reader of y: its weights take 1000000.0 GB and \d"):
        require_memory(10**15, "cpu", "reader of y")


def test_a_fingerprint_tells_weights_of_one_shape_apart(tmp_path: Path) -> None:
    big = torch.zeros(SAMPLE_BYTES, dtype=torch.int32)  # 4 MiB: the middle is not looked at
    names = ("first", "same", "last", "config")
    found = {}
    for name in names:
        folder = tmp_path / name
        values = big.clone()
        values[-1] = name == "last"
        write(folder / "model.safetensors", w=values)
        (folder / "config.json").write_text("{}" if name != "config" else "{ }")
        found[name] = fingerprint(folder)
    assert found["first"] == found["same"]
    assert len(set(found.values())) == 3


def test_the_fingerprint_of_a_conversion_is_that_of_what_was_converted(tmp_path: Path) -> None:
    found = []
    for number, (made_of, version) in enumerate((("a", "1"), ("a", "2"), ("b", "2"), (None, "2"))):
        folder = tmp_path / str(number)
        write(folder / "model.safetensors", w=torch.zeros(3))
        (folder / "config.json").write_text(json.dumps({"transformers_version": version}))
        note = {"file": "m.gguf", "bytes": 3, "sha256": made_of}
        (folder / "converted.json").write_text(json.dumps(note))
        found.append(fingerprint(folder))
    assert found[0] == found[1] and len(set(found)) == 3
