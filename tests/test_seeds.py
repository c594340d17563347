"""Named streams: the same everywhere, and none is another's."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from emosym.seeds import numpy_rng, stream_seed, torch_rng


def test_a_seed_is_a_fixed_number_on_every_machine() -> None:
    # first eight bytes of sha256("0:train:3"), without their lowest bit
    import hashlib

    wanted = int(hashlib.sha256(b"0:train:3").hexdigest()[:16], 16) // 2
    assert stream_seed(0, "train", 3) == wanted
    assert 0 <= wanted < 2**63


def test_seeds_streams_and_indices_are_all_told_apart() -> None:
    seeds = [
        stream_seed(seed, name, *rest)
        for seed, name, rest in itertools.product(
            (0, 1, 11), ("a", "b", "a:1"), ((), (0,), (1,), (1, 0), (10,))
        )
    ]
    # a colon in a name is the one way to collide: "a:1" is ("a", 1)
    assert len(set(seeds)) == len(seeds) - 3 * 2


def test_generators_follow_their_stream() -> None:
    assert numpy_rng(3, "x", 1).random() == numpy_rng(3, "x", 1).random()
    assert numpy_rng(3, "x", 1).random() != numpy_rng(3, "x", 2).random()
    one, two = (torch.rand(4, generator=torch_rng(3, "x")) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, torch.rand(4, generator=torch_rng(3, "y")))


def test_the_global_streams_are_untouched() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(2)
    torch.manual_seed(0)
    torch_rng(1, "x")
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    numpy_rng(1, "x").random()
    assert torch.equal(torch.rand(2), wanted)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]
