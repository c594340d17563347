"""A folder of paintings: names that never collide, records that are safe with their picture."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.files import write_atomic, write_text
from emosym.service.rows import Row, reading_row

if TYPE_CHECKING:
    from PIL import Image

    from emosym.pipelines.requests import PaintRequest
    from emosym.types import GenerationOutput

READINGS = "readings.jsonl"
SHEET = "sheet.png"
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Painting:
    """A picture in a folder, with its record."""

    name: str
    image: Image.Image
    record: Row

    @property
    def reading(self) -> Row | None:
        """The reading's row, None where nobody read it."""
        found: Row | None = self.record["reading"]
        return found

    @property
    def withheld(self) -> bool:
        """Whether the safety checker left it black."""
        return bool(self.record["withheld"])


def stem_of(request: PaintRequest, model: str) -> str:
    """Return a file name for all that decides a request's pictures but their number.

    Words for people first (emotion, intensity, prompt, seed), then six digits of everything: other
    requests, and other models, have other names.
    """
    asked, parts = request.asked, []
    if "like" in asked:
        parts.append(f"like-{Path(str(asked['like'])).stem}")
    elif "emotion" in asked:
        emotion = asked["emotion"]
        many = [f"{k}-{v:g}" for k, v in emotion.items()] if isinstance(emotion, Mapping) else []
        parts.append("-".join(many) or str(emotion))
    else:
        parts.append(f"valence-{asked['valence']:g}-arousal-{asked['arousal']:g}")
    if request.intensity != 1.0:
        parts.append(f"x{request.intensity:g}")
    words = _slug(request.prompt.replace("{}", " "))[:24].strip("-.")
    slug = "-".join(part for part in (_slug(" ".join(parts))[:48].strip("-."), words) if part)
    return f"{slug or 'painting'}-seed{request.seed}-{digits_of(request, model)}"


def digits_of(request: PaintRequest, model: str) -> str:
    """Return six hexadecimal digits of a request and the model that paints it."""
    whole: dict[str, Any] = {**request.described(0), "seed": request.seed, "model": model}
    if request.like is not None:  # a file of the same name may hold another picture
        whole["like"] = hashlib.sha256(request.like.tobytes()).hexdigest()
    text = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:DIGITS]


def repaint_arguments(request: PaintRequest, index: int, model: list[str]) -> str:
    """Return the command that paints one picture of a request alone."""
    asked = request.asked
    words = ["emosym", "generate"]
    emotion = asked.get("emotion")
    if isinstance(emotion, Mapping):
        words += ["--mix", ",".join(f"{name}={share!r}" for name, share in emotion.items())]
    elif emotion is not None:
        words.append(str(emotion))
    else:
        for name in ("valence", "arousal", "like"):
            if name in asked:
                words += [f"--{name}", str(asked[name])]
    if request.prompt != "{}":
        words += ["--prompt", request.prompt]
    words += ["--intensity", f"{request.intensity:g}", "--seed", str(request.seed)]
    words += ["--guidance-scale", f"{request.guidance_scale:g}"]
    words += ["--steps", str(request.num_inference_steps)]
    if request.spread != 1.0:
        words += ["--spread", f"{request.spread:g}"]
    return shlex.join([*words, *model, "--index", str(index)])


def painting_row(name: str, output: GenerationOutput, repaint: str) -> Row:
    """Return the record of a painting called `name`, which the command `repaint` paints again."""
    return {
        "image": name,
        "seed": output.seed,
        "request": dict(output.request),
        "withheld": output.withheld,
        "reading": None if output.reading is None else reading_row(name, output.reading),
        "repaint": repaint,
    }


class Gallery:
    """A folder of paintings. What is in it already, picture and record, is not painted again."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder; lines of a record that were torn are left out."""
        self.folder = folder
        self.records: dict[str, Row] = {}
        path = folder / READINGS
        if path.is_file():
            torn = False
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    torn = True
                    continue
                if isinstance(row, dict) and "image" in row:
                    self.records[str(row["image"])] = row
            if torn:
                self._write_all()

    def find(self, name: str) -> Painting | None:
        """Return a painting that is whole, with its record; else None."""
        from PIL import Image

        record = self.records.get(name)
        if record is None or not {"reading", "withheld", "request"} <= set(record):
            return None
        try:
            with Image.open(self.folder / name, formats=("PNG",)) as image:
                return Painting(name, image.convert("RGB"), record)
        except (OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged PNG
            return None

    def keep(self, name: str, output: GenerationOutput, repaint: str) -> Painting:
        """Write a picture, then its record: a stop between them paints it again."""
        row = painting_row(name, output, repaint)
        write_atomic(self.folder / name, _saver(output.image))
        if name in self.records:
            self.records[name] = row
            self._write_all()
        else:
            self.records[name] = row
            with (self.folder / READINGS).open("a", encoding="utf-8") as stream:
                stream.write(_line(row))
        return Painting(name, output.image, row)

    def _write_all(self) -> None:
        write_text(self.folder / READINGS, "".join(map(_line, self.records.values())))


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _saver(image: Image.Image) -> Callable[[Path], None]:
    return lambda path: image.save(path, format="PNG")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def write_sheet(
    folder: Path,
    requests: Sequence[PaintRequest],
    stems: Sequence[str],
    made: Sequence[Sequence[Painting]],
) -> str:
    """Write the sheet of what was painted; returns its name. Another request's sheet stays."""
    from PIL.PngImagePlugin import PngInfo

    from emosym.service.sheet import Strip, comparison_sheet, contact_sheet

    first = requests[0]
    title = title_of(first.asked, first.prompt)
    cells = [[(painting.image, painting.reading) for painting in many] for many in made]
    if len(requests) == 1:
        stronger = "" if first.intensity == 1.0 else f", intensity {first.intensity:g}"
        image = contact_sheet(cells[0], f"{title}{stronger}, seed {first.seed}")
    else:
        strengths = list(dict.fromkeys(request.intensity for request in requests))
        strips = []
        for strength in strengths:
            own = [k for k, request in enumerate(requests) if request.intensity == strength]
            notes = [f"seed {requests[k].seed}" for k in own for _ in cells[k]]
            paintings = [cell for k in own for cell in cells[k]]
            strips.append(Strip(f"intensity {strength:g}", paintings, notes))
        image = comparison_sheet(strips, title)
    key = " ".join(stems)
    name = SHEET if sheet_key(folder / SHEET) in (None, key) else f"sheet-{stems[0]}.png"
    info = PngInfo()
    info.add_text("emosym", key)
    write_atomic(folder / name, lambda path: image.save(path, pnginfo=info))
    return name


def sheet_key(path: Path) -> str | None:
    """Return which requests a sheet is of; None where there is no sheet of ours."""
    from PIL import Image

    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get("emosym", ""))
    except (OSError, SyntaxError, ValueError):
        return ""


def title_of(asked: Mapping[str, Any], prompt: str) -> str:
    """Return what was asked for, in a line."""
    parts = []
    for key, value in asked.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {number:g}" for name, number in value.items())
        if key == "like":
            value = Path(value).name
        if key != "weights":
            parts.append(str(value) if key == "emotion" else f"{key} {value}")
    return ", ".join([*parts, *([f"prompt: {prompt}"] if prompt != "{}" else [])])
