"""The tab Paint: a mix, a place or a picture to be like in; paintings with their readings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emosym.apps.ui import paint_view
from emosym.apps.ui.drawing import MIDDLE, alert, plane, status
from emosym.apps.ui.home import Going, Home, acting, with_event
from emosym.apps.ui.painting import (
    LIKE,
    MIX,
    PLACE,
    Asked,
    Painted,
    kept,
    paint_asked,
    stopped_after,
)
from emosym.emotions import VAD_MAX, VAD_MIN, LabelSpace

MOST_STEPS = 100
START = {"awe": 70, "fear": 30}
EXAMPLE = "{} a city street in a starry night"
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
WORDS_JS = """let soon;
element.addEventListener('change', () => {
  clearTimeout(soon);  // of two choices at once the last one tells both
  soon = setTimeout(() => {
    const [first, second] = [...element.querySelectorAll('select')].map(one => one.value);
    trigger('chosen', {first, second});
  }, 100);
});"""
PLANE_JS = (Path(__file__).parent / "templates" / "plane.js").read_text(encoding="utf-8")


def build(gr: Any, home: Home) -> None:
    """Lay the tab out, and say what its buttons do."""
    space = home.session.space
    places = space.norms() is not None
    with gr.Row(elem_classes="halves"):
        with gr.Column(scale=2, min_width=300):
            hows = [MIX, *([PLACE] if places else []), LIKE]
            how = gr.Radio(hows, value=MIX, label="What to paint", elem_id="paint-how")
            mix_box, sliders = mix_inputs(gr, space)
            place_box, drawn, valence, arousal = place_inputs(gr, space)
            with gr.Column(visible=False) as like_box:
                like = gr.File(label="The picture to be like", file_count="single", height=140)
            prompt = prompt_inputs(gr, home)
            intensity, seed, steps, count, guidance = number_inputs(gr, home)
            with gr.Row():
                paint = gr.Button("Paint", variant="primary", elem_id="paint-go")
                stop = gr.Button("Stop", elem_id="paint-stop")
        with gr.Column(scale=3, min_width=300):
            said = gr.HTML(status(""), elem_id="paint-status")
            shown = acting(gr, value=paint_view.EMPTY, elem_id="paint-shown")
            with gr.Row():
                keep_all = gr.Button(
                    "Keep all in bank", size="sm", visible=home.may_keep, elem_id="paint-keep-all"
                )
                download = gr.DownloadButton(
                    "Download all", size="sm", interactive=False, elem_id="paint-download"
                )
    held, going = gr.State(None), gr.State(Going())

    def show_inputs(chosen: str) -> list[Any]:
        return [gr.Column(visible=chosen == name) for name in (MIX, PLACE, LIKE)]

    def move(event: Any) -> tuple[float, float, str]:
        place = _within(event.valence), _within(event.arousal)
        return *place, plane(space, place, clickable=True)

    def redraw(v: float, a: float) -> str:
        return plane(space, (v, a), clickable=True)

    def run(*values: Any) -> Iterator[tuple[str, str, Painted | None]]:
        shares = dict(zip(space.labels, values, strict=False))
        how, *others, going = values[len(shares) :]
        yield from paint_asked(home, Asked(how, shares, *others), going)

    def archive(painted: Painted | None) -> Any:
        if painted is None or not painted.made:
            return gr.DownloadButton(interactive=False)
        name = paint_view.archive_name(painted.request)
        return gr.DownloadButton(value=home.zipped(painted.folder, name), interactive=True)

    def keep_one(painted: Painted, event: Any) -> tuple[str, str, Painted]:
        return kept(home, painted, [int(event.place)])

    def keep_each(painted: Painted | None) -> tuple[str, str, Painted | None]:
        if painted is None:
            return alert("Paint something first."), paint_view.EMPTY, None
        return kept(home, painted, range(len(painted.made)))

    how.change(show_inputs, [how], [mix_box, place_box, like_box], **QUIET)
    drawn.placed(with_event(gr, move), None, [valence, arousal, drawn], **QUIET)
    for slider in (valence, arousal):
        # by hand or by keys; while it is dragged the last place is what counts
        slider.input(redraw, [valence, arousal], [drawn], trigger_mode="always_last", **QUIET)
    inputs = [*sliders, how, valence, arousal, like, prompt, intensity, seed, steps, count]
    outputs = [said, shown, held]
    painting = paint.click(run, [*inputs, guidance, going], outputs, **QUIET)
    painting.then(archive, [held], [download], **QUIET)
    stopped = stop.click(stopped_after, [held, going], [said], cancels=[painting], **QUIET)
    stopped.then(archive, [held], [download], **QUIET)
    shown.act(with_event(gr, keep_one), [held], outputs, **QUIET)
    keep_all.click(keep_each, [held], outputs, **QUIET)


def mix_inputs(gr: Any, space: LabelSpace) -> tuple[Any, list[Any]]:
    """Lay out a slider for each emotion; returns the box around them, and the sliders."""
    start = START if set(START) <= set(space.labels) else {space.labels[0]: 100}
    with gr.Column(visible=True, elem_classes="mix") as mix_box:
        sliders = [
            gr.Slider(
                0,
                100,
                value=start.get(label, 0),
                step=1,
                label=label,
                elem_id=f"mix-{place}",
                elem_classes=f"emotion k{place}",
                buttons=[],
            )
            for place, label in enumerate(space.labels)
        ]
    return mix_box, sliders


def place_inputs(gr: Any, space: LabelSpace) -> tuple[Any, Any, Any, Any]:
    """Lay out the plane with a slider for each axis; returns the box, the plane, both sliders."""
    middle = (MIDDLE, MIDDLE)
    with gr.Column(visible=False) as place_box:
        drawn = gr.HTML(
            plane(space, middle, clickable=True), js_on_load=PLANE_JS, elem_id="paint-plane"
        )
        with gr.Row():
            valence = gr.Slider(
                VAD_MIN,
                VAD_MAX,
                value=MIDDLE,
                step=0.1,
                label="pleasantness",
                elem_id="paint-valence",
                buttons=[],
            )
            arousal = gr.Slider(
                VAD_MIN,
                VAD_MAX,
                value=MIDDLE,
                step=0.1,
                label="excitement",
                elem_id="paint-arousal",
                buttons=[],
            )
    return place_box, drawn, valence, arousal


def prompt_inputs(gr: Any, home: Home) -> Any:
    """Lay out the prompt, and what writes it where the painter knows few words; returns it."""
    usual = home.session.usual()
    known = {"a place": usual.places, "a light": usual.lights}
    with gr.Column(elem_classes="words"):
        chosen = gr.HTML(
            choices(known), js_on_load=WORDS_JS, visible=all(known.values()), elem_id="paint-words"
        )
        prompt = gr.Textbox(
            "{}",
            label="Prompt",
            info=f"The emotion goes to the braces: {EXAMPLE}",
            max_length=1000,
            elem_id="paint-prompt",
        )

    def write(event: Any) -> str:
        return worded([str(event.first), str(event.second)])

    chosen.chosen(with_event(gr, write), None, [prompt], trigger_mode="always_last", **QUIET)
    return prompt


def choices(known: Mapping[str, Sequence[str]]) -> str:
    """Return a list to choose from for each kind of word, with none of them chosen."""
    drawn = []
    for label, words in known.items():
        listed = "".join(f'<option value="{word}">{word}</option>' for word in words)
        any_of = '<option value="">any</option>'
        drawn.append(f"<label>{label}<select>{any_of}{listed}</select></label>")
    return f'<div class="choices">{"".join(drawn)}</div>'


def worded(words: Sequence[str]) -> str:
    """Return the prompt of a place and a light, of which either may be empty."""
    return " ".join(filter(None, ("{}", *words)))


def number_inputs(gr: Any, home: Home) -> tuple[Any, Any, Any, Any, Any]:
    """Lay out what is asked for in numbers; returns intensity, seed, steps, count, guidance."""
    usual = home.session.usual()
    with gr.Row(elem_classes="numbers"):
        intensity = gr.Slider(0, 3, value=1, step=0.1, label="intensity", buttons=[])
        count = gr.Slider(
            1, 16, value=4, step=1, label="how many", elem_id="paint-count", buttons=[]
        )
        steps = gr.Slider(
            1,
            MOST_STEPS,
            value=usual.num_inference_steps,
            step=1,
            label="steps",
            elem_id="paint-steps",
            buttons=[],
        )
        guidance = gr.Slider(
            1, 15, value=usual.guidance_scale, step=0.5, label="strictness", buttons=[]
        )
        seed = gr.Number(0, label="seed", precision=0, minimum=0, elem_id="paint-seed")
    return intensity, seed, steps, count, guidance


def _within(value: Any) -> float:
    """Return a number of the browser as a place of the plane's axis."""
    return round(min(max(float(value), VAD_MIN), VAD_MAX), 1)
