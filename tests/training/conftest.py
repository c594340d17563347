"""Pictures on disk, as the stages read them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_storybook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storybook of 48 training, 16 validation and 8 test pictures of 64 px."""
    from emosym.data.storybook import write_storybook

    root = tmp_path_factory.mktemp("tiny-storybook") / "data"
    write_storybook(root, {"train": 48, "val": 16, "test": 8}, size=64, seed=3, workers=1)
    return root
