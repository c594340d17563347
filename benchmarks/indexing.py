"""Data at full size: opening EmoSet-118K's index, finding near duplicates in it, reading pictures.

The index is generated with EmoSet's number of rows and names of its form, and opened in a fresh
process, so that seconds and memory are what opening adds to a Python with the package imported.
Hashes are random, one in a hundred a near duplicate. Pictures are drawn, 400 x 300 px JPEG, and
read by `emosym data check` with one process and with two.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from shared.timing import arguments, machine

from emosym.data.check.duplicates import near_groups
from emosym.data.check.run import check_dataset
from emosym.emotions import MIKELS8

ROWS = 118_102
OPEN = """
import re, sys, time
from pathlib import Path
from emosym.data.sources.emoset import load_emoset
# Linux's own peak: that of getrusage holds the parent's, too
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, began, used = peak(), time.perf_counter(), time.process_time()
dataset = load_emoset(sys.argv[1], "train")
seconds = time.perf_counter() - began, time.process_time() - used
print(*seconds, peak() - before, peak(), len(dataset))
"""


def write_index(root: Path, rows: int) -> None:
    """Write train.json with rows of three elements, as EmoSet-118K has them."""
    table = []
    for index in range(rows):
        emotion = MIKELS8.labels[index % 8]
        name = f"{emotion}/{emotion}_{index:05d}"
        table.append([emotion, f"image/{name}.jpg", f"annotation/{name}.json"])
    (root / "train.json").write_text(json.dumps(table))


def write_pictures(root: Path, count: int) -> None:
    """Write folders of drawn JPEGs, every one different."""
    rng = np.random.default_rng(0)
    for index in range(count):
        small = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        large = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        parts = [Image.fromarray(p).resize((400, 300), Image.Resampling.BICUBIC)
                 for p in (large, small)]  # fmt: skip
        path = root / MIKELS8.labels[index % 8] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.blend(*parts, 0.3).save(path, quality=90)


def hashes_of(count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return random hashes with 1 % near duplicates, their tiny copies, and how many pairs."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    tiny = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    pairs = count // 100
    hashes[-pairs:] = hashes[:pairs] ^ np.uint64(0b101)
    tiny[-pairs:] = tiny[:pairs]
    return hashes, tiny, pairs


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    repeats, rows = (1, 2000) if options.quick else (min(options.repeats, 5), ROWS)
    count = 300 if options.quick else 1500
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_index(root, rows)
        told = [
            subprocess.run(
                [sys.executable, "-c", OPEN, str(root)], capture_output=True, text=True, check=True
            ).stdout.split()
            for _ in range(repeats)
        ]
        seconds, used, added, peak = (
            statistics.median(float(t[i]) for t in told) for i in range(4)
        )
        print(f"\n### An index of {rows:,} rows\n\n| what | value |\n| --- | ---: |")
        print(f"| opened in (of it processor time) | {seconds:.2f} ({used:.2f}) s |")
        print(f"| memory that opening adds / peak of the process | {added:.0f} / {peak:.0f} MB |")
        hashes, tiny, pairs = hashes_of(rows)
        began, cpu = time.perf_counter(), time.process_time()
        found = near_groups(hashes, tiny, 6)
        took, used = time.perf_counter() - began, time.process_time() - cpu
        print(f"| near duplicates searched in (of it processor time) | {took:.1f} ({used:.1f}) s |")
        print(f"| near duplicates found, of all there are | {len(found):,} of {pairs:,} |")
        write_pictures(root / "p", count)
        for workers in (1, 2):
            began, cpu = time.perf_counter(), time.process_time()
            check_dataset(root / "p", "folder", workers=workers)
            took, used = time.perf_counter() - began, time.process_time() - cpu
            more = f", {count / used:.0f} a core-second" if workers == 1 else ""
            print(
                f"| pictures read and checked, {workers} process(es) | {count / took:.0f}/s{more} |"
            )
    machine(options.quick, repeats)


if __name__ == "__main__":
    main()
