"""The pointer to causes: shapes, what it sees, and what it keeps through a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from emosym.emotions import label_space, own_space
from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.models.checkpoint import DESCRIPTION, load_checkpoint, save_checkpoint
from emosym.models.description import sealed
from emosym.models.emosym_model import new_model
from emosym.models.reader.pointer import FARTHEST, UNKNOWN_EMOTION, CausePointer

SPACE = own_space(["joy", "calm", "fear"])


def pointer_of(seed: int = 0) -> CausePointer:
    torch.manual_seed(seed)
    pointer = CausePointer(8, 3)
    with torch.no_grad():
        for parameter in pointer.parameters():
            parameter.normal_(std=0.3)
    return pointer


def test_a_pair_is_scored_by_its_own_two_turns_alone() -> None:
    pointer, latents = pointer_of(), torch.randn(1, 4, 8)
    emotions, speakers = torch.tensor([[0, 1, 2, 0]]), torch.tensor([[0, 1, 0, 1]])
    whole = pointer(latents, emotions, speakers)
    assert whole.shape == (1, 4, 4)
    other = latents.clone()
    other[0, 3] = -latents[0, 3] + torch.arange(8)
    changed = (pointer(other, emotions, speakers) - whole).abs() > 1e-6
    assert changed[0, 3].all() and changed[0, :, 3].all()
    assert not changed[0, :3, :3].any()
    torch.testing.assert_close(
        pointer(latents[:, :2], emotions[:, :2], speakers[:, :2]), whole[:, :2, :2]
    )


def test_emotions_speakers_and_distance_count() -> None:
    pointer, latents = pointer_of(), torch.randn(1, 1, 8).expand(1, 30, 8)
    told, speakers = torch.zeros(1, 30, dtype=torch.long), torch.zeros(1, 30, dtype=torch.long)
    whole = pointer(latents, told, speakers)[0]
    # turns as far apart, and those farther than is counted, score alike
    torch.testing.assert_close(whole[0, 1], whole[5, 6])
    torch.testing.assert_close(whole[0, FARTHEST], whole[0, FARTHEST + 5])
    assert (whole[0, 1] - whole[1, 0]).abs() > 1e-4
    unknown = pointer(latents, told + UNKNOWN_EMOTION, speakers)[0]
    assert (unknown - whole).abs().min() > 1e-6
    two = speakers.clone()
    two[0, 1] = 1
    apart = pointer(latents, told, two)[0]
    assert (apart[0, 1] - whole[0, 1]).abs() > 1e-4
    torch.testing.assert_close(apart[0, 2], whole[0, 2])


def test_a_checkpoint_keeps_the_pointer(tiny_base, tmp_path) -> None:
    model = new_model(str(tiny_base), 1, True, "speaker", seed=1, space=SPACE)
    model.reader.reasoner.add_pointer(SPACE, seed=4)
    save_checkpoint(replace(model, causes=SPACE), tmp_path / "c")
    opened = load_checkpoint(tmp_path / "c")
    assert opened.causes is not None and opened.causes.labels == SPACE.labels
    wanted = model.reader.reasoner.pointer.state_dict()
    found = opened.reader.reasoner.pointer.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    again = new_model(str(tiny_base), 1, True, "speaker", seed=9, space=SPACE)
    again.reader.reasoner.add_pointer(SPACE, seed=4)
    same = again.reader.reasoner.pointer.state_dict()
    assert all(torch.equal(same[name], wanted[name]) for name in wanted)


def test_causes_of_a_space_that_is_not_there(tiny_base, tmp_path) -> None:
    model = new_model(str(tiny_base), 1, True, "speaker", seed=1, space=SPACE)
    save_checkpoint(model, tmp_path / "c")
    path = tmp_path / "c" / DESCRIPTION
    described = read_json(path, "description")
    assert described["causes"] is None
    write_json(path, sealed({**described, "causes": label_space("mikels8").name}))
    with pytest.raises(UsageError, match="causes names 'mikels8'"):
        load_checkpoint(tmp_path / "c")
