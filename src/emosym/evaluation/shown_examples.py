"""Tasks asked after alike dialogues with their answers, and what these tell without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emosym.memory.dialogues import DialogueBank, dialogue_bank, voted, with_examples
from emosym.tasks.task import Task
from emosym.types import Sample


@dataclass(frozen=True, slots=True)
class Examples:
    """So many (`count`) of these `samples`, those most alike, stand before each question."""

    samples: Sequence[Sample]
    count: int


def shown_before(task: Task, examples: Examples | None) -> tuple[Task, DialogueBank | None]:
    """Return a task that shows examples, and the bank that they are of; without any, the task.

    Raises:
        UsageError: for a task for which no examples are shown, or samples without its truth.
    """
    if examples is None:
        return task, None
    bank = dialogue_bank(examples.samples, task)
    return with_examples(task, bank, examples.count), bank


def voted_values(
    task: Task, bank: DialogueBank | None, samples: Sequence[Sample], examples: Examples | None
) -> dict[str, float]:
    """Return what the commonest label of each sample's examples scores, as `examples_...`."""
    if bank is None or examples is None:
        return {}
    truths = [sample.targets[task.name] for sample in samples]
    values = task.measure(voted(bank, samples, examples.count), truths)
    kept = {name: value for name, value in values.items() if not name.startswith("majority")}
    return {f"examples_{k}": float(v) for k, v in kept.items() if isinstance(v, (int, float))}
