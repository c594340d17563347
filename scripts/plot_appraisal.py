"""Draw the appraisal level as pictures, and what its study found.

    python scripts/plot_appraisal.py TABLE.json --study STUDY.svg --world WORLD.jpg

The table is that of `emosym ablate`; an arm that it does not have yet is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emosym.data.storybook.appraisal.information import best_accuracy
from emosym.data.storybook.appraisal.words import appraisal_sentences
from emosym.data.storybook.appraisal.world import (
    APPRAISALS,
    cues_of,
    draw_appraisal_story,
    shown_bits,
)
from emosym.data.storybook.drawing.draw import draw_many

INK, ACCENT, OTHER, LIGHT = "#1f2430", "#2a6f97", "#c8553d", "#8a93a0"
CHANCE, ADDED_UP = 0.125, 0.405
LOOKS = {  # of the arms of tales: colour, marker, line
    "chain": (ACCENT, "o", "-"),
    "looks_back": (ACCENT, "s", "--"),
    "plain": (ACCENT, "^", ":"),
    "pauses": (OTHER, "D", "-"),
    "emo": (INK, "v", "-"),
}
Rows = Mapping[tuple[str, str], Mapping[str, Any]]


def main() -> int:
    """Draw both figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--world", type=Path, required=True)
    asked = parser.parse_args()
    table = json.loads(asked.table.read_text(encoding="utf-8"))
    rows = {(part["name"], row["arm"]): row for part in table["parts"] for row in part["rows"]}
    of_study(rows).savefig(asked.study, bbox_inches="tight")
    of_world().savefig(asked.world, dpi=90, bbox_inches="tight")
    return 0


def of_world(size: int = 96) -> Figure:
    """Return twelve pictures: of each appraisal, its two cues in all four combinations."""
    figure = Figure(figsize=(11, 9.4))
    stories = [draw_appraisal_story(0, index, "test") for index in range(400)]
    for row, appraisal in enumerate(APPRAISALS):
        for column in range(4):
            first, second = divmod(column, 2)
            cell = (first, second)
            index = next(
                i
                for i, story in enumerate(stories)
                if (cues_of(story)[appraisal.first], cues_of(story)[appraisal.second]) == cell
            )
            story, pictures = draw_many(0, "test", index, 1, size, level="appraisal")
            axes = figure.add_subplot(3, 4, 4 * row + column + 1)
            axes.imshow(pictures[0])
            axes.set_xticks([])
            axes.set_yticks([])
            sentence = appraisal_sentences(story[0])[row]
            bit = shown_bits(story[0])[row]
            colour = ACCENT if bit else OTHER
            axes.set_title(sentence.split(":")[0], fontsize=11, color=colour)
            axes.set_xlabel(textwrap.fill(sentence.split(": ")[1], 30), fontsize=9)
            if not column:
                axes.set_ylabel(
                    f"{appraisal.name}\n{appraisal.first} x {appraisal.second}", fontsize=11
                )
    figure.subplots_adjust(hspace=0.42, wspace=0.08)
    return figure


def of_study(rows: Rows) -> Figure:
    """Return three panels: labels and texts, sentences and latents, one number a query."""
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    _texts(first, rows)
    _tales(second, rows)
    _bandit(third, rows)
    for axes in (first, second, third):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _of(rows: Rows, part: str, arm: str, metric: str) -> tuple[float, float] | None:
    """Return mean and two standard errors of an arm in percent, None where it was not measured."""
    found = rows.get((part, arm), {}).get("values", {}).get(metric)
    if found is None or found["mean"] is None:
        return None
    return 100 * found["mean"], 200 * (found["se"] or 0.0)


def _texts(axes: Axes, rows: Rows) -> None:
    budgets = ((50, "_50"), (200, ""), (1000, "_1000"))
    for arm, name, colour, marker in (
        ("own", "own rationale", ACCENT, "o"),
        ("caption", "caption", OTHER, "s"),
    ):
        found = [(n, _of(rows, "rationale", arm + end, "accuracy")) for n, end in budgets]
        points = [(n, *value) for n, value in found if value is not None]
        if points:
            x, y, e = zip(*points, strict=True)
            axes.errorbar(x, y, e, color=colour, marker=marker, capsize=3, label=name)
    alone = (("other", "another picture's", "D"), ("labels", "no text", "v"))
    for place, (arm, name, marker) in enumerate(alone):
        value = _of(rows, "rationale", arm, "accuracy")
        if value is not None:
            at = 200 * (1.12 + 0.12 * place)
            axes.errorbar(
                [at], [value[0]], [value[1]], color=LIGHT, marker=marker, capsize=3, label=name
            )
    axes.set_xscale("log")
    axes.set_xticks([50, 200, 1000], ["50", "200", "1,000"])
    axes.minorticks_off()
    _frame(axes, "Told in words, then so many labels", "labelled pictures", added_up=True)
    axes.legend(frameon=False, fontsize=9, loc="center right", bbox_to_anchor=(1.0, 0.57))


def _tales(axes: Axes, rows: Rows) -> None:
    names = {
        "chain": "chain, own sentence alone",
        "looks_back": "chain that sees all before",
        "plain": "chain, labels alone",
        "pauses": "as many tokens, nothing fed back",
        "emo": "[EMO] alone",
    }
    axes.axvspan(-0.3, 2.5, color="#eef2f5", zorder=0)
    axes.text(1.1, 101, "as in training", ha="center", va="bottom", fontsize=9, color=LIGHT)
    for arm, (colour, marker, line) in LOOKS.items():
        found = [(n, _of(rows, "chain", arm, f"accuracy_{n}")) for n in range(5)]
        points = [(n, *value) for n, value in found if value is not None]
        if points:
            x, y, e = zip(*points, strict=True)
            axes.errorbar(
                x, y, e, color=colour, marker=marker, ls=line, capsize=3, label=names[arm]
            )
    axes.set_xticks(range(5))
    _frame(axes, "Tales: the picture and so many sentences", "sentences")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": 2}
    axes.legend(frameon=False, fontsize=8, **below)


def _bandit(axes: Axes, rows: Rows) -> None:
    arms: Sequence[tuple[str, str]] = (
        ("labels", "all true labels"),
        ("revealed", "as many noisy labels"),
        ("star", "STaR"),
        ("answers", "GRPO, answers alone"),
        ("grpo", "GRPO"),
        ("exact", "GRPO, expected answer"),
        ("whole", "GRPO, latents in full"),
        ("random", "random numbers"),
        ("start", "before"),
    )
    shown = [(n, v) for arm, n in arms if (v := _of(rows, "rl", arm, "set_f1")) is not None]
    for place, (_, (mean, half)) in enumerate(shown):
        axes.errorbar([mean], [-place], xerr=[half], color=ACCENT, marker="o", capsize=3)
    axes.set_yticks([-place for place in range(len(shown))], [name for name, _ in shown])
    axes.axvline(100 * best_accuracy(), color=LIGHT, lw=1, ls=":")
    axes.set_xlim(0, 100)
    axes.set_xlabel("F1 of the named words, %")
    axes.set_title("One number a query", loc="left", fontsize=11)


def _frame(axes: Axes, title: str, label: str, added_up: bool = False) -> None:
    """Draw what bounds a panel: the best achievable, chance, and what adding up comes to."""
    lines = [(best_accuracy(), "best achievable"), (CHANCE, "chance")]
    for level, name in lines + ([(ADDED_UP, "cues added up")] if added_up else []):
        axes.axhline(100 * level, color=LIGHT, lw=1, ls=":")
        axes.text(
            0.99,
            100 * level + 1,
            name,
            fontsize=8,
            color=LIGHT,
            ha="right",
            transform=axes.get_yaxis_transform(),
        )
    axes.set_ylim(0, 100)
    axes.set_xlabel(label)
    axes.set_ylabel("right of eight emotions, %")
    axes.set_title(title, loc="left", fontsize=11, pad=14)


if __name__ == "__main__":
    sys.exit(main())
