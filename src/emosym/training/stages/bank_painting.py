"""A round of stage 4 fills the memory bank: paint every emotion, read it, offer it.

Painting i of an emotion depends on the seed, the round and i alone, and several processes share
the batches that one process would paint: the bank is the same for any number of them, up to the
rounding of a grey level.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from emosym.config.recipes import FeedbackRecipe
from emosym.emotions import LabelSpace
from emosym.files import read_json, write_json
from emosym.memory.admission import BankRules
from emosym.memory.bank import Bank
from emosym.memory.painted import made_now, painted_entry
from emosym.memory.schema import BankEntry
from emosym.models.emosym_model import EmoSymModel
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained_painting import paint_stream, reading_of
from emosym.processes import Processes
from emosym.seeds import stream_seed
from emosym.service.wanted import checksum_of

PAINTED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did: paintings made, admitted and refused, and held-out numbers after it."""

    number: int
    painted: int
    admitted: int
    refused: dict[str, int]
    bank: int = 0
    held_out: dict[str, float] = field(default_factory=dict)
    kept: bool = False


def fill_bank(
    model: EmoSymModel, bank: Bank, recipe: FeedbackRecipe, number: int, out: Path
) -> Round:
    """Paint every emotion, and offer the paintings to the bank; a finished round is not repainted.

    Several processes share the batches of paintings, and the first one fills the bank. Returns
    the counts of paintings made, admitted and refused (by reason).
    """
    marker, processes = out / "painted.json", Processes()
    if not processes.agree(marker.is_file()):
        entries = gather_entries(processes, model, recipe, number)
        if processes.main:
            write_json(marker, asdict(offer(bank, entries, recipe, number)))
        processes.wait()
    found = read_json(marker, "round")
    return Round(number, found["painted"], found["admitted"], found["refused"], found["bank"])


def gather_entries(
    processes: Processes, model: EmoSymModel, recipe: FeedbackRecipe, number: int
) -> list[BankEntry]:
    """Paint a round in shared batches; returns all its paintings in order, in the first process.

    The batches are those of a single process: where a painting is depends on nothing else.
    """
    space = model.reader.space
    firsts = range(0, recipe.paint_per_emotion, PAINTED_AT_ONCE)
    batches = [(emotion, first) for emotion in space.labels for first in firsts]
    own = [
        paint_entries(model, recipe, number, emotion, space, first)
        for emotion, first in batches[slice(*processes.span(len(batches)))]
    ]
    return [entry for part in processes.collect(own) for batch in part for entry in batch]


def offer(bank: Bank, entries: list[BankEntry], recipe: FeedbackRecipe, number: int) -> Round:
    """Offer paintings to the bank under the recipe's rules; returns what became of them."""
    rules = BankRules(
        admission=recipe.admission,
        quota="per_bank",
        quota_size=recipe.quota,
        near_duplicate=recipe.duplicate_similarity,
        eviction=recipe.eviction,
        capacity=recipe.capacity,
    )
    report = bank.add(entries, rules)
    reasons: dict[str, int] = {}
    for reason in report.refused.values():
        kind = reason.partition(" of ")[0]  # not which picture it is a near-duplicate of
        reasons[kind] = reasons.get(kind, 0) + 1
    return Round(number, len(entries), len(report.admitted), reasons, len(bank))


def paint_entries(
    model: EmoSymModel,
    recipe: FeedbackRecipe,
    number: int,
    emotion: str,
    space: LabelSpace,
    first: int,
) -> list[BankEntry]:
    """Paint a batch of one emotion, from picture `first` on, with readings and provenance."""
    seed = stream_seed(recipe.seed, f"feedback-paint-{emotion}", number) % 2**31
    request = paint_request(
        space,
        emotion,
        num_images=recipe.paint_per_emotion,
        guidance_scale=recipe.guidance_scale,
        num_inference_steps=recipe.num_inference_steps,
        seed=seed,
    )
    last = min(first + PAINTED_AT_ONCE, recipe.paint_per_emotion)
    provenance = made_now(
        run=recipe.out.name,
        round=number,
        checkpoint=checksum_of(str(recipe.init)),
        seed=seed,
        guidance_scale=recipe.guidance_scale,
        prompt=request.prompt,
        steps=recipe.num_inference_steps,
    )
    return [
        painted_entry(painting, reading_of(painting), emotion, provenance, space)
        for painting in paint_stream(model, request, PAINTED_AT_ONCE, range(first, last))
        if not painting.withheld
    ]
