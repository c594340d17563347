"""`emosym generate`: paint pictures that evoke an emotion, with the model's reading of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.errors import UsageError
from emosym.files import write_atomic, write_text

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console
    from rich.table import Table

    from emosym.pipelines.emosym_pipeline import EmoSymPipeline
    from emosym.types import GenerationOutput

READINGS = "readings.jsonl"
SHEET = "sheet.png"


def generate(
    emotion: Annotated[str | None, typer.Argument(help="An emotion, such as awe.")] = None,
    mix: Annotated[str | None, typer.Option(help="Several instead of one: awe=.7,fear=.3.")] = None,
    valence: Annotated[
        float | None, typer.Option(help="1 unpleasant to 9 pleasant; with --arousal.")
    ] = None,
    arousal: Annotated[
        float | None, typer.Option(help="1 calm to 9 stirred up; with --valence.")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Paint in the mood of this picture.")] = None,
    prompt: Annotated[
        str, typer.Option(help='What to paint; the emotion goes to the braces: "a {} street".')
    ] = "{}",
    count: Annotated[int, typer.Option("-n", "--num-images", help="How many.")] = 8,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; default: paintings/<request>.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A shipped model or a checkpoint folder.")
    ] = "storybook",
    seed: Annotated[int, typer.Option(help="The same seed paints the same pictures.")] = 0,
    intensity: Annotated[float, typer.Option(help="0 neutral, 1 as learned, more beyond.")] = 1.0,
    guidance_scale: Annotated[float, typer.Option(help="1 or more: how strictly.")] = 3.0,
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 10,
    spread: Annotated[float, typer.Option(help="How much pictures may differ.")] = 1.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures painted at once.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Paint pictures; writes PNGs, readings.jsonl and sheet.png, a sheet to look at.

    Say what to paint by one of: EMOTION, --mix, --valence with --arousal, --like.
    """
    from rich.console import Console

    from emosym.apps.cli.outputs import check_output, make_parent
    from emosym.apps.cli.sheet import contact_sheet
    from emosym.apps.cli.terminal import counted, open_pipeline, progress_bar

    if emotion is not None and mix is not None:
        raise UsageError("Give an emotion or --mix, not both.")
    wanted = emotion if mix is None else parse_mix(mix)
    stem = file_stem(wanted or like or {"valence": valence or 0, "arousal": arousal or 0}, seed)
    folder = out or Path("paintings") / stem
    check_output(folder / SHEET)
    pipeline = open_pipeline(model, device)

    from emosym.pipelines.requests import paint_request

    request = paint_request(
        pipeline.space,
        wanted,
        valence=valence,
        arousal=arousal,
        like=like,
        prompt=prompt,
        intensity=intensity,
        num_images=count,
        guidance_scale=guidance_scale,
        num_inference_steps=steps,
        seed=seed,
        spread=spread,
    )
    painted = pipeline.paint(request, batch_size)
    make_parent(folder / SHEET)
    console = Console(highlight=False)
    if request.like is not None:
        warn_if_outside(console, pipeline, str(like), request.like)
    outputs: list[GenerationOutput] = []
    names: list[str] = []
    with progress_bar() as bar:
        for output in bar.track(painted, total=count, description="painting"):
            outputs.append(output)
            names.append(f"{stem}-{len(names):04d}.png")
            write_atomic(folder / names[-1], output.image.save)
    write_readings(folder / READINGS, names, outputs)
    write_atomic(folder / SHEET, contact_sheet(outputs, title_of(request.asked, prompt)).save)
    console.print(paintings_table(names, outputs))
    wrote = f"Wrote {counted(count, 'picture')}, {READINGS} and {SHEET} to {folder}."
    console.print(wrote, soft_wrap=True, markup=False)


def warn_if_outside(
    console: Console, pipeline: EmoSymPipeline, name: str, picture: Image.Image
) -> None:
    """Say so when the picture to be like is from no world that the model knows."""
    from emosym.apps.cli.understand import OUTSIDE

    if pipeline.understand(picture).outside:
        told = f"{name} is {OUTSIDE}: these paintings do not carry its mood."
        console.print(told, style="yellow", soft_wrap=True, markup=False)


def parse_mix(text: str) -> dict[str, float]:
    """Turn 'awe=.7,fear=.3' into {'awe': .7, 'fear': .3}.

    Raises:
        UsageError: when a part is not name=number, or a name comes twice.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        name = name.strip()
        if name in weights:
            raise UsageError(f"--mix {text!r} names {name!r} twice.")
        try:
            weights[name] = float(number)
        except ValueError:
            raise UsageError(f"--mix {text!r} must look like awe=.7,fear=.3.") from None
    return weights


def file_stem(wanted: str | Path | Mapping[str, float], seed: int) -> str:
    """Return a file name for a request: letters, digits, dots and dashes."""
    if isinstance(wanted, Path):
        text = f"like-{wanted.stem}"
    elif isinstance(wanted, str):
        text = wanted
    else:
        text = "-".join(f"{name}-{number:g}" for name, number in wanted.items())
    slug = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60] or "painting"
    return f"{slug}-seed{seed}"


def title_of(asked: Mapping[str, Any], prompt: str) -> str:
    """Return what was asked for, in a line."""
    parts = []
    for key, value in asked.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {number:g}" for name, number in value.items())
        if key == "like":
            value = Path(value).name
        if key != "weights":
            parts.append(str(value) if key == "emotion" else f"{key} {value}")
    return ", ".join([*parts, *([f"prompt: {prompt}"] if prompt != "{}" else [])])


def write_readings(path: Path, names: Sequence[str], outputs: Iterable[GenerationOutput]) -> None:
    """Write one JSON line per painting; lines of other paintings in the folder stay."""
    from emosym.pipelines.reading_rows import reading_row

    rows = [
        {"image": name, "seed": o.seed, "request": dict(o.request)}
        | {"reading": reading_row(name, o.reading)}
        for name, o in zip(names, outputs, strict=True)
    ]
    kept = [line for line in _old_lines(path) if json.loads(line)["image"] not in names]
    lines = [*kept, *(json.dumps(row, allow_nan=False) for row in rows)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _old_lines(path: Path) -> list[str]:
    """Return the lines of an earlier run that are whole and name an image."""
    if not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "image" in row:
            kept.append(line)
    return kept


def paintings_table(names: Sequence[str], outputs: Sequence[GenerationOutput]) -> Table:
    """Return what the model itself reads in its paintings."""
    from emosym.apps.cli.understand import readings_table

    rows = [(name, output.reading) for name, output in zip(names, outputs, strict=True)]
    return readings_table(rows)
