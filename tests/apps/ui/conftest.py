"""A page on a tiny model, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emosym.apps.ui.home import Home
from emosym.apps.ui.opening import opened
from emosym.service.wanted import Wanted


@pytest.fixture(scope="module")
def home(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("page")
    with opened(Wanted(model=str(tiny_checkpoint)), None, root / "bank", root / "runs") as found:
        yield found
