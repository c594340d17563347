"""ms-swift's rows, old and present, to conversations and back; and its files of answers.

Present (4.x): `messages`, with as many `<image>` and `<video>` tags as media; `images`, `videos`
(each a path, or a list of frames). For its GRPO the assistant's last turn goes, and the truth into
a column `solution` (or `label`). Old (2.x): `system`, `query`, `response`, `history`, media without
tags. Its inference files hold `response` and `labels` (old: `label`) in every row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emosym.data.notes import Notes, complain
from emosym.errors import UsageError, unknown_name
from emosym.files import MAX_JSON_BYTES, decoded, inside, read_file, write_bytes
from emosym.types import Conversation, Frame, Message

IMAGE, VIDEO = "<image>", "<video>"
FORMS = ("messages", "grpo", "old")
ROLES = ("system", "user", "assistant")
MOST_MEDIA = 1024
TRUTHS = ("labels", "label", "solution")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SwiftRow:
    """A row as it was read: its conversation, the truth beside it, and other columns as they are.

    `videos` are paths of whole videos, whose place in the conversation is left out: frames are what
    a conversation holds.
    """

    conversation: Conversation
    truth: str | None
    videos: tuple[Path, ...]
    columns: Mapping[str, Any]


def row_of(
    conversation: Conversation, name_of: Any, form: str = "messages", column: str = "solution"
) -> Row:
    """Return a conversation as a row; `name_of(frame)` gives the path that stands for a picture.

    The form `messages` keeps the answer as the last message, `grpo` moves it into `column`, `old`
    has query and response, pictures without tags before all words, earlier turns as `history`.

    Raises:
        UsageError: for an unknown form, or one that the conversation does not fit.
    """
    if form not in FORMS:
        raise unknown_name("form of rows", form, FORMS)
    images = [name_of(part) for m in conversation for part in m.parts if not isinstance(part, str)]
    media: Row = {"images": images} if images else {}
    tagged = form != "old"
    messages = [{"role": m.role, "content": _content(m, tagged)} for m in conversation]
    answer = messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else None
    if form == "messages":
        return {"messages": messages, **media}
    if answer is None:
        raise UsageError(f"A row of the form {form!r} needs an answer at the conversation's end.")
    if form == "grpo":
        return {"messages": messages[:-1], **media, column: answer}
    system = [m["content"] for m in messages if m["role"] == "system"]
    said = [m["content"] for m in messages if m["role"] != "system"]
    if len(said) % 2 or len(system) > 1:
        raise UsageError("An old row needs questions and answers in turn, and one system prompt.")
    row: Row = {"system": system[0]} if system else {}
    row |= {"query": said[-2], "response": said[-1], **media}
    pairs = [[said[i], said[i + 1]] for i in range(0, len(said) - 2, 2)]
    return row | ({"history": pairs} if pairs else {})


def _content(message: Message, tagged: bool) -> str:
    """Return a message's words, a tag for each picture; a tag that is said is broken in two."""
    tag = IMAGE if tagged else ""
    parts = [_untagged(part) if isinstance(part, str) else tag for part in message.parts]
    return "".join(parts)


def _untagged(words: str) -> str:
    """Return words in which no tag stands, so that as many tags as pictures are in a row."""
    for tag in (IMAGE, VIDEO):
        words = words.replace(tag, f"{tag[0]} {tag[1:]}")
    return words


def read_row(row: object, root: Path, where: str = "a row") -> SwiftRow:
    """Return what a row of any form says; media are paths inside `root`, and are not opened.

    Raises:
        UsageError: when it is no row, has other numbers of tags and of media, or a path leaves
            `root`; begins with `where`.
    """
    if not isinstance(row, dict):
        raise UsageError(f"{where} is no JSON object.")
    turns = _turns(row, where)
    frames: list[tuple[Frame, ...]] = [(inside(root, p, "image"),) for p in _paths(row, where)]
    clips: list[Path | tuple[Frame, ...]] = []
    for video in _list(row, "videos", where):
        if isinstance(video, str):
            clips.append(inside(root, video, "video"))
        elif isinstance(video, list) and all(isinstance(name, str) for name in video):
            clips.append(tuple(inside(root, name, "frame") for name in video))
        else:
            raise UsageError(f"{where}: a video must be a path or a list of frames.")
    if len(frames) + len(clips) > MOST_MEDIA:
        raise UsageError(f"{where} has {len(frames) + len(clips)} media; {MOST_MEDIA} at most.")
    tags = sum(text.count(IMAGE) for _, text in turns), sum(t.count(VIDEO) for _, t in turns)
    if tags != (0, 0) and tags != (len(frames), len(clips)):
        raise UsageError(
            f"{where} has {tags[0]} {IMAGE} and {tags[1]} {VIDEO} tags, but {len(frames)} images "
            f"and {len(clips)} videos."
        )
    if tags == (0, 0) and (frames or clips):  # without tags they stand before the first question
        place = next((i for i, (role, _) in enumerate(turns) if role == "user"), 0)
        role, text = turns[place]
        turns[place] = (role, IMAGE * len(frames) + VIDEO * len(clips) + text)
    videos = tuple(clip for clip in clips if isinstance(clip, Path))
    messages = [_message(role, text, frames, clips) for role, text in turns]
    truth = _true_answer(row)
    if messages and messages[-1].role == "assistant":
        messages[-1] = Message("assistant", messages[-1].parts, learned=True)
    known = {"messages", "images", "videos", "query", "response", "system", "history", *TRUTHS}
    rest = {key: value for key, value in row.items() if key not in known}
    return SwiftRow(tuple(messages), truth, videos, rest)


def _turns(row: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    """Return (role, words) of a row's messages, or of its query, history and response."""
    if "messages" in row:
        turns = []
        for message in _list(row, "messages", where):
            role = message.get("role") if isinstance(message, dict) else None
            text = message.get("content") if isinstance(message, dict) else None
            if role not in ROLES or not isinstance(text, str):
                raise UsageError(
                    f"{where}: a message must have a role ({', '.join(ROLES)}) and words."
                )
            turns.append((str(role), text))
        return turns
    if not isinstance(row.get("query"), str):
        raise UsageError(f"{where} has neither 'messages' nor a 'query'.")
    turns = [("system", row["system"])] if isinstance(row.get("system"), str) else []
    for pair in _list(row, "history", where):
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
        ):
            raise UsageError(f"{where}: 'history' must be pairs of a question and an answer.")
        turns += [("user", pair[0]), ("assistant", pair[1])]
    turns.append(("user", row["query"]))
    if isinstance(row.get("response"), str):
        turns.append(("assistant", row["response"]))
    return turns


def _message(
    role: str, text: str, frames: list[tuple[Frame, ...]], clips: list[Path | tuple[Frame, ...]]
) -> Message:
    """Return words with the media whose tags stand in them; takes them off the lists, in order."""
    parts: list[str | Frame] = []
    for piece in re.split(f"({IMAGE}|{VIDEO})", text):
        if piece == IMAGE:
            parts += frames.pop(0)
        elif piece == VIDEO:
            video = clips.pop(0)
            parts += video if isinstance(video, tuple) else ()
        elif piece:
            parts.append(piece)
    return Message(role, tuple(parts))  # type: ignore[arg-type]


def _list(row: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = row.get(name) or []
    if not isinstance(found, list):
        raise UsageError(f"{where}: {name!r} must be a list.")
    return found


def _paths(row: Mapping[str, Any], where: str) -> list[str]:
    """Return the paths of images, which ms-swift also writes as {"path": ...}."""
    found = row.get("images") or []
    listed = found if isinstance(found, list) else [found]
    paths = [entry.get("path") if isinstance(entry, dict) else entry for entry in listed]
    if not all(isinstance(path, str) for path in paths):
        raise UsageError(f"{where}: 'images' must be paths.")
    return [str(path) for path in paths]


def read_rows(path: Path) -> list[Any]:
    """Return the rows of a JSON list, or of one JSON value a line.

    A line that is none is returned as the sentence that says so, for the reader to count.

    Raises:
        UsageError: when the file is missing, too large, or a JSON value that is no list.
    """
    text = decoded(read_file(path, "file of rows", MAX_JSON_BYTES), f"The file {path}")
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not valid JSON: {error}.") from error
        return list(found)
    rows: list[Any] = []
    for line in text.split("\n"):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                rows.append(f"it is not valid JSON: {error}")
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as one JSON object a line, atomically; return how many."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    text = "".join(f"{line}\n" for line in lines)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
    return len(lines)


def read_answers(path: Path, notes: Notes | None = None) -> list[tuple[str, str, str]]:
    """Return (id, answer, true answer) of every row of an inference file, old or present form.

    An id is the row's own, or its number from 1. A row without an answer or a truth is noted, or
    stops where nobody takes notes.

    Raises:
        UsageError: for such a row without notes, or a file without any row.
    """
    found: list[tuple[str, str, str]] = []
    for number, row in enumerate(read_rows(path), start=1):
        where = f"{path.name}, row {number}"
        said = row.get("response") if isinstance(row, dict) else None
        truth = _true_answer(row) if isinstance(row, dict) else None
        if isinstance(said, str) and truth is not None:
            found.append((str(row.get("id") or number), said, truth))
            continue
        told = row if isinstance(row, str) else "it has no 'response', or no 'labels' or 'label'"
        complain(notes, "bad_row", where, UsageError(f"{where}: {told}."))
    if not found:
        raise UsageError(f"{path} holds no row with an answer and its truth.")
    return found


def _true_answer(row: Mapping[str, Any]) -> str | None:
    return next((row[name] for name in TRUTHS if isinstance(row.get(name), str)), None)


def converted(rows: Sequence[SwiftRow], form: str, root: Path) -> list[Row]:
    """Return rows in another form, their other columns kept.

    Raises:
        UsageError: for an unknown form, a row without an answer, or one with whole videos, which
            only a conversation of frames can hold.
    """
    made = []
    for number, row in enumerate(rows, start=1):
        if row.videos:
            raise UsageError(f"Row {number} holds a whole video; take frames of it first.")
        conversation = row.conversation
        if row.truth is not None and (not conversation or conversation[-1].role != "assistant"):
            answer = Message("assistant", (row.truth,), learned=True)
            conversation = (*conversation, answer)
        named = row_of(conversation, lambda path: Path(path).relative_to(root).as_posix(), form)
        made.append({**row.columns, **named})
    return made
