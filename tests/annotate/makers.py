"""Pictures on disk that a server can tell apart, and short ways to annotate them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from emosym.annotate.pace import Pace
from emosym.annotate.protocol import Service
from emosym.annotate.run import Plan, Tally, fill
from emosym.annotate.server import open_asker
from emosym.annotate.writers import server_writer
from emosym.types import Sample, picture_sample

PROMPT = "What can be seen?"
QUICK = (0.001, 0.01)


def picture(folder: Path, number: int, green: int = 0) -> Sample:
    """A sample whose picture's red is its number."""
    path = folder / f"p{number:03d}.png"
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, green, 0)).save(path)
    return picture_sample(id=path.stem, image=path, label="awe", attributes={"scene": "beach"})


def pictures(folder: Path, count: int) -> list[Sample]:
    return [picture(folder, number) for number in range(count)]


def server_plan(
    url: str,
    concurrency: int = 2,
    pace: Pace | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    prompt: str = PROMPT,
    plan: dict[str, Any] | None = None,
    **service: Any,
) -> Plan:
    """A plan for a server, with short waits."""
    stop = threading.Event()
    told: dict[str, Any] = {"model": "toy", "back_off": QUICK, "timeout": 5.0, **service}
    ask = open_asker(
        Service(f"{url}/v1", **{"retries": 3, **told}), pace or Pace(None, None), say, stop
    )
    writer = server_writer(ask, concurrency, stop)
    return Plan("server", told["model"], writer, lambda sample: prompt, **(plan or {}))


def annotate(out: Path, samples: Sequence[Sample], url: str, **options: Any) -> Tally:
    """Fill `out` from a server."""
    return fill(out, samples, server_plan(url, **options))
