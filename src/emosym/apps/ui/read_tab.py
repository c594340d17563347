"""The tab Read: pictures, a sentence or a dialogue in; readings, and the shell's rows, out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emosym.apps.ui import read_view
from emosym.apps.ui.drawing import status
from emosym.apps.ui.home import Going, Home, acting, with_event
from emosym.apps.ui.read_view import PHOTOGRAPHS, Results
from emosym.apps.ui.reading import (
    EMPTY,
    HOW_DIALOGUE,
    LONGEST_TEXT,
    Update,
    dialogue_read,
    read_once,
    read_photographs,
    read_pictures,
    sentence_read,
    stopped_after,
)

EMOTIONS = "Emotions, by the model of this page"


def build(gr: Any, home: Home) -> None:
    """Lay the tab out, and say what its buttons do."""
    with gr.Row(elem_classes="halves"):
        with gr.Column(scale=2, min_width=300):
            pictured, (words, read_words), (talk, read_talk) = what_to_read(gr)
            files, kind, explain, read = pictured
            said = gr.HTML(status(""), elem_id="read-status")
            with gr.Row():
                stop = gr.Button("Stop", size="sm", min_width=80, elem_id="read-stop")
                as_csv = gr.DownloadButton(
                    "Save as CSV", size="sm", min_width=80, interactive=False, elem_id="read-csv"
                )
                as_json = gr.DownloadButton(
                    "Save as JSON", size="sm", min_width=80, interactive=False, elem_id="read-json"
                )
        with gr.Column(scale=3, min_width=300):
            one = gr.HTML(EMPTY, elem_id="read-one")
            many = acting(gr, value="", elem_id="read-many")
    held, going = gr.State(None), gr.State(Going())
    shown = [said, one, many, held]
    downloads = [as_csv, as_json]

    def pictures(paths: list[str] | None, kind: str, why: bool, going: Going) -> Iterator[Update]:
        if kind == PHOTOGRAPHS:
            yield from read_photographs(home, paths or [], going)
        else:
            yield from read_pictures(home, paths or [], why, going)

    def sentence(text: str) -> Iterator[Update]:
        yield from read_once(lambda: sentence_read(home, text))

    def conversation(text: str) -> Iterator[Update]:
        yield from read_once(lambda: dialogue_read(home, text))

    def files_of(results: Results | None) -> list[Any]:
        if results is None:
            return [gr.DownloadButton(interactive=False)] * 2
        paths = home.rows_files([one.row for one in results.readings], results.space)
        return [gr.DownloadButton(value=path, interactive=True) for path in paths]

    def choose(results: Results, event: Any) -> tuple[str, str]:
        place = min(max(int(event.place), 0), len(results.readings) - 1)
        chosen = read_view.card(results.readings[place], results.space, results.below)
        return chosen, read_view.table(results.readings, place)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    events = []
    for button, function, inputs in (
        (read, pictures, [files, kind, explain, going]),
        (read_words, sentence, [words]),
        (read_talk, conversation, [talk]),
    ):
        event = button.click(function, inputs, shown, **quiet)
        event.then(files_of, [held], downloads, **quiet)
        events.append(event)
    stopped = stop.click(stopped_after, [held, going], [said], cancels=events, **quiet)
    stopped.then(files_of, [held], downloads, **quiet)
    many.act(with_event(gr, choose), [held], [one, many], **quiet)


def what_to_read(gr: Any) -> tuple[tuple[Any, Any, Any, Any], tuple[Any, Any], tuple[Any, Any]]:
    """Lay out what can be read; returns the parts for pictures, a sentence and a dialogue."""
    with gr.Tabs():
        with gr.Tab("Pictures"):
            files = gr.File(
                label="Pictures: drop one or many",
                file_count="multiple",
                height=170,
                elem_id="read-files",
            )
            kind = gr.Radio(
                [EMOTIONS, PHOTOGRAPHS], value=EMOTIONS, label="What to read", elem_id="read-kind"
            )
            explain = gr.Checkbox(label="Say why, in words", value=True)
            read = gr.Button("Read", variant="primary", elem_id="read-go")
        with gr.Tab("A sentence"):
            words = gr.Textbox(
                label="What does its speaker feel?",
                lines=3,
                max_length=LONGEST_TEXT,
                placeholder="You came back!",
                elem_id="read-text",
            )
            read_words = gr.Button("Read", variant="primary", elem_id="read-text-go")
        with gr.Tab("A dialogue"):
            talk = gr.Textbox(
                label="A dialogue",
                info=HOW_DIALOGUE,
                lines=6,
                max_length=LONGEST_TEXT,
                placeholder="Ann: Where is my ring?\nBo: I sold it.",
                elem_id="read-talk",
            )
            read_talk = gr.Button("Read", variant="primary", elem_id="read-talk-go")
    return (files, kind, explain, read), (words, read_words), (talk, read_talk)
