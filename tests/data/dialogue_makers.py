"""Small files in the form of published conversation and text sets, written by the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,"
    "Season,Episode,StartTime,EndTime"
)
MELD_ROWS = (
    '1,"Oh my God, he\u2019s lost it.",Phoebe,sadness,negative,0,0,4,7,"0:20:57,256","0:21:00,049"',
    '2,What?,Monica,surprise,negative,0,1,4,7,"0:21:01,927","0:21:03,261"',
    '3,"We could go to the bank, close our accounts.",Ross,neutral,neutral,1,0,4,4,'
    '"0:12:24,660","0:12:30,915"',
)


def meld(
    root: Path,
    *rows: str,
    name: str = "train_sent_emo.csv",
    encoding: str = "utf-8",
    mark: str = ",",
) -> Path:
    """Write a table of MELD with CRLF line ends, and return its folder."""
    root.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row}\r\n" for row in (MELD_HEADER, *(rows or MELD_ROWS)))
    if mark != ",":
        import csv
        import io

        cells = csv.reader(io.StringIO(text, newline=""))
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=mark).writerows(cells)
        text = out.getvalue()
    (root / name).write_bytes(text.encode(encoding))
    return root


def turn(row: int, number: int, dialogue: int = 0, text: str = "Well.", label: str = "joy") -> str:
    """Return a row of MELD that lasts one second, and begins two after the one before."""
    start, end = f"0:00:{2 * row:02d},000", f"0:00:{2 * row + 1:02d},000"
    return f'{row},"{text}",Ann,{label},positive,{dialogue},{number},1,1,"{start}","{end}"'


def ecf_turns(*emotions: str) -> list[dict[str, object]]:
    """Return turns of ECF with these emotions, counted from 1."""
    return [
        {"utterance_ID": n, "text": f"Line {n} .", "speaker": "Ann", "emotion": emotion}
        for n, emotion in enumerate(emotions, 1)
    ]


def write_json(path: Path, value: object) -> Path:
    """Write JSON, and return its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path.parent


def mosei(root: Path, rows: Sequence[str], header: str | None = None) -> Path:
    """Write MMSA's label.csv, and return its folder."""
    root.mkdir(parents=True, exist_ok=True)
    header = header or "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"
    (root / "label.csv").write_text("\n".join([header, *rows]) + "\n")
    return root
