"""The whole page: its heading, its tabs, its look."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from emosym import __version__
from emosym.apps.ui import memory_tab, paint_tab, read_tab, runs_tab
from emosym.apps.ui.guards import TITLE
from emosym.apps.ui.home import Home
from emosym.emotions import LABEL_SPACES
from emosym.evaluation.report.palette import CYCLE, ROLES, css_name, places_of
from emosym.extras import require
from emosym.service.wanted import SHIPPED_MODEL

TEMPLATES = Path(__file__).parent / "templates"
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
# nothing of an upload is kept longer than an hour: seconds between looks, seconds of age
FORGET = (600, 3600)


def build_page(home: Home) -> Any:
    """Return the page as gradio's Blocks; nothing is served yet.

    Raises:
        EmoSymError: when gradio is not installed; names the command.
    """
    gr = require("gradio", "ui")
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=FORGET) as page:
        gr.HTML(heading(home), elem_id="heading")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Read", id="read"):
                read_tab.build(gr, home)
            with gr.Tab("Paint", id="paint"):
                paint_tab.build(gr, home)
            with gr.Tab("Memory", id="memory") as memory:
                memory_tab.build(gr, home, memory)
            with gr.Tab("Runs", id="runs") as runs:
                runs_tab.build(gr, home, runs)
    return page


def heading(home: Home) -> str:
    """Return the page's heading: which model, and what its readings are worth."""
    about = home.session.about()
    known = (
        "It knows the world it was trained on, and says so where a picture is from another one."
        if about.trained
        else "It was never trained on emotions: its confidence is not calibrated."
    )
    return (
        f"<header><h1>{TITLE}</h1><p>The model <b>{_name(home)}</b>, emosym {__version__}. "
        f"{known} Nobody's inner state is read: a picture evokes, people feel, and they "
        "differ.</p></header>"
    )


def _name(home: Home) -> str:
    wanted = home.wanted
    return escape(
        wanted.model or (home.session.about().name if wanted.zero_shot else SHIPPED_MODEL)
    )


def theme() -> Any:
    """Return the look of gradio's parts in the colours of the report, with the system's fonts."""
    gr = require("gradio", "ui")

    def pair(role: str, gradio: str) -> dict[str, str]:
        return {gradio: ROLES[role][0], f"{gradio}_dark": ROLES[role][1]}

    colours: dict[str, str] = {}
    for role, names in PARTS.items():
        for name in names:
            colours |= pair(role, name)
    return gr.themes.Base(font=FONT, font_mono=MONO, radius_size="md").set(**colours)


PARTS = {
    "paper": (
        "body_background_fill",
        "background_fill_secondary",
        "input_background_fill",
        "button_secondary_background_fill_hover",
    ),
    "card": (
        "block_background_fill",
        "background_fill_primary",
        "button_secondary_background_fill",
        "button_primary_text_color",
    ),
    "ink": (
        "body_text_color",
        "block_label_text_color",
        "block_title_text_color",
        "button_secondary_text_color",
    ),
    "muted": ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color"),
    "line": (
        "border_color_primary",
        "block_border_color",
        "input_border_color",
        "button_secondary_border_color",
        "checkbox_border_color",
    ),
    "accent": (
        "button_primary_background_fill",
        "button_primary_background_fill_hover",
        "slider_color",
        "checkbox_background_color_selected",
        "border_color_accent",
        "input_border_color_focus",
        "link_text_color",
    ),
}


def style(labels: tuple[str, ...]) -> str:
    """Return the page's style sheet, with the colours of the emotions in `labels`."""

    def both(dark: int) -> str:
        roles = "".join(f"--{name}:{pair[dark]};" for name, pair in ROLES.items())
        return roles + "".join(f"--k{place}:{pair[dark]};" for place, pair in enumerate(CYCLE))

    every = [label for space in LABEL_SPACES.values() for label in space.labels]
    places = {**places_of(every), **places_of(labels)}  # what reads words has labels of its own
    emotions = "".join(f"{css_name(k)}:var(--k{v});" for k, v in places.items())
    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f":root{{{both(0)}}}.dark{{{both(1)}}}body{{{emotions}}}\n{sheet}"
