"""Compare the reader's own anatomy with the shipped kernel on rated photographs, by folds.

    emosym models get photo && emosym models get smollm2-135m
    python scripts/photo_anatomy.py OASIS_FOLDER --out runs/photo-anatomy \
        --result docs/results/photo-anatomy.json

Every picture is read by what never saw a picture of its theme. A study that was stopped goes on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from emosym.errors import EmoSymError
from emosym.evaluation.results.result import write_result
from emosym.studies.photo_anatomy.folds import ARMS, Settings
from emosym.studies.photo_anatomy.study import Asked, run_study


def main(words: list[str] | None = None) -> int:
    """Run the study; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("root", type=Path, help="A folder of rated pictures in OASIS's form.")
    parser.add_argument("--out", type=Path, default=Path("runs/photo-anatomy"))
    parser.add_argument("--result", type=Path, help="Where the result is written.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arm", action="append", choices=ARMS, help="All unless given.")
    parser.add_argument(
        "--base", default="smollm2-135m", help="A language model: preset or folder."
    )
    parser.add_argument("--encoder", default="efficientnet-lite1")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    for field in fields(Settings):
        kind = type(field.default)
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=field.default)
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})
    asked = Asked(
        options.root,
        options.out,
        settings,
        options.seeds,
        options.encoder,
        options.base,
        tuple(options.arm or ARMS),
        options.dtype,
    )
    try:
        result = run_study(asked)
        write_result(options.result or options.out / "result.json", result)
    except EmoSymError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
