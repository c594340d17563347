"""Training state on disk: complete, ours, and never half."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from emosym.errors import EmoSymError
from emosym.training.loop import state
from emosym.training.loop.optim import build_optimizers
from emosym.training.loop.state import latest_state, load_state, save_state, trainable_tensors


def trained(width: int = 4) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    optimizers = build_optimizers({"m": model}, 0.1, muon_lr=0.1)
    for _ in range(2):
        model(torch.randn(5, 3)).square().sum().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return model, optimizers


def test_only_what_trains_is_kept_and_tied_weights_once() -> None:
    model = nn.ModuleDict(
        {
            "a": nn.Linear(2, 2),
            "b": nn.Linear(2, 2),
            "norm": nn.BatchNorm1d(2),
            "t": nn.Linear(2, 2),
        }
    )
    model["b"].requires_grad_(False)
    model["t"].weight = model["a"].weight
    names = set(trainable_tensors({"m": model, "again": model}))
    assert names == {
        *("m.a.weight", "m.a.bias", "m.t.bias", "m.norm.weight", "m.norm.bias"),
        *("m.norm.running_mean", "m.norm.running_var", "m.norm.num_batches_tracked"),
    }


def test_everything_comes_back(tmp_path: Path) -> None:
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    average = {k: v.detach().clone() * 2 for k, v in weights.items()}
    save_state(tmp_path, 7, weights, optimizers, average)
    torch.manual_seed(9)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    fresh = build_optimizers({"m": other}, 0.5, muon_lr=0.5)
    live = trainable_tensors({"m": other})
    kept = {k: torch.zeros_like(v) for k, v in live.items()}
    found = latest_state(tmp_path)
    assert found is not None and load_state(found, live, fresh, kept) == 7
    for name, wanted in weights.items():
        assert torch.equal(live[name], wanted) and torch.equal(kept[name], average[name])
    for one, two in zip(optimizers, fresh, strict=True):
        a, b = one.state_dict(), two.state_dict()
        # JSON has lists where torch has tuples
        groups = [json.dumps(found["param_groups"]) for found in (a, b)]
        assert groups[0] == groups[1]
        assert a["state"].keys() == b["state"].keys() and a["state"]
        for index, slots in a["state"].items():
            for name, value in slots.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(b["state"][index][name]))


def test_a_state_of_other_parameters_is_refused_in_one_sentence(tmp_path: Path) -> None:
    model, optimizers = trained()
    save_state(tmp_path, 1, trainable_tensors({"m": model}), optimizers, None)
    path = latest_state(tmp_path)
    assert path is not None
    wider, its = trained(5)
    cases = [(trainable_tensors({"m": wider}), its), (trainable_tensors({"n": model}), optimizers)]
    cases.append((trainable_tensors({"m": model}), optimizers[:1]))
    cases.append(
        (trainable_tensors({"m": model}), build_optimizers({"m": model[0]}, 0.1, 0.1, 0.1))
    )
    for weights, others in cases:
        with pytest.raises(EmoSymError, match=r"belongs to a run with other parameters\. Choose"):
            load_state(path, weights, others, None)


def test_a_state_without_the_average_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    save_state(tmp_path, 1, weights, optimizers, None)
    path = latest_state(tmp_path)
    assert path is not None
    with pytest.raises(EmoSymError, match="other parameters"):
        load_state(path, weights, optimizers, dict(weights))


def test_the_last_two_states_are_kept_and_half_ones_are_not_taken(tmp_path: Path) -> None:
    assert latest_state(tmp_path) is None
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    for step in (4, 8, 10):
        save_state(tmp_path, step, weights, optimizers, None)
    (tmp_path / "step-00000012").mkdir()
    (tmp_path / ".tmp-00000016").mkdir()
    found = latest_state(tmp_path)
    assert found is not None and found.name == "step-00000010"
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000008", "step-00000010"]
    save_state(tmp_path, 14, weights, optimizers, None)
    kept = sorted(p.name for p in tmp_path.iterdir())  # and what was torn is gone
    assert kept == [".tmp-00000016", "step-00000010", "step-00000014"]


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    """What a file system may give after a power cut: the size is right, the content is not."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40] + bytes(40))


FILES = ("state.json", "weights.safetensors", "average.safetensors", "optimizer.safetensors")


@pytest.mark.parametrize("tear", [halve, empty, zeros, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_of_a_torn_state_the_one_before_is_used_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, tear: Callable[[Path], None]
) -> None:
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    for step in (4, 8):
        save_state(tmp_path, step, weights, optimizers, dict(weights))
    tear(tmp_path / "step-00000008" / name)
    assert latest_state(tmp_path) == tmp_path / "step-00000004"
    (said,) = caplog.messages
    assert "step-00000008 is torn" in said and name in said and "goes on from step-0000000" in said
    assert load_state(tmp_path / "step-00000004", weights, optimizers, dict(weights)) == 4


def test_without_a_whole_state_training_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, optimizers = trained()
    save_state(tmp_path, 4, trainable_tensors({"m": model}), optimizers, None)
    halve(tmp_path / "step-00000004" / "state.json")
    assert latest_state(tmp_path) is None
    assert "training begins anew" in caplog.text


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"step": 4, "name": "", "optimizers": 3}', '{"step": "4"}', '{"step": 5}', "4"],
)
def test_a_description_that_says_something_else_is_torn(tmp_path: Path, content: str) -> None:
    model, optimizers = trained()
    save_state(tmp_path, 4, trainable_tensors({"m": model}), optimizers, None)
    (tmp_path / "step-00000004" / "state.json").write_text(content)
    assert latest_state(tmp_path) is None


def test_a_state_of_format_1_is_read(tmp_path: Path) -> None:
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    save_state(tmp_path, 4, weights, optimizers, None)
    path = tmp_path / "step-00000004" / "state.json"
    told = json.loads(path.read_text())
    del told["sha256"]
    path.write_text(json.dumps({**told, "format": 1}))
    assert latest_state(tmp_path) == path.parent
    assert load_state(path.parent, weights, optimizers, None) == 4
    halve(path.parent / "optimizer.safetensors")
    assert latest_state(tmp_path) is None


def test_a_full_disk_keeps_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizers = trained()
    weights = trainable_tensors({"m": model})
    save_state(tmp_path, 4, weights, optimizers, None)

    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(EmoSymError, match="The disk is full"):
        save_state(tmp_path, 8, weights, optimizers, None)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000004"]
    assert latest_state(tmp_path) == tmp_path / "step-00000004"


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizers = build_optimizers({"m": model}, lr=1e-3)
    weights = trainable_tensors({"m": model})
    save_state(tmp_path, 3, weights, optimizers, None, "rl-expected")
    found = latest_state(tmp_path)
    assert found is not None
    assert load_state(found, weights, optimizers, None, "rl-expected") == 3
    with pytest.raises(EmoSymError, match="'rl-expected', not 'rl-grpo'"):
        load_state(found, weights, optimizers, None, "rl-grpo")
