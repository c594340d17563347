"""Options of every verb that opens a data set."""

from __future__ import annotations

from typing import Annotated

import typer

SourceName = Annotated[str, typer.Option(help="emoset, storybook, folder, fi, oasis, ldl or hub.")]
ImageColumn = Annotated[str | None, typer.Option(help="hub: the column of pictures.")]
LabelColumn = Annotated[str | None, typer.Option(help="hub: the column of emotions.")]
Config = Annotated[str | None, typer.Option(help="hub: the configuration, where it has several.")]
Download = Annotated[bool, typer.Option("--download", help="hub: may fetch what is not here yet.")]
