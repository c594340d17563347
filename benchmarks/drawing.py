"""How fast storybook pictures are drawn: 64 and 128 px, in this process and in two spawned ones.

The time of two workers holds their start, as whoever asks for pictures pays it.
"""

from __future__ import annotations

import statistics

from shared.timing import arguments, interleaved, machine

from emosym.data.storybook import draw_many

SIZES, WORKERS = (64, 128), (1, 2)


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    repeats = 1 if options.quick else min(options.repeats, 5)
    count = 128 if options.quick else 2000
    print(f"\n### Drawing {count} storybook pictures\n")
    print("| side | workers | pictures/s | one worker's time over it |")
    print("| ---: | ---: | ---: | ---: |")
    for size in SIZES:
        variants = {
            str(workers): lambda size=size, workers=workers: draw_many(
                0, "train", 0, count, size, workers
            )
            for workers in WORKERS
        }
        seconds = interleaved(variants, repeats)
        alone = statistics.median(seconds[str(WORKERS[0])])
        for workers in WORKERS:
            median = statistics.median(seconds[str(workers)])
            print(f"| {size} | {workers} | {count / median:.0f} | {alone / median:.2f} |")
    machine(options.quick, repeats)


if __name__ == "__main__":
    main()
