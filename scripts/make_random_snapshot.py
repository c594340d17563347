"""Write a preset's folders in the official layout, with real configurations and random weights.

    python scripts/make_random_snapshot.py emosym-2b models

makes models/Qwen2-VL-2B-Instruct and models/stable-diffusion-v1-5: sharded bf16 safetensors,
tokenizers with the official special tokens at their official ids, processor files. With
EMOSYM_MODELS=models every command runs on them: they know nothing, but cost what the real ones do.
`--tiny` keeps every class and file and shrinks the sizes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a script, only this folder is
    sys.path.insert(0, str(ROOT))

from scripts.snapshot.painters import PAINTERS  # noqa: E402
from scripts.snapshot.readers import READERS  # noqa: E402

from emosym.errors import EmoSymError, unknown_name  # noqa: E402
from emosym.models.presets import PRESETS  # noqa: E402


def main() -> None:
    """Read the command line and write the snapshot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("preset", help=", ".join(n for n, p in PRESETS.items() if not p.shipped))
    parser.add_argument("out", type=Path)
    parser.add_argument("--tiny", action="store_true", help="small sizes, for trying")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("reader", "painter"), help="one of the two")
    options = parser.parse_args()
    try:
        for folder in make_snapshot(
            options.preset, options.out, options.tiny, options.seed, options.only
        ):
            print(f"Wrote {folder}")
    except EmoSymError as error:
        sys.exit(f"Error: {error}")


def make_snapshot(
    preset: str, out: Path, tiny: bool = False, seed: int = 0, only: str | None = None
) -> list[Path]:
    """Write reader and painter of a preset below `out`; a folder that is there is kept.

    Raises:
        UsageError: for an unknown preset, or one that ships its weights.
    """
    hub = {name: found for name, found in PRESETS.items() if found.shipped is None}
    if preset not in hub:
        raise unknown_name("preset", preset, hub)
    made = []
    makers = {"reader": (READERS, hub[preset].reader), "painter": (PAINTERS, hub[preset].painter)}
    for part, (table, source) in makers.items():
        if only not in (None, part):
            continue
        folder = out / source.split("/")[1]
        if not folder.is_dir():
            temporary = out / f".tmp-{folder.name}"
            table[source](temporary, tiny, seed)
            temporary.rename(folder)
        made.append(folder)
    return made


if __name__ == "__main__":
    main()
