"""`emosym generate`: paint pictures that evoke an emotion, with the model's reading of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.zero_shot import (
    SHIPPED_MODEL,
    Labels,
    PainterName,
    Preset,
    ZeroShot,
    check_zero_shot,
)
from emosym.errors import UsageError
from emosym.files import write_atomic, write_text

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console
    from rich.table import Table

    from emosym.pipelines.requests import PaintRequest
    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.pipelines.zero_shot import ZeroShotPipeline
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
        str | None,
        typer.Option("--model", "-m", help="A checkpoint folder; default: the shipped storybook."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed paints the same pictures.")] = 0,
    intensity: Annotated[float, typer.Option(help="0 neutral, 1 as learned, more beyond.")] = 1.0,
    guidance_scale: Annotated[
        float | None, typer.Option(help="1 or more: how strictly. 3, zero-shot 7.5.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the sampler: 10, zero-shot 30.")
    ] = None,
    spread: Annotated[float, typer.Option(help="How much pictures may differ.")] = 1.0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures painted at once: 16, zero-shot 4.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    zero_shot: ZeroShot = False,
    preset: Preset = None,
    painter: PainterName = None,
    labels: Labels = None,
) -> None:
    """Paint pictures; writes PNGs, readings.jsonl and sheet.png, a sheet to look at.

    Say what to paint by one of: EMOTION, --mix, --valence with --arousal, --like.
    """
    from emosym.apps.cli.outputs import check_output
    from emosym.apps.cli.terminal import open_pipeline
    from emosym.apps.cli.zero_shot import open_zero_shot

    check_zero_shot(zero_shot, model, preset=preset, painter=painter, labels=labels)
    if emotion is not None and mix is not None:
        raise UsageError("Give an emotion or --mix, not both.")
    wanted = emotion if mix is None else parse_mix(mix)
    stem = file_stem(wanted or like or {"valence": valence or 0, "arousal": arousal or 0}, seed)
    folder = out or Path("paintings") / stem
    check_output(folder / SHEET)
    pipeline = (
        open_zero_shot(preset, device, labels, painter=painter)
        if zero_shot
        else open_pipeline(model or SHIPPED_MODEL, device)
    )
    from emosym.pipelines.requests import paint_request

    usual = usual_settings(pipeline)
    request = paint_request(
        pipeline.space,
        wanted,
        valence=valence,
        arousal=arousal,
        like=like,
        prompt=prompt,
        intensity=intensity,
        num_images=count,
        guidance_scale=usual.guidance_scale if guidance_scale is None else guidance_scale,
        num_inference_steps=usual.steps if steps is None else steps,
        seed=seed,
        spread=spread,
    )
    painted = pipeline.paint(request, batch_size or usual.batch_size)
    write_paintings(pipeline, painted, request, folder, stem)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a request leaves open."""

    guidance_scale: float
    steps: int
    batch_size: int


def usual_settings(pipeline: EmoSymPipeline | ZeroShotPipeline) -> Usual:
    """Return a painter's usual settings; errors as in `ZeroShotPipeline.require`."""
    from emosym.pipelines.zero_shot import PAINT_BATCH_SIZE, ZeroShotPipeline

    if isinstance(pipeline, ZeroShotPipeline):
        return Usual(*pipeline.painting_defaults(), PAINT_BATCH_SIZE)
    return Usual(3.0, 10, 16)


def write_paintings(
    pipeline: EmoSymPipeline | ZeroShotPipeline,
    painted: Iterable[GenerationOutput],
    request: PaintRequest,
    folder: Path,
    stem: str,
) -> None:
    """Write pictures as they are painted, then their readings and the sheet; say what there is."""
    from rich.console import Console

    from emosym.apps.cli.outputs import make_parent
    from emosym.apps.cli.sheet import contact_sheet
    from emosym.apps.cli.terminal import counted, progress_bar

    make_parent(folder / SHEET)
    console = Console(highlight=False)
    if request.like is not None:
        warn_if_outside(console, pipeline, str(request.asked["like"]), request.like)
    outputs: list[GenerationOutput] = []
    names: list[str] = []
    count = request.num_images
    with progress_bar() as bar:
        for output in bar.track(painted, total=count, description="painting"):
            outputs.append(output)
            names.append(f"{stem}-{len(names):04d}.png")
            write_atomic(folder / names[-1], output.image.save)
    write_readings(folder / READINGS, names, outputs)
    title = title_of(request.asked, request.prompt)
    write_atomic(folder / SHEET, contact_sheet(outputs, title).save)
    if any(output.reading is not None for output in outputs):
        console.print(paintings_table(names, outputs))
    withheld = sum(output.withheld for output in outputs)
    if withheld:
        told = f"{counted(withheld, 'picture')} withheld by the safety checker: left black."
        console.print(told, style="yellow", soft_wrap=True, markup=False)
    wrote = f"Wrote {counted(count, 'picture')}, {READINGS} and {SHEET} to {folder}."
    console.print(wrote, soft_wrap=True, markup=False)
    tell_zero_shot(console, pipeline)


def tell_zero_shot(console: Console, pipeline: EmoSymPipeline | ZeroShotPipeline) -> None:
    """Say of zero-shot paintings how they came, and why nobody read them where nobody did."""
    from emosym.pipelines.zero_shot import ZeroShotPipeline

    if not isinstance(pipeline, ZeroShotPipeline):
        return
    reason = pipeline.why_not("reader")
    read = "the readings are not calibrated." if reason is None else f"not read: {reason}"
    told = f"Zero-shot by {pipeline.base.name}, from words alone; {read}"
    console.print(told, style="dim", soft_wrap=True, markup=False)


def warn_if_outside(
    console: Console,
    pipeline: EmoSymPipeline | ZeroShotPipeline,
    name: str,
    picture: Image.Image,
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
        {"image": name, "seed": o.seed, "request": dict(o.request), "withheld": o.withheld}
        | {"reading": None if o.reading is None else reading_row(name, o.reading)}
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
    """Return what the model itself reads in its paintings; those not read are left out."""
    from emosym.apps.cli.understand import readings_table

    rows = [(n, o.reading) for n, o in zip(names, outputs, strict=True) if o.reading is not None]
    return readings_table(rows)
