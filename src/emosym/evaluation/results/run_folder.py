"""The layout of a run folder that a report can be built from, with its writers and its reader.

    run.json                     {"title", "preset", "command", "seed", "minutes", "note"}
    stages.json                  [{"stage", "minutes", "metrics": {name: number}, "note"?}, ...]
    results/*.json               result files (evaluation.results); the report draws `understanding`
                                 and `paintings` and lists every other one
    readings/test.jsonl          one reading a line, see `readings_line`; `label` is the truth
    readings/user.jsonl          the same for a folder the user gave; bad files are {"id", "error"}
    readings/<name>/*            thumbnails the rows point to
    paintings/<emotion>/*.png    paintings
    paintings/readings.jsonl     {"image", "asked": emotion, "reading": a row as above,
                                 "judges": {name: emotion}}
    bank_before.json, bank_after.json
                                 {"entries", "real", "generated": int, "per_emotion": {emotion:
                                 {"real", "generated"}}, "per_round"?: {round: {emotion: int}},
                                 "values"?: {name: number}, "thumbnails":
                                 [{"image", "emotion", "score"?, "origin"?}]}
    emotion_space.json           {"note", "share"?: of the means' spread, "counts"?: {kind: int},
                                 "points": [[x, y, emotion, "real" | "painted"], ...],
                                 "gaussians"?: [{"emotion", "mean": [2], "covariance": [2][2]}]}
    rounds.json or feedback/rounds.json
                                 the rounds of the feedback stage (training.feedback.Round)
    metrics.jsonl or <stage>/metrics.jsonl
                                 {"step", "loss"?, ...}: what training logged

Every file and field is optional. Image paths are relative to the run folder and stay inside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result
from emosym.files import read_json, write_atomic, write_text
from emosym.types import BadInput, UnderstandingOutput

if TYPE_CHECKING:
    from PIL import Image

    from emosym.types import GenerationOutput

THUMBNAIL = 256
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything found in one run folder; what is absent is empty or None.

    `picture_side` is how wide and high, in pixels, the report may show a picture of it.
    """

    root: Path
    about: Row
    stages: list[Row]
    results: dict[str, Row]
    test: list[Row]
    user: list[Row]
    paintings: list[Row]
    bank_before: Row | None
    bank_after: Row | None
    space: Row | None
    rounds: list[Row] = field(default_factory=list)
    losses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """(step, loss) of each stage, in the order they were trained."""
    picture_side: int = THUMBNAIL

    @property
    def title(self) -> str:
        """The title from run.json, else the folder's name."""
        return str(self.about.get("title") or self.root.name)


def _lines(path: Path, needed: Sequence[str]) -> list[Row]:
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").split("\n"), 1
    ):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}, line {number}, is not valid JSON: {error}.") from error
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number}, is not a JSON object.")
        missing = [key for key in needed if key not in row and "error" not in row]
        if missing:
            raise UsageError(f"{path}, line {number}, lacks {missing[0]!r}.")
        rows.append(row)
    return rows


def _optional(path: Path, kind: type, what: str) -> Any:
    if not path.is_file():
        return None
    found = read_json(path, what)
    if not isinstance(found, kind):
        raise UsageError(f"{path} must hold a JSON {'list' if kind is list else 'object'}.")
    return found


def _rounds(root: Path) -> list[Row]:
    for path in (root / "rounds.json", root / "feedback" / "rounds.json"):
        found: list[Row] | None = _optional(path, list, "list of feedback rounds")
        if found is None:
            continue
        for row in found:
            if not isinstance(row, dict) or not {"number", "painted", "admitted"} <= set(row):
                raise UsageError(f"{path} has a row without 'number', 'painted' or 'admitted'.")
        return found
    return []


def losses_of(root: Path) -> dict[str, list[tuple[float, float]]]:
    """Return (step, loss) of each stage of a run, in the order they were trained.

    What cannot be read is left out: a run that goes on may be writing.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    paths = [root / "metrics.jsonl", *sorted(root.glob("*/metrics.jsonl"))]
    for path in sorted(filter(Path.is_file, paths), key=lambda path: path.stat().st_mtime):
        rows = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                rows.append((float(row["step"]), float(row["loss"])))
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
        rows = [row for row in rows if all(map(math.isfinite, row))]
        if len(rows) > 1:
            found[root.name if path.parent == root else path.parent.name] = rows
    return found


def read_run(root: Path) -> Run:
    """Read a run folder, or a result file as a run that holds nothing else.

    Raises:
        UsageError: when the folder is missing, holds none of the files above, or one is damaged;
            names the file and the line.
    """
    if root.is_file():
        result = read_result(root)
        about = {"title": root.stem}
        alone = {result["name"]: result}
        return Run(root.parent, about, [], alone, [], [], [], None, None, None)
    if not root.is_dir():
        raise UsageError(f"The run folder or result file {root} does not exist.")
    results = [read_result(path) for path in sorted((root / "results").glob("*.json"))]
    run = Run(
        root=root,
        about=_optional(root / "run.json", dict, "run description") or {},
        stages=_optional(root / "stages.json", list, "stage table") or [],
        results={result["name"]: result for result in results},
        test=_lines(root / "readings" / "test.jsonl", ("id", "probabilities")),
        user=_lines(root / "readings" / "user.jsonl", ("id", "probabilities")),
        paintings=_lines(root / "paintings" / "readings.jsonl", ("image", "asked")),
        bank_before=_optional(root / "bank_before.json", dict, "bank summary"),
        bank_after=_optional(root / "bank_after.json", dict, "bank summary"),
        space=_optional(root / "emotion_space.json", dict, "emotion space"),
        rounds=_rounds(root),
        losses=losses_of(root),
    )
    for row in run.stages:
        if not isinstance(row, dict) or "stage" not in row:
            raise UsageError(f"{root / 'stages.json'} has a row without 'stage'.")
    found = (run.stages, run.results, run.test, run.user, run.paintings, run.rounds)
    if not any(found) and run.bank_before is None and run.bank_after is None:
        raise UsageError(
            f"{root} holds nothing to report: no stages.json, results/, readings/, paintings/ "
            "or rounds.json. Put what `emosym evaluate` measures of its checkpoint into results/."
        )
    return run


def readings_line(
    name: str,
    reading: UnderstandingOutput | BadInput,
    image: str | None = None,
    label: str | None = None,
) -> Row:
    """Return one line of readings/*.jsonl; a picture that could not be read gives an error row."""
    if isinstance(reading, BadInput):
        return {"id": name, "error": reading.error}
    raw = {k: float(v) for k, v in reading.raw_probabilities.items()}
    return {
        "id": name,
        "image": image,
        "label": label,
        "emotion": reading.emotion,
        "confidence": float(reading.confidence),
        "probabilities": {k: float(v) for k, v in reading.probabilities.items()},
        "polarity": reading.polarity,
        "valence_norm": reading.valence_norm,
        "arousal_norm": reading.arousal_norm,
        "dominance_norm": reading.dominance_norm,
        "in_domain": reading.in_domain,
        "outside": reading.outside,
        "rationale": reading.rationale,
        **({"raw_probabilities": raw} if raw else {}),
    }


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, atomically."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def save_thumbnail(image: Image.Image, folder: Path, stem: str) -> Path:
    """Save a picture at most 256 px wide and high: PNG if it was that small, else JPEG."""
    small = image.convert("RGB")
    suffix = ".png"
    if max(small.size) > THUMBNAIL:
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        suffix = ".jpg"
    path = folder / f"{stem}{suffix}"
    settings: dict[str, Any] = {} if suffix == ".png" else {"quality": 88}
    write_atomic(path, lambda temporary: small.save(temporary, **settings))
    return path


def write_readings(
    root: Path,
    name: str,
    readings: Sequence[tuple[str, UnderstandingOutput | BadInput, str | None]],
    pictures: Mapping[int, Image.Image] | None = None,
) -> Path:
    """Write root/readings/<name>.jsonl from (id, reading, label) and return its path.

    `pictures` maps positions to the pictures worth a thumbnail; `worth_showing` chooses them.
    """
    folder = root / "readings"
    rows = []
    for position, (identity, reading, label) in enumerate(readings):
        image = None
        if pictures and position in pictures:
            saved = save_thumbnail(pictures[position], folder / name, f"{position:05d}")
            image = saved.relative_to(root).as_posix()
        rows.append(readings_line(identity, reading, image, label))
    write_rows(folder / f"{name}.jsonl", rows)
    return folder / f"{name}.jsonl"


def worth_showing(
    probabilities: np.ndarray, labels: np.ndarray, first: int = 16, mistakes: int = 12
) -> list[int]:
    """Return positions of the first pictures and of the most confident mistakes, ascending.

    `probabilities` is (N, C), `labels` (N,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:mistakes]
    return sorted({*range(min(first, len(labels))), *(int(i) for i in surest)})


def write_paintings(
    root: Path,
    painted: Mapping[str, Sequence[GenerationOutput]],
    judged: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> None:
    """Write root/paintings/<emotion>/NNN.png and root/paintings/readings.jsonl.

    `judged` maps judge name -> emotion -> the emotion the judge saw in each painting.
    """
    from emosym.pipelines.trained_painting import reading_of

    folder = root / "paintings"
    rows: list[Row] = []
    for emotion, outputs in painted.items():
        for number, output in enumerate(outputs):
            path = folder / emotion / f"{number:03d}.png"
            image = output.image
            write_atomic(path, lambda temporary, image=image: image.save(temporary))  # type: ignore[misc]
            name = path.relative_to(root).as_posix()
            rows.append(
                {
                    "image": name,
                    "asked": emotion,
                    "seed": output.seed,
                    "reading": readings_line(name, reading_of(output), name),
                    "judges": {j: said[emotion][number] for j, said in (judged or {}).items()},
                }
            )
    write_rows(folder / "readings.jsonl", rows)
