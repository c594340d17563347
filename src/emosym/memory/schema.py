"""One entry of the memory bank: a painting, its reading, where it came from, and its table row."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emosym.emotions import LABEL_SPACES, LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import printable
from emosym.space_rows import space_of_row, space_row

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

FORMAT = "emosym.bank/1"
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a painting was made: enough to make it again.

    `checkpoint` is the SHA-256 of the checkpoint's emosym.json, which holds that of every weight
    file; `created` an ISO 8601 time with an offset (the
    caller's clock), `version` the emosym version that painted it.
    """

    run: str
    round: int
    checkpoint: str
    seed: int
    guidance_scale: float
    prompt: str
    steps: int
    created: str
    version: str


@dataclass(frozen=True, slots=True, eq=False)
class BankEntry:
    """A painting with its reading.

    `image` is a PNG of `width` x `height`; `intent` the emotion asked for and `intent_weights`
    (C,) its weights; `probabilities` (C,) the reading; `emotion_latent` (H,), `context_latents`
    (K, H); `feature` (D,) is what nearest neighbours are found by; `confidence` and `agreement`
    are 0..1; `informativeness` is any scale; `policies` name the rules that admitted it.
    """

    id: str
    image: bytes = field(repr=False)
    width: int
    height: int
    sha256: str
    intent: str
    intent_weights: Vector
    probabilities: Vector
    confidence: float
    agreement: float
    informativeness: float
    emotion_latent: Vector = field(repr=False)
    context_latents: Vector = field(repr=False)
    feature: Vector = field(repr=False)
    provenance: Provenance
    policies: tuple[str, ...] = ()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 (H, W, 3)."""
        from PIL import Image

        with Image.open(io.BytesIO(self.image), formats=["PNG"]) as picture:
            return np.asarray(picture.convert("RGB"))


def entropy(probabilities: NDArray[Any]) -> float:
    """Return the Shannon entropy of (C,) probabilities in nats, 0..log C."""
    p = np.asarray(probabilities, dtype=np.float64)
    return float(-(p[p > 0.0] * np.log(p[p > 0.0])).sum())


def utc(created: str) -> str:
    """Return an ISO 8601 time in UTC with microseconds, so that text order is time order.

    Raises:
        UsageError: when it is not ISO 8601 or has no offset.
    """
    try:
        time = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"The time {created!r} is not ISO 8601.") from None
    if time.tzinfo is None:
        raise UsageError(f"The time {created!r} has no offset; write it as ...+00:00.")
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")


def make_entry(
    picture: Image.Image | NDArray[np.uint8],
    intent: str | Mapping[str, float],
    probabilities: NDArray[Any] | Sequence[float],
    emotion_latent: NDArray[Any],
    context_latents: NDArray[Any],
    feature: NDArray[Any],
    provenance: Provenance,
    space: LabelSpace,
    confidence: float | None = None,
    informativeness: float | None = None,
    id: str | None = None,
) -> BankEntry:
    """Build an entry: encodes the picture and fills in what follows from the reading.

    Args:
        picture: a PIL image or uint8 (H, W, 3).
        intent: the emotion asked for, or weights over several; the heaviest names the entry.
        probabilities: the reading, (C,), sums to 1.
        emotion_latent: (H,).
        context_latents: (K, H).
        feature: (D,), for nearest neighbours.
        provenance: how it was painted.
        space: the label space that `intent` and `probabilities` are in.
        confidence: default: the largest probability.
        informativeness: default: the entropy of the reading, in nats.
        id: default: from the picture and its provenance without the time, so that painting the
            same again after a crash gives the same id.

    `agreement` is sum_k min(weight_k, probability_k): the probability of a single intent, and
    one minus the total variation distance for a mixture.

    Raises:
        UsageError: for an unknown emotion or a value that `check_entry` refuses.
    """
    from PIL import Image

    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.asarray(picture))
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="PNG")
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    weights = np.asarray(space.weights(intent), dtype=np.float32)
    reading = np.asarray(probabilities, dtype=np.float32)
    name = space.labels[int(weights.argmax())]
    provenance = replace(
        provenance,
        run=printable(provenance.run),
        checkpoint=printable(provenance.checkpoint),
        prompt=printable(provenance.prompt),
    )
    made = (digest, provenance.run, provenance.round, provenance.seed, provenance.checkpoint, name)
    entry = BankEntry(
        id=id or hashlib.sha256(":".join(map(str, made)).encode()).hexdigest()[:16],
        image=content,
        width=image.width,
        height=image.height,
        sha256=digest,
        intent=name,
        intent_weights=weights,
        probabilities=reading,
        confidence=float(reading.max()) if confidence is None else float(confidence),
        agreement=float(np.minimum(weights, reading).sum())
        if reading.shape == weights.shape
        else 0,
        informativeness=entropy(reading) if informativeness is None else float(informativeness),
        emotion_latent=np.asarray(emotion_latent, dtype=np.float32),
        context_latents=np.asarray(context_latents, dtype=np.float32),
        feature=np.asarray(feature, dtype=np.float32),
        provenance=provenance,
    )
    check_entry(entry, space)
    return entry


def check_entry(entry: BankEntry, space: LabelSpace) -> None:
    """Check an entry before it is stored.

    Raises:
        UsageError: for a damaged picture, a wrong shape, a reading that is no distribution, a
            score out of range, an id that cannot be a file name, or a time without offset.
    """
    classes = (len(space),)
    name = f"Bank entry {entry.id!r}"
    if not ID_PATTERN.fullmatch(entry.id):
        raise UsageError(f"{name}: an id is 1-100 letters, digits, dots, dashes or underscores.")
    space.index(entry.intent)
    if hashlib.sha256(entry.image).hexdigest() != entry.sha256 or not entry.image.startswith(
        b"\x89PNG"
    ):
        raise UsageError(f"{name}: the picture is not the PNG that its SHA-256 names.")
    for what, p in (
        ("intent weights", entry.intent_weights),
        ("probabilities", entry.probabilities),
    ):
        if p.shape != classes or not np.all(p >= 0) or not abs(float(p.sum()) - 1.0) < 1e-3:
            raise UsageError(f"{name}: {what} must be {classes[0]} numbers >= 0 that sum to 1.")
    if entry.context_latents.ndim != 2 or entry.emotion_latent.ndim != 1 or entry.feature.ndim != 1:
        raise UsageError(f"{name}: emotion_latent is (H,), context_latents (K, H), feature (D,).")
    if entry.emotion_latent.shape[0] != entry.context_latents.shape[1]:
        raise UsageError(f"{name}: emotion_latent and context_latents have different widths.")
    for array in (entry.emotion_latent, entry.context_latents, entry.feature):
        if not array.size or not np.all(np.isfinite(array)):
            raise UsageError(f"{name}: latents and feature must be finite and not empty.")
    for what, score in (("confidence", entry.confidence), ("agreement", entry.agreement)):
        if not -1e-6 <= score <= 1.0 + 1e-3:
            raise UsageError(f"{name}: {what} must lie in 0..1, got {score}.")
    if not math.isfinite(entry.informativeness):
        raise UsageError(f"{name}: informativeness must be finite.")
    utc(entry.provenance.created)


def arrow_schema(entry: BankEntry) -> pa.Schema:
    """Return the table's columns, with widths (C, H, K, D) taken from one entry."""
    import pyarrow as pa

    k, h = entry.context_latents.shape
    floats = {
        "intent_weights": len(entry.intent_weights),
        "probabilities": len(entry.probabilities),
        "emotion_latent": h,
        "context_latents": k * h,
        "feature": len(entry.feature),
    }
    text = ("id", "sha256", "intent", "run", "checkpoint", "prompt", "created", "version")
    whole = ("width", "height", "round", "seed", "steps")
    real = ("confidence", "agreement", "informativeness", "guidance_scale")
    fields = [
        *(pa.field(name, pa.string(), nullable=False) for name in text),
        *(pa.field(name, pa.int64(), nullable=False) for name in whole),
        *(pa.field(name, pa.float64(), nullable=False) for name in real),
        *(pa.field(name, pa.list_(pa.float32(), n), nullable=False) for name, n in floats.items()),
        pa.field("policies", pa.list_(pa.string()), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
    ]
    return pa.schema(fields, metadata={"format": FORMAT, "context_tokens": str(k)})


ARRAYS = ("intent_weights", "probabilities", "emotion_latent", "context_latents", "feature")
PROVENANCE = tuple(Provenance.__dataclass_fields__)


def to_row(entry: BankEntry) -> dict[str, Any]:
    """Return an entry as one table row."""
    row = {name: getattr(entry, name) for name in BankEntry.__dataclass_fields__}
    made: Provenance = row.pop("provenance")
    row.update({name: getattr(made, name) for name in PROVENANCE}, created=utc(made.created))
    row.update({name: row[name].ravel() for name in ARRAYS}, policies=list(entry.policies))
    return {key: printable(v) if isinstance(v, str) else v for key, v in row.items()}


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column of an arrow table: (N,) scalars or text, or (N, D) float32."""
    values = table.column(name)
    if name in ARRAYS:
        width = values.type.list_size
        flat = np.concatenate([c.flatten().to_numpy() for c in values.chunks if len(c)] or [[]])
        return np.asarray(flat, dtype=np.float32).reshape(-1, width)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def entries_of(table: pa.Table) -> list[BankEntry]:
    """Return the entries of an arrow table with all columns."""
    arrays = {name: column(table, name) for name in ARRAYS}
    scalars = table.drop_columns(list(ARRAYS)).to_pylist()
    entries = []
    for index, row in enumerate(scalars):
        made = Provenance(**{name: row.pop(name) for name in PROVENANCE})
        row.update({name: values[index] for name, values in arrays.items()})
        latents = row["context_latents"].reshape(-1, len(row["emotion_latent"]))  # (K, H)
        row.update(context_latents=latents, policies=tuple(row["policies"]))
        entries.append(BankEntry(**row, provenance=made))
    return entries


def card_space(space: LabelSpace) -> str | dict[str, Any]:
    """Return what a bank's card says of its label space: a published name, else all of it."""
    return space.name if LABEL_SPACES.get(space.name) == space else space_row(space)


def stored_space(named: Any, card: Path) -> LabelSpace:
    """Return the label space that a bank's card names, or describes where it is no published one.

    Raises:
        UsageError: when it does neither.
    """
    if not isinstance(named, dict):
        return label_space(str(named))
    try:
        return space_of_row(named)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(f"{card} does not describe its label space: {error!r}.") from error
