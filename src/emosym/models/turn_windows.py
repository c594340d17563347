"""Where a long conversation is cut: stretches that a model reads at once, each with some history.

A stretch begins where the turns before it say, never those after it: a turn that is read alone has
the history that it has among all the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from emosym.models.chat import ChatModel, longest_picture
from emosym.models.reader.prefix import text_config
from emosym.models.render_turns import turn_line, turn_tokens
from emosym.types import Sample, Turn

MOST_TURNS = 48
HISTORY = 16  # turns of the stretch before that the next one begins with, a third of the room
MOST_TOKENS = 2048
TURN_TOKENS = 512  # of a longer turn the beginning is read


@dataclass(frozen=True, slots=True)
class Span:
    """Turns `first` to `stop` of a conversation, of which those before `new` are history."""

    first: int
    new: int
    stop: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation whose turns are short enough, its spans, and how many turns were cut."""

    sample: Sample
    spans: tuple[Span, ...]
    cut: int


def head_tokens(chat: ChatModel, question: str) -> int:
    """Return how many tokens stand before the first turn of every conversation."""
    return len(turn_tokens(chat, Sample("", (Turn(),)), question, iter(()))[0])


def fit(
    chat: ChatModel, sample: Sample, question: str, spare: int, head: int | None = None
) -> Fitted:
    """Return a conversation as a model can read it; `spare` tokens are for what follows.

    `head` is `head_tokens`, where it was counted already.
    """
    head = head_tokens(chat, question) if head is None else head
    most = getattr(text_config(chat.backbone), "max_position_embeddings", None) or MOST_TOKENS
    room = max(min(int(most), MOST_TOKENS) - spare - head, 1)
    longest = max(min(TURN_TOKENS, room // 2), 1)
    turns, sizes, cut = [], [], 0
    for turn in sample.turns:
        ids = chat.tokenizer.encode(turn_line(turn), add_special_tokens=False)
        if len(ids) > longest:
            words = chat.tokenizer.encode(str(turn.text), add_special_tokens=False)
            kept = longest - (len(ids) - len(words)) if len(words) < len(ids) else longest
            text = str(chat.tokenizer.decode(words[: max(kept, 1)]))
            turn, ids, cut = replace(turn, text=text), ids[:longest], cut + 1
        turns.append(turn)
        pictures = len(turn.frames)
        sizes.append(len(ids) + (pictures * (longest_picture(chat) + 4) if pictures else 0))
    return Fitted(replace(sample, turns=tuple(turns)), spans_of(sizes, room), cut)


def spans_of(sizes: Sequence[int], room: int) -> tuple[Span, ...]:
    """Return the stretches of turns of `sizes` tokens that have `room` each.

    A turn that is too large by itself is a stretch without others.
    """
    spans: list[Span] = []
    new = 0
    while new < len(sizes):
        first, used = new, 0
        while first > 0 and new - first < HISTORY and used + sizes[first - 1] <= room // 3:
            first -= 1
            used += sizes[first]
        stop = new
        while stop < len(sizes) and stop - first < MOST_TURNS:
            if used + sizes[stop] > room and stop > new:
                break
            used += sizes[stop]
            stop += 1
        spans.append(Span(first, new, stop))
        new = stop
    return tuple(spans)


def each_alone(count: int) -> tuple[Span, ...]:
    """Return the stretches of a conversation of `count` turns of which none has a history."""
    return tuple(Span(turn, turn, turn + 1) for turn in range(count))


def until_focus(fitted: Fitted) -> Sample:
    """Return a conversation up to the turn in question, the last where none is named.

    Of a long one it begins where the stretch begins in which that turn is new.
    """
    sample = fitted.sample
    last = len(sample.turns) - 1 if sample.focus is None else sample.focus
    span = next(span for span in fitted.spans if span.new <= last < span.stop)
    return replace(sample, turns=sample.turns[span.first : last + 1], focus=None)
