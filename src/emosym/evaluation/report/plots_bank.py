"""The report's figures of the memory bank, as inline SVG (see `plots`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from emosym.evaluation.report.plots import colour, label_at, svg


def growth_svg(per_round: Mapping[str, Mapping[str, float]], emotions: Sequence[str]) -> str:
    """Draw the painted entries of each emotion, one piece a round, the newest darkest.

    `per_round` maps a round's number to the entries {emotion: count} that it left in the bank.
    """
    left, row, bar, width = 92.0, 34.0, 22.0, 400.0
    numbers = sorted(per_round, key=int)
    totals = {e: sum(float(per_round[n].get(e, 0)) for n in numbers) for e in emotions}
    most = max([*totals.values(), 1.0])
    parts: list[str] = []
    for index, emotion in enumerate(emotions):
        y, x = 6 + index * row, left
        parts.append(label_at(left - 10, y + bar / 2 + 4, emotion, "axis", "end"))
        for place, number in enumerate(numbers):
            count = float(per_round[number].get(emotion, 0))
            length = (width - 46) * count / most
            opacity = 0.35 + 0.65 * (place + 1) / len(numbers)
            parts.append(
                f'<rect x="{x:.1f}" y="{y:g}" width="{max(0.0, length - 1.5):.1f}" '
                f'height="{bar:g}" rx="3" fill="{colour(emotion)}" fill-opacity="{opacity:.2f}">'
                f"<title>{escape(emotion)}, round {escape(number)}: {count:g}</title></rect>"
            )
            x += length
        parts.append(label_at(x + 6, y + bar / 2 + 4, f"{totals[emotion]:g}", "axis"))
    title = "Painted entries of each emotion, round by round"
    return svg(left + width, 10 + row * len(emotions), title, parts)


def bank_svg(
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
    emotions: Sequence[str],
) -> str:
    """Draw entries per emotion, before above after, real filled and generated hatched."""
    left, row, bar, width = 92.0, 40.0, 13.0, 400.0
    totals = [
        sum(side.get(emotion, {}).get(kind, 0) for kind in ("real", "generated"))
        for side in (before, after)
        for emotion in emotions
    ]
    most = max([*totals, 1])
    parts: list[str] = []
    for index, emotion in enumerate(emotions):
        top = 6 + index * row
        parts.append(label_at(left - 10, top + bar + 5, emotion, "axis", "end"))
        for place, (when, side) in enumerate((("before", before), ("after", after))):
            y = top + place * (bar + 2)
            x = left
            found = side.get(emotion, {})
            for kind in ("real", "generated"):
                count = float(found.get(kind, 0))
                length = (width - 50) * count / most
                shape = (
                    f'x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{bar:g}" '
                    f'opacity="{0.5 if when == "before" else 1}"'
                )
                parts.append(
                    f'<rect {shape} fill="{colour(emotion)}"><title>{escape(emotion)}, {when}: '
                    f"{count:g} {kind}</title></rect>"
                )
                if kind == "generated" and count:
                    parts.append(f'<rect {shape} fill="url(#hatch)"/>')
                x += length
            parts.append(label_at(x + 6, y + bar - 2, f"{entries_of(found):g}", "axis"))
    return svg(left + width, 10 + row * len(emotions), "Memory bank before and after", parts)


def entries_of(found: Mapping[str, float]) -> float:
    """Return real plus generated entries."""
    return float(found.get("real", 0)) + float(found.get("generated", 0))
