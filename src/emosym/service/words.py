"""One reading in words, as shell and page say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emosym.service.rows import OUTSIDE, UNSURE, Row

NEXT_SHOWN = 3
EACH_ALONE = "Each turn was read by itself: this model was taught single turns, without others."


def in_words(row: Row, below: float | None) -> list[str]:
    """Return one reading as lines."""
    if row["error"] is not None:
        return [error_of(row)]
    if row["outside"]:
        return [f"{OUTSIDE}: {how_unusual(row['in_domain'])}"]
    shares = sorted(row["probabilities"].items(), key=lambda item: -item[1])
    nature = f", {row['polarity']}" if row["polarity"] else ""
    named = row["emotion"] or "no answer"  # it was asked to abstain
    lines = [f"{named}: {100 * row['confidence']:.0f} % sure{nature}"]
    if row["reason"] == UNSURE:
        limit = "" if below is None else f" (below {100 * below:.0f} %)"
        advice = ", take it as a guess" if row["emotion"] else ""
        lines[0] += f"; {UNSURE}{limit}{advice}"
    rest = [f"{name} {100 * share:.0f} %" for name, share in shares[1 : 1 + NEXT_SHOWN]]
    if row["emotion"] is None:
        rest = [f"{name} {100 * share:.0f} %" for name, share in shares[: 1 + NEXT_SHOWN]]
    lines.append(f"{'then' if row['emotion'] else 'likeliest:'} {', '.join(rest)}")
    if row["valence_norm"] is not None and row["arousal_norm"] is not None:
        lines.append(
            f"pleasantness {row['valence_norm']:.1f} and excitement {row['arousal_norm']:.1f}, "
            "both from 1 to 9, as people rate these words"
        )
    if row["in_domain"] is not None:
        lines.append(how_unusual(row["in_domain"]))
    if row["rationale"]:
        lines.append(f"why: {row['rationale']}")
    return lines


def how_unusual(in_domain: float) -> str:
    """Say how many pictures of the training kind are at least as far from it as this one."""
    count = round(100 * in_domain)
    number = "fewer than 1 is" if count == 0 else "1 is" if count == 1 else f"{count} are"
    return (
        f"of 100 pictures of the kind it was trained on, {number} as unusual as this one, or more"
    )


def error_of(row: Row) -> str:
    """Return why a picture could not be read, without its name, which stands beside it."""
    said = str(row["error"]).removeprefix(f"{row['source']!r} ")
    return said.replace(" as a picture:", ":", 1)


def display_names(sources: Sequence[str]) -> list[str]:
    """Return file names, or the whole paths where two are the same."""
    names = [Path(source).name or source for source in sources]
    return names if len(set(names)) == len(names) else list(sources)


def not_calibrated(name: str) -> str:
    """Say of a stock model what its confidence is not."""
    return (
        f"Zero-shot by {name}, which was never trained on emotions: the confidence is not "
        "calibrated."
    )
