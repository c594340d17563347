"""A checkpoint as it is passed on: in bf16, with a card of the numbers that its run ended with."""

from __future__ import annotations

from pathlib import Path

from emosym.files import read_json


def pack_checkpoint(source: Path, target: Path) -> int:
    """Write a compact copy of a checkpoint and return its bytes.

    The card has the held-out numbers of the run that the checkpoint lies in, where it does.

    Raises:
        UsageError: when `source` is no checkpoint, or its base is not on this machine.
        EmoSymError: when it is damaged, or was trained on another base.
    """
    from emosym.models.card import model_card
    from emosym.models.checkpoint import describe_checkpoint, load_checkpoint, save_checkpoint
    from emosym.training.run import FINISHED

    described = describe_checkpoint(source)
    model = load_checkpoint(source)
    finished = source.parent / FINISHED
    values = read_json(finished, "finished run") if finished.is_file() else {}
    save_checkpoint(model, target, model_card(described, values, model.recipes), compact=True)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
