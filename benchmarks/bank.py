"""The memory bank as it grows: milliseconds to insert 64, to sample 64, and to find neighbours.

Entries are of storybook's sizes: a drawn picture of 64 px as PNG, latents of width 192, a feature
of width 192. The bank is filled in commits of 1,000, then its files are merged (`reclaim`), and
every insert is its own commit, flushed to the disk. "With the rules of stage 4" also looks for
near-duplicates among all entries of the emotion. A training batch is pictures and intents.
Neighbours are exact, ten of them, pictures included.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from shared.bars import median, show_bars
from shared.timing import arguments, machine
from shared.toy import pictures

from emosym.emotions import MIKELS8
from emosym.memory.bank import Bank, BankRules
from emosym.memory.schema import BankEntry, Provenance, make_entry

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (200, 400)
WIDTH, STEPS, FILL, BATCH = 192, 4, 1_000, 64
STAGE_4 = BankRules(near_duplicate=0.995, quota="none")
INSERT, INSERT_BY_RULES, SAMPLE, NEAREST = (
    "insert 64",
    "insert 64 with the rules of stage 4",
    "sample 64 as a training batch",
    "10 nearest",
)
WHOLE, SCATTERED = "sample 64 whole entries", "sample 64 as a training batch, before `reclaim`"
BATCH_COLUMNS = ("image", "intent_weights")
PROVENANCE = Provenance(
    "bench", 1, "0" * 64, 7, 3.0, "{}", 10, "2026-01-01T00:00:00+00:00", "0.1.0"
)


def makers(seed: int, count: int = 256) -> Iterator[list[BankEntry]]:
    """Yield batches of entries without end: other latents and ids each time, pictures in turns."""
    templates = [template(i, picture) for i, picture in enumerate(pictures(count))]
    rng = np.random.default_rng(seed)
    number = 0
    size = yield []
    while True:
        features = rng.normal(size=(size, WIDTH)).astype(np.float32)
        batch = [
            replace(templates[(number + i) % count], id=f"e{number + i}", feature=features[i])
            for i in range(size)
        ]
        number += size
        size = yield batch


def template(index: int, picture: np.ndarray) -> BankEntry:
    """Return an entry of a drawn picture that is read as it was meant."""
    rng = np.random.default_rng(index)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    shares = np.full(8, 0.05)
    shares[index % 8] = 0.65
    return make_entry(
        picture,
        MIKELS8.labels[index % 8],
        shares,
        rng.normal(size=WIDTH),
        rng.normal(size=(STEPS, WIDTH)),
        rng.normal(size=WIDTH),
        PROVENANCE,
        MIKELS8,
    )


def timed(repeats: int, run: Callable[[int], object]) -> list[float]:
    """Return seconds (repeats,) of `run(turn)`, after one unmeasured call."""
    run(-1)
    seconds = []
    for turn in range(repeats):
        start = time.perf_counter()
        run(turn)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(bank: Bank, make: Callable[[int], list[BankEntry]], repeats: int) -> dict[str, object]:
    """Time every operation on a bank as it is."""
    waiting = [make(BATCH) for _ in range(2 * (repeats + 1))]
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(repeats + 1, WIDTH)).astype(np.float32)
    return {
        INSERT: timed(repeats, lambda turn: bank.add(waiting.pop())),
        INSERT_BY_RULES: timed(repeats, lambda turn: bank.add(waiting.pop(), STAGE_4)),
        SAMPLE: timed(repeats, lambda turn: bank.sample_columns(BATCH_COLUMNS, BATCH, 0, turn + 1)),
        WHOLE: timed(repeats, lambda turn: bank.sample(BATCH, 0, turn + 1)),
        NEAREST: timed(repeats, lambda turn: bank.nearest(queries[turn], 10)),
    }


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    repeats = 3 if options.quick else min(options.repeats, 15)
    sizes = QUICK_SIZES if options.quick else SIZES
    stream = makers(0)
    next(stream)
    found: dict[int, dict[str, object]] = {}
    with TemporaryDirectory() as temporary:
        bank = Bank.open(Path(temporary) / "bank", create=True)
        for size in sizes:
            while len(bank) < size:
                bank.add(stream.send(min(FILL, size - len(bank))))
            before = timed(
                repeats, lambda turn: bank.sample_columns(BATCH_COLUMNS, BATCH, 1, turn + 1)
            )
            bank.reclaim()
            found[size] = {**measure(bank, stream.send, repeats), SCATTERED: before}
            start = time.perf_counter()
            Bank.open(Path(temporary) / "bank")
            found[size]["open"] = [time.perf_counter() - start]
    print("\n### Milliseconds by the number of entries (median)\n")
    print("| what |" + "".join(f" {size:,} |" for size in sizes))
    print("| --- |" + " ---: |" * len(sizes))
    for name in found[sizes[0]]:
        cells = "".join(f" {1000 * statistics.median(found[s][name]):.1f} |" for s in sizes)
        print(f"| {name} |{cells}")
    last, disk = found[sizes[-1]], "writing and flushing the commit, which the disk decides"
    scattered = "the database opens each of the columns at 64 scattered rows: 25 for whole entries"
    show_bars(
        [
            median(f"{INSERT}, at {sizes[-1]:,}", last[INSERT], 50, disk),
            median(f"{INSERT_BY_RULES}, at {sizes[-1]:,}", last[INSERT_BY_RULES], 50, disk),
            median(f"{SAMPLE}, at {sizes[-1]:,}", last[SAMPLE], 10, scattered),
            median(f"{WHOLE}, at {sizes[-1]:,}", last[WHOLE], 10, scattered),
            median(f"{NEAREST}, at {sizes[-1]:,}", last[NEAREST], 20, "one pass over all features"),
        ]
    )
    machine(options.quick, repeats)


if __name__ == "__main__":
    main()
