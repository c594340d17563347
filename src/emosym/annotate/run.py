"""Fill a knowledge base: find what is missing or changed, have it written, keep every answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

from emosym.annotate.answers import Outcome
from emosym.annotate.hashing import hashed
from emosym.annotate.knowledge import Journal, Knowledge, Row, open_knowledge
from emosym.annotate.prompts import prompt_version
from emosym.annotate.writers import Job, Writer
from emosym.errors import UsageError
from emosym.files import printable
from emosym.types import Sample, only_picture

KEPT_AT_ONCE = 1  # an answer that is paid for is kept at once


@dataclass(frozen=True, slots=True)
class Plan:
    """Who writes, and what is asked.

    `prompt_of` gives each sample's prompt. `prices` are (in, out) per million tokens. With
    `retry_failed` pictures without a rationale are asked about again. `limit` ends a run after
    that many pictures. `keep_prompts` is off where prompts are as many as pictures.
    """

    annotator: str
    model: str
    writer: Writer
    prompt_of: Callable[[Sample], str]
    label_blind: bool = True
    prices: tuple[float, float] | None = None
    retry_failed: bool = False
    limit: int | None = None
    keep_prompts: bool = True
    workers: int = 4
    kept_at_once: int = KEPT_AT_ONCE


@dataclass
class Tally:
    """What a run did: pictures looked at, already there, asked about, and what came of it."""

    looked: int = 0
    there: int = 0
    failed_before: int = 0
    todo: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    counted: bool = False
    cost: float = 0.0

    @property
    def done(self) -> int:
        """Pictures of this run that came to an end."""
        return sum(self.statuses.values())


def fill(
    out: Path,
    samples: Iterable[Sample],
    plan: Plan,
    progress: Callable[[Tally], None] = lambda tally: None,
    tally: Tally | None = None,
) -> Tally:
    """Bring a knowledge base up to date with `samples`; returns what was done.

    A picture is asked about when it has no row of its content hash, or that row has another prompt
    version; a row without a rationale stands until `retry_failed`. `progress` is called after
    every look and every answer. What was done is kept however the run ends.

    Raises:
        UsageError: when `out` is no knowledge base, or one of another annotator or model.
        EmoSymError: when a server is gone or refuses to work, another run writes to `out`, or the
            disk is full.
    """
    tally = Tally() if tally is None else tally
    with open_knowledge(out) as journal:
        _check_same_author(out, journal.knowledge, plan)
        jobs = list(islice(_missing(samples, journal.knowledge, plan, tally, progress), plan.limit))
        tally.todo = len(jobs)
        progress(tally)
        if plan.keep_prompts:
            for prompt in dict.fromkeys(job.prompt for job in jobs):
                journal.name_prompt(prompt_version(prompt), prompt)
        kept: list[Row] = []
        for job, outcome in plan.writer(jobs):
            row = _row(job, outcome, plan)
            _count(tally, row, outcome)
            if row.status != "failed":
                kept.append(_with_earlier(row, journal.knowledge.rows.get(row.key)))
            if len(kept) >= plan.kept_at_once:
                _keep(journal, kept)
            progress(tally)
        _keep(journal, kept)
    return tally


def _keep(journal: Journal, rows: list[Row]) -> None:
    journal.add(rows)
    rows.clear()


def _check_same_author(out: Path, knowledge: Knowledge, plan: Plan) -> None:
    """Refuse to replace what another model wrote, which may have been paid for."""
    asked = (plan.annotator, plan.model, plan.label_blind)
    kinds = {True: "label-blind", False: "label-aware"}
    for row in knowledge.rows.values():
        found = (row.annotator, row.model, row.label_blind)
        if found != asked:
            raise UsageError(
                f"{out} holds {kinds[row.label_blind]} rationales of {row.annotator} "
                f"({row.model}), and this run is {kinds[plan.label_blind]}, {plan.annotator} "
                f"({plan.model}). Choose another --out."
            )


def _missing(
    samples: Iterable[Sample],
    knowledge: Knowledge,
    plan: Plan,
    tally: Tally,
    progress: Callable[[Tally], None],
) -> Iterator[Job]:
    """Yield a job for every picture to be asked about; equal (id, hash) are asked about once."""
    seen = set()
    for index, (sample, sha256) in enumerate(hashed(samples, plan.workers)):
        tally.looked += 1
        progress(tally)
        key = (printable(sample.id), sha256)
        row, prompt = knowledge.rows.get(key), plan.prompt_of(sample)
        if row is not None and row.prompt_version == prompt_version(prompt):
            failed = row.status != "ok"
            tally.there += not failed
            tally.failed_before += failed
            if not (failed and plan.retry_failed):
                continue
        if key not in seen:
            seen.add(key)
            yield Job(index, sample.id, only_picture(sample), sha256, prompt)


def _row(job: Job, outcome: Outcome, plan: Plan) -> Row:
    verdict, cost = outcome.verdict, None
    if plan.prices is not None and outcome.tokens_in is not None:
        spent = (outcome.tokens_in, outcome.tokens_out or 0)
        cost = sum(n * price for n, price in zip(spent, plan.prices, strict=True)) / 1e6
    return Row(
        id=printable(job.id),
        sha256=job.sha256,
        rationale=None if verdict.text is None else printable(verdict.text),
        status=verdict.status,
        reason=verdict.reason,
        annotator=plan.annotator,
        model=plan.model,
        prompt_version=prompt_version(job.prompt),
        label_blind=plan.label_blind,
        tokens_in=outcome.tokens_in,
        tokens_out=outcome.tokens_out,
        cost=cost,
        created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
    )


def _with_earlier(row: Row, earlier: Row | None) -> Row:
    """Add what was spent on the same picture before: the file's sums are what it has cost."""
    if earlier is None:
        return row

    cost = row.cost if earlier.cost is None else earlier.cost + (row.cost or 0.0)
    return replace(
        row,
        tokens_in=_sum(earlier.tokens_in, row.tokens_in),
        tokens_out=_sum(earlier.tokens_out, row.tokens_out),
        cost=cost,
    )


def _sum(before: int | None, now: int | None) -> int | None:
    return now if before is None else before + (now or 0)


def _count(tally: Tally, row: Row, outcome: Outcome) -> None:
    tally.statuses[row.status] += 1
    if row.reason:
        tally.reasons.setdefault(row.status, f"{row.id}: {row.reason}")
    if outcome.tokens_in is not None:
        tally.counted = True
        tally.tokens_in += outcome.tokens_in
        tally.tokens_out += outcome.tokens_out or 0
    tally.cost += row.cost or 0.0
