"""`emosym data statements`: right and minimally wrong statements about a storybook's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def statements(
    root: Annotated[Path, typer.Argument(help="The storybook.")],
    split: Annotated[str, typer.Option(help="Whose pictures.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which statements.")] = 0,
) -> None:
    """Write ROOT/statements_SPLIT.json: eight statements a picture, half of them correct."""
    from rich.console import Console

    from emosym.data.sources.emoset import load_emoset
    from emosym.data.storybook.statements import statement_record
    from emosym.files import write_json

    dataset = load_emoset(root, split)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    records = [statement_record(dataset[place], seed) for place in range(count)]
    out = root / f"statements_{split}.json"
    write_json(out, records)
    told = sum(len(record["statement_list"]) for record in records)
    console = Console(highlight=False)
    console.print(f"Wrote {out} ({told:,} statements on {count:,} pictures, seed {seed}).",
                  soft_wrap=True, markup=False)  # fmt: skip
