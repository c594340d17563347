"""The tab Memory: the bank by emotion, round, score and provenance; export and prune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.apps.ui import memory_view
from emosym.apps.ui.drawing import alert, status
from emosym.apps.ui.home import Home, acting, told, with_event
from emosym.errors import UsageError
from emosym.memory.policies import EVICTION

if TYPE_CHECKING:
    from emosym.memory.bank import Bank
    from emosym.memory.schema import BankEntry

ALL = "all"
PAGE = 24
NEAREST = 6
ORDERS = {  # what is shown first: a column, and whether its largest values come first
    "newest": ("created", True),
    "oldest": ("created", False),
    "surest": ("confidence", True),
    "least sure": ("confidence", False),
    "as meant": ("agreement", True),
    "not as meant": ("agreement", False),
    "most informative": ("informativeness", True),
}
NOTHING = "No bank is at {} yet. Paint something and keep it, or open the page with --bank FOLDER."


@dataclass(frozen=True, slots=True)
class Wish:
    """Which entries are looked for, in which order, and which page of them."""

    emotion: str = ALL
    round: str = ALL
    least: float = 0.0
    run: str = ALL
    order: str = "newest"
    page: float = 1


def build(gr: Any, home: Home, tab: Any) -> None:
    """Lay the tab out, and say what its buttons do; it looks into the bank when it is opened."""
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    said = gr.HTML(status(""), elem_id="memory-status")
    totals = gr.HTML("", elem_id="memory-totals")
    with gr.Row(elem_classes="numbers"):
        emotion = gr.Dropdown([ALL, *home.session.space.labels], value=ALL, label="emotion")
        round_ = gr.Dropdown([ALL], value=ALL, label="round")
        run = gr.Dropdown([ALL], value=ALL, label="run")
        order = gr.Dropdown(list(ORDERS), value="newest", label="first come the")
        least = gr.Slider(0, 1, value=0, step=0.05, label="at least so sure", buttons=[])
        page = gr.Number(1, label="page", precision=0, minimum=1)
    with gr.Row(elem_classes="halves"):
        with gr.Column(scale=4, min_width=300):
            shown = acting(gr, value="", elem_id="memory-tiles")
        with gr.Column(scale=3, min_width=300):
            one = gr.HTML("", elem_id="memory-one")
    doing = "Export or prune" if home.may_keep else "Export"
    with gr.Accordion(doing, open=False), gr.Row(elem_classes="halves"):
        with gr.Column():
            export = gr.Button("Make an archive of what is chosen by emotion")
            archive = gr.DownloadButton("Download the archive", interactive=False)
        with gr.Column(visible=home.may_keep):
            capacity = gr.Number(1000, label="entries to keep", precision=0, minimum=0)
            policy = gr.Dropdown(list(EVICTION), value="oldest", label="first goes the")
            sure = gr.Checkbox(label="Yes, take the others out of the bank", value=False)
            prune = gr.Button("Prune", variant="stop", elem_id="memory-prune")

    wishes = [emotion, round_, least, run, order, page]
    outputs = [said, totals, shown, round_, run]

    def look(*values: Any) -> list[Any]:
        line, table, drawn, rounds, runs = looked(home, Wish(*values))
        wish = Wish(*values)
        return [
            line,
            table,
            drawn,
            gr.Dropdown(choices=rounds, value=wish.round if wish.round in rounds else ALL),
            gr.Dropdown(choices=runs, value=wish.run if wish.run in runs else ALL),
        ]

    def show(event: Any) -> str:
        say: list[str] = []
        with told(say):
            return shown_whole(bank_of(home), str(event.id))
        return alert(say[0])

    def exported(chosen: str) -> tuple[str, Any]:
        say: list[str] = []
        with told(say):
            folder = home.new_folder() / "bank"
            count = bank_of(home).export(folder, None if chosen == ALL else chosen)
            made = gr.DownloadButton(value=home.zipped(folder, "bank.zip"), interactive=True)
            return status(f"{count} pictures and metadata.jsonl are in the archive."), made
        return alert(say[0]), gr.DownloadButton(interactive=False)

    def pruned(keep: float | None, by: str, agreed: bool, *values: Any) -> list[Any]:
        say: list[str] = []
        line = ""
        with told(say):
            line = pruned_to(home, keep, by, agreed)
        found = look(*values)
        return [alert(say[0]) if say else status(line), *found[1:], gr.Checkbox(value=False)]

    tab.select(look, wishes, outputs, **quiet)
    for wish in (emotion, round_, run, order):
        wish.input(look, wishes, outputs, **quiet)
    least.release(look, wishes, outputs, **quiet)
    page.input(look, wishes, outputs, **quiet)
    shown.act(with_event(gr, show), None, [one], **quiet)
    export.click(exported, [emotion], [said, archive], **quiet)
    prune.click(pruned, [capacity, policy, sure, *wishes], [*outputs, sure], **quiet)


def bank_of(home: Home) -> Bank:
    """Return the page's bank.

    Raises:
        UsageError: when there is none yet; says how to make one.
    """
    from emosym.memory.places import open_bank

    if not home.bank.exists():
        raise UsageError(NOTHING.format(home.bank))
    return open_bank(home.bank)


def looked(home: Home, wish: Wish) -> tuple[str, str, str, list[str], list[str]]:
    """Return what the tab says and shows: a line, totals, tiles, the rounds and the runs."""
    say: list[str] = []
    with told(say):
        bank = bank_of(home)
        stats = bank.stats()
        rounds, runs = [ALL, *stats["rounds"]], [ALL, *stats["runs"]]
        entries, count = chosen(bank, wish)
        pages = max(1, -(-count // PAGE))
        of = memory_view.counted(stats["entries"])
        line = f"{count:,} of {of}; page {page_of(wish, pages)} of {pages}."
        return (
            status(line),
            memory_view.totals(stats),
            memory_view.tiles(entries, bank.space),
            rounds,
            runs,
        )
    return status(""), "", memory_view.EMPTY.format(escape(say[0])), [ALL], [ALL]


def page_of(wish: Wish, pages: int) -> int:
    """Return the number of the page that is shown, from 1: the last one where there are fewer."""
    return min(max(int(wish.page or 1), 1), pages)


def chosen(bank: Bank, wish: Wish) -> tuple[list[BankEntry], int]:
    """Return the entries on the wished page in their order, and how many there are in all."""
    column, largest = ORDERS[wish.order]
    held = bank.columns(
        ["id", "run", "created", "confidence", "agreement", "informativeness"],
        None if wish.emotion == ALL else wish.emotion,
        None if wish.round == ALL else [int(wish.round)],
        wish.least or None,
    )
    places = np.argsort(held[column], kind="stable")
    places = places[::-1] if largest else places
    if wish.run != ALL:
        places = places[held["run"][places].astype(str) == wish.run]
    first = PAGE * (page_of(wish, max(1, -(-len(places) // PAGE))) - 1)
    ids = [str(held["id"][k]) for k in places[first : first + PAGE]]
    found = {entry.id: entry for entry in bank.read(ids=ids)} if ids else {}
    return in_order(found, ids), len(places)


def in_order(found: dict[str, BankEntry], ids: Sequence[str]) -> list[BankEntry]:
    """Return entries in the order of ids; what was pruned meanwhile is left out."""
    return [found[name] for name in ids if name in found]


def shown_whole(bank: Bank, name: str) -> str:
    """Return all of one entry; errors as in `Bank.get`."""
    entry = bank.get(name)
    near = bank.nearest(entry.feature, NEAREST + 1) if entry.feature.any() else []
    return memory_view.whole(entry, bank.space, near)


def pruned_to(home: Home, keep: float | None, policy: str, agreed: bool) -> str:
    """Prune the bank; returns what was done.

    Raises:
        UsageError: when nobody agreed to it, or as `Bank.prune`.
    """
    home.require_keeping()
    if not agreed:
        raise UsageError("Tick the box first: what is pruned leaves the bank.")
    if keep is None:
        raise UsageError("Say how many entries to keep.")
    bank = bank_of(home)
    gone = bank.prune(int(keep), policy)
    left = memory_view.counted(len(gone))
    return f"{left} left the bank, {policy} first; {len(bank):,} are in it."
