"""`emosym generate`: paint pictures that evoke an emotion, with the model's reading of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.zero_shot import Labels, PainterName, Preset, ZeroShot, wanted_model
from emosym.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console

    from emosym.pipelines.requests import PaintArguments, PaintRequest
    from emosym.service.gallery import Gallery, Painting
    from emosym.service.session import Session
    from emosym.service.wanted import Wanted

MOST_COMPARED = 64


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
    count: Annotated[
        int | None,
        typer.Option("-n", "--num-images", help="How many: 8, of several requests 1 each."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; default: paintings/<request>.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A checkpoint folder; default: the shipped storybook."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed paints the same pictures; default 0.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Several: 1,2,3, beside each other.")] = None,
    index: Annotated[
        int | None, typer.Option(min=0, help="Paint only this picture of the seed's.")
    ] = None,
    intensity: Annotated[
        str, typer.Option(help="0 neutral, 1 as learned, more beyond; several: 1,1.5,2.")
    ] = "1",
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

    Say what to paint by one of: EMOTION, --mix, --valence with --arousal, --like. A stopped run
    goes on where it was: give the same command again.
    """
    from emosym.apps.cli.terminal import open_shown
    from emosym.service.gallery import SHEET
    from emosym.service.sinks import check_output

    wanted = wanted_model(model, device, zero_shot, preset, labels, painter=painter)
    asked = one_wish(emotion, mix)
    variants = parse_variants(intensity, seed, seeds)
    if out is not None:
        check_output(out / SHEET)
    common: PaintArguments = {
        "valence": valence,
        "arousal": arousal,
        "like": like,
        "prompt": prompt,
        "num_images": how_many(count, index, variants),
        "guidance_scale": guidance_scale,
        "num_inference_steps": steps,
        "spread": spread,
    }
    session = open_shown(wanted)
    requests = requests_of(session, asked, common, variants)
    session.pipeline.require("painter")
    paint_requests(session, requests, Plan(wanted, out, index, batch_size))


def requests_of(
    session: Session,
    asked: str | dict[str, float] | None,
    common: PaintArguments,
    variants: Sequence[tuple[float, int]],
) -> list[PaintRequest]:
    """Return a checked request for every (intensity, seed); errors as in `Session.request`."""
    requests = []
    for strength, seed in variants:
        arguments: PaintArguments = {**common, "intensity": strength, "seed": seed}
        requests.append(session.request(asked, **arguments))
    return requests


def how_many(count: int | None, index: int | None, variants: Sequence[object]) -> int:
    """Return how many pictures each request has: 8 of one request, 1 of several.

    Raises:
        UsageError: when one picture is named and a number given as well.
    """
    if index is not None and count is not None:
        raise UsageError("--index paints one picture: drop -n.")
    usual = 8 if len(variants) == 1 else 1
    return usual if count is None else count


def one_wish(emotion: str | None, mix: str | None) -> str | dict[str, float] | None:
    """Return the emotion or the mix; errors as in `parse_mix`, and where both are given."""
    if emotion is not None and mix is not None:
        raise UsageError("Give an emotion or --mix, not both.")
    return emotion if mix is None else parse_mix(mix)


def parse_variants(intensity: str, seed: int | None, seeds: str | None) -> list[tuple[float, int]]:
    """Return every (intensity, seed) that is asked for, in the order of the sheet.

    Raises:
        UsageError: for a seed given twice, what is no number, or more than fit on a sheet.
    """
    if seed is not None and seeds is not None:
        raise UsageError("Give --seed or --seeds, not both.")
    strengths = parse_numbers("--intensity", intensity)
    drawn = [seed or 0] if seeds is None else [int(x) for x in parse_numbers("--seeds", seeds, int)]
    if len(strengths) * len(drawn) > MOST_COMPARED:
        raise UsageError(f"At most {MOST_COMPARED} requests fit on a sheet to compare.")
    return [(strength, number) for strength in strengths for number in drawn]


@dataclass(frozen=True, slots=True)
class Plan:
    """How requests are painted: by which model, where to, and which picture alone, if any."""

    model: Wanted
    out: Path | None
    index: int | None
    batch_size: int | None


def paint_requests(session: Session, requests: Sequence[PaintRequest], plan: Plan) -> None:
    """Paint requests into one folder, each picture safe as soon as it is there; show them."""
    from rich.console import Console

    from emosym.apps.cli.terminal import counted, progress_bar
    from emosym.service.gallery import READINGS, SHEET, Gallery, stem_of, write_sheet
    from emosym.service.sinks import check_output, make_parent

    identity = plan.model.identity()
    stems = [stem_of(request, identity) for request in requests]
    folder = plan.out or Path("paintings") / stems[0]
    check_output(folder / SHEET)
    make_parent(folder / SHEET)
    console = Console(highlight=False)
    first = requests[0]
    if first.like is not None:
        warn_if_outside(console, session, str(first.asked["like"]), first.like)
    tell_prompt(console, first, session.about().trained)
    gallery, there = Gallery(folder), 0
    made: list[list[Painting]] = []
    wanted = range(first.num_images) if plan.index is None else range(plan.index, plan.index + 1)
    total, done = len(wanted) * len(requests), 0
    try:
        with progress_bar() as bar:
            task = bar.add_task("painting", total=total)
            for request, stem in zip(requests, stems, strict=True):
                made.append([])
                for painting, is_new in painted(session, request, gallery, stem, wanted, plan):
                    made[-1].append(painting)
                    there += not is_new
                    done += 1
                    bar.advance(task)
    finally:
        if 0 < done < total:
            told = f"{done} of {total} are kept in {folder}: the same command goes on."
            typer.echo(told, err=True)
    sheet = write_sheet(folder, requests, stems, made)
    paintings = [painting for many in made for painting in many]
    show_paintings(console, paintings)
    old = f" ({there} were there already)" if there else ""
    wrote = f"Wrote {counted(total, 'picture')}{old}, {READINGS} and {sheet} to {folder}."
    console.print(wrote, soft_wrap=True, markup=False)
    tell_zero_shot(console, session)


def painted(
    session: Session,
    request: PaintRequest,
    gallery: Gallery,
    stem: str,
    wanted: range,
    plan: Plan,
) -> Iterator[tuple[Painting, bool]]:
    """Yield the wanted pictures in order, and whether each is new: what is there stays."""
    from emosym.service.gallery import repaint_arguments

    names = {index: f"{stem}-{index:04d}.png" for index in wanted}
    held = {index: gallery.find(name) for index, name in names.items()}
    first = wanted.start
    while first < wanted.stop:
        painting = held[first]
        if painting is not None:
            yield painting, False
            first += 1
            continue
        last = next((i for i in range(first, wanted.stop) if held[i] is not None), wanted.stop)
        missing = range(first, last)
        for index, output in zip(
            missing, session.paint(request, plan.batch_size, missing), strict=True
        ):
            repaint = repaint_arguments(request, index, plan.model.arguments())
            yield gallery.keep(names[index], output, repaint), True
        first = last


def show_paintings(console: Console, paintings: Sequence[Painting]) -> None:
    """Print what the model reads in its paintings, and which were withheld."""
    from emosym.apps.cli.readings import SHOWN, readings_table
    from emosym.apps.cli.terminal import counted

    rows = [painting.reading for painting in paintings]
    read = [row for row in rows if row is not None]
    if read:
        console.print(readings_table(read[:SHOWN]))
    withheld = sum(painting.withheld for painting in paintings)
    if withheld:
        told = f"{counted(withheld, 'picture')} withheld by the safety checker: left black."
        console.print(told, style="yellow", soft_wrap=True, markup=False)


def tell_prompt(console: Console, request: PaintRequest, trained: bool) -> None:
    """Say where the emotion went in a prompt that has no place for it."""
    if "{}" in request.prompt:
        return
    shown = " ".join(request.prompt.split())[:60]
    told = (
        f'The prompt has no {{}}, so the emotion was put before it, as in "{{}} {shown}".'
        if trained
        else f'The prompt has no {{}}, so "{shown}" was put behind the emotion.'
    )
    console.print(told, style="dim", soft_wrap=True, markup=False)


def tell_zero_shot(console: Console, session: Session) -> None:
    """Say of zero-shot paintings how they came, and why nobody read them where nobody did."""
    about = session.about()
    if about.trained:
        return
    reason = session.pipeline.why_not("reader")
    read = "the readings are not calibrated." if reason is None else f"not read: {reason}"
    told = f"Zero-shot by {about.name}, from words alone; {read}"
    console.print(told, style="dim", soft_wrap=True, markup=False)


def warn_if_outside(console: Console, session: Session, name: str, picture: Image.Image) -> None:
    """Say so when the picture to be like is from no world that the model knows."""
    from emosym.service.rows import OUTSIDE

    if session.about().trained and session.understand(picture).outside:
        told = f"{name} is {OUTSIDE}: these paintings do not carry its mood."
        console.print(told, style="yellow", soft_wrap=True, markup=False)


def parse_numbers(option: str, text: str, kind: type[int] | type[float] = float) -> list[float]:
    """Turn '1,1.5,2' into its numbers, each once.

    Raises:
        UsageError: when a part is no such number.
    """
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError:
        example = "1,2,3" if kind is int else "1,1.5,2"
        raise UsageError(
            f"{option} is a number, or several such as {example}; got {text!r}."
        ) from None
    return list(dict.fromkeys(numbers))


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
