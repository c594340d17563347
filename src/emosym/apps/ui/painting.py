"""What the tab Paint does: a request from its inputs, paintings one by one, into the bank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emosym.apps.ui import paint_view
from emosym.apps.ui.drawing import alert, notice, status
from emosym.apps.ui.home import Going, Home, Stopped, told
from emosym.apps.ui.paint_view import Made, made_of
from emosym.errors import UsageError
from emosym.service.gallery import Gallery, repaint_arguments, stem_of

if TYPE_CHECKING:
    from emosym.pipelines.requests import PaintArguments, PaintRequest

MIX, PLACE, LIKE = "A mix of emotions", "A place on the plane", "Like a picture"
PAINTED_AT_ONCE = 4
MOST_PICTURES = 64
OUTSIDE_LIKE = (
    "The picture is outside what this preset has seen: these paintings do not carry its mood."
)


@dataclass(frozen=True, slots=True)
class Painted:
    """What the page holds of what was painted: the request, its folder, the paintings so far."""

    request: PaintRequest
    folder: Path
    made: tuple[Made, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the tab's inputs say."""

    how: str
    mix: Mapping[str, float]
    valence: float
    arousal: float
    like: str | None
    prompt: str
    intensity: float
    seed: float | None
    steps: float
    count: float
    guidance: float


def stopped_after(painted: Painted | None, going: Going) -> str:
    """Stop painting before its next step; returns what is said then."""
    going.stop()
    return status(f"Stopped; {0 if painted is None else len(painted.made)} painted.")


def request_of(home: Home, asked: Asked) -> PaintRequest:
    """Return what the inputs ask for, checked; errors as in `Session.request`."""
    if not 1 <= asked.count <= MOST_PICTURES:
        raise UsageError(f"Paint 1 to {MOST_PICTURES} pictures at a time, not {asked.count:g}.")
    common: PaintArguments = {
        "prompt": asked.prompt or "{}",
        "intensity": asked.intensity,
        "num_images": int(asked.count),
        "num_inference_steps": int(asked.steps),
        "guidance_scale": asked.guidance,
        "seed": int(asked.seed or 0),
    }
    if asked.how == LIKE:
        if asked.like is None:
            raise UsageError("Give the picture that the paintings should be like.")
        common["like"] = Path(asked.like)
        return home.session.request(None, **common)
    if asked.how == PLACE:
        common["valence"], common["arousal"] = asked.valence, asked.arousal
        return home.session.request(None, **common)
    shares = {label: share / 100 for label, share in asked.mix.items() if share}
    if not shares:
        raise UsageError("Every emotion is at 0: move at least one slider up.")
    one = next(iter(shares)) if len(shares) == 1 else None
    return home.session.request(one or shares, **common)


def paint_asked(
    home: Home, asked: Asked, going: Going
) -> Iterator[tuple[str, str, Painted | None]]:
    """Paint what is asked for; yields what the page shows, after each painting."""
    say: list[str] = []
    go_on = going.begin()
    yield status("Painting", None, int(asked.count)), paint_view.EMPTY, None
    with told(say), suppress(Stopped):  # who stops it says so
        request = request_of(home, asked)
        painted = Painted(request, home.new_folder())
        gallery, total = Gallery(painted.folder), request.num_images
        stem = stem_of(request, home.wanted.identity())
        outside = is_outside(home, request)
        outputs = home.session.paint(request, PAINTED_AT_ONCE, before_step=go_on)
        for index, output in enumerate(outputs):
            command = repaint_arguments(request, index, home.wanted.arguments())
            painting = gallery.keep(f"{stem}-{index:04d}.png", output, command)
            painted = replace(painted, made=(*painted.made, made_of(painting, output)))
            line = status(f"Painting: {index + 1} of {total}", index + 1, total)
            if index + 1 < total:
                yield line, paint_view.cards(painted.made), painted
        done = f"{total} painted: {paint_view.asked_for(request)}."
        yield (
            notice(OUTSIDE_LIKE) if outside else status(done),
            paint_view.cards(painted.made),
            painted,
        )
    if say:
        yield alert(say[0]), paint_view.EMPTY, None


def is_outside(home: Home, request: PaintRequest) -> bool:
    """Return whether a request is to be like a picture from no world that the model knows."""
    like, trained = request.like, home.session.about().trained
    return like is not None and trained and bool(home.session.understand(like).outside)


def kept(home: Home, painted: Painted, places: Sequence[int]) -> tuple[str, str, Painted]:
    """Keep paintings in the bank; returns what the page says and shows then."""
    from emosym.memory.bank import Bank
    from emosym.memory.painted import made_now, painted_entry
    from emosym.memory.places import open_bank

    say: list[str] = []
    made = list(painted.made)
    with told(say):
        home.require_keeping()
        request = painted.request
        if home.bank.exists():
            bank = open_bank(home.bank)
        else:
            bank = Bank.open(home.bank, create=True, space=home.session.space)
        made_by = made_now(
            run="page",
            round=0,
            checkpoint=home.wanted.identity(),
            seed=request.seed,
            guidance_scale=request.guidance_scale,
            prompt=request.prompt,
            steps=request.num_inference_steps,
        )
        wanted = [k for k in places if 0 <= k < len(made) and not made[k].kept]
        read = [(k, made[k].output, made[k].output.reading) for k in wanted]
        entries = {
            k: painted_entry(output, reading, intent_of(home, request), made_by, bank.space)
            for k, output, reading in read
            if reading is not None and not output.withheld
        }
        report = bank.add(list(entries.values()))
        for k, entry in entries.items():
            made[k] = replace(made[k], kept=entry.id)
        count = len(report.admitted)
        twice = len(entries) - count
        line = f"{count} kept in the bank" + (f", {twice} already there" if twice else "")
        after = replace(painted, made=tuple(made))
        return status(f"{line}."), paint_view.cards(after.made), after
    return alert(say[0]), paint_view.cards(made), painted


def intent_of(home: Home, request: PaintRequest) -> Mapping[str, float]:
    """Return the emotions that a request asked for; of a picture to be like, those read in it."""
    if request.weights is not None:
        return dict(zip(home.session.space.labels, request.weights, strict=True))
    assert request.like is not None  # a request has one or the other
    return home.session.understand(request.like).probabilities
