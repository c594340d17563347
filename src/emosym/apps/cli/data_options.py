"""Options of every verb that opens a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOURCE_NAMES = (
    "storybook, emoset, folder, fi, oasis, ldl, hub, meld, ecf, reccon, emorynlp, mosei, "
    "goemotions, emobench, open-words, statements, expressions, storybook-dialogues or amt"
)
HeldOut = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Of conversations: a list of hashes, or a data set, whose test none may hold.",
    ),
]
SourceName = Annotated[str, typer.Option(help=f"{SOURCE_NAMES}.")]
SpaceName = Annotated[
    str | None, typer.Option("--space", help="Label space to answer in; unset: the data's own.")
]
ImageColumn = Annotated[str | None, typer.Option(help="hub: the column of pictures.")]
LabelColumn = Annotated[str | None, typer.Option(help="hub: the column of emotions.")]
Config = Annotated[str | None, typer.Option(help="hub: the configuration, where it has several.")]
Download = Annotated[bool, typer.Option("--download", help="hub: may fetch what is not here yet.")]
