"""Tasks put to a model: by its latents where they answer, else in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emosym.data.dataset import Dataset
from emosym.data.wheel_tables import Wheels
from emosym.errors import UsageError
from emosym.evaluation.likely_answers import LIKELY, likely_answered
from emosym.evaluation.shown_examples import Examples, shown_before, voted_values
from emosym.evaluation.task_answers import Answered, answered
from emosym.models.emosym_model import EmoSymModel, form_of
from emosym.pipelines.task_reading import can_read, read_tasks, speak_answers, with_found
from emosym.tasks.names import ERI_GROUNDED, open_task
from emosym.tasks.open_words import open_words
from emosym.tasks.reasoned import in_form
from emosym.types import OPEN, TEXT_EMOTION


def answer_tasks(
    model: EmoSymModel,
    names: Sequence[str],
    dataset: Dataset,
    batch_size: int = 16,
    spoken: bool = False,
    wheels: Wheels | None = None,
    examples: Examples | None = None,
) -> list[Answered]:
    """Return what a model answers in each task, about the samples whose truth is known.

    Latents answer what they can, all turns of a conversation in one pass; with `spoken`, and where
    no head is, the model is asked in words, in the form that it was taught, or of LIKELY tasks for
    the likeliest answer. The task `open` compares words on `wheels`. Where reasons are asked of
    given emotions and causes, these are what latents find. With `examples` all is asked in words,
    after alike dialogues.

    Raises:
        UsageError: when a data set has no truth of a task.
    """
    samples = list(dataset)
    tasks = {name: open_task(name, model.space) for name in names}
    if OPEN in tasks:
        tasks[OPEN] = open_words(wheels)
    places = {
        name: [place for place, sample in enumerate(samples) if task.name in sample.targets]
        for name, task in tasks.items()
    }
    missing = next((name for name, known in places.items() if not known), None)
    if missing is not None:
        raise UsageError(f"This data set tells nothing of the task {missing!r}.")
    by_latents = [name for name in names if not (spoken or examples) and can_read(model, name)]
    read = read_tasks(model, dataset, by_latents, batch_size) if by_latents else None
    found: list[Answered] = []
    for name, task in tasks.items():
        asked = [samples[place] for place in places[name]]
        if read is not None and name in read.predictions:
            predictions = [read.predictions[name][place] for place in places[name]]
            one = answered(name, task, asked, predictions)
            if task.name == TEXT_EMOTION and model.space.several:
                one = replace(one, probabilities=read.probabilities[places[name]])
            found.append(one)
        elif name in LIKELY and not (spoken or examples):
            found.append(likely_answered(model.reader.chat, name, task, asked, batch_size))
        else:
            shown = asked
            if name == ERI_GROUNDED:
                shown = with_found(model, dataset.subset(places[name]), batch_size)
            task, bank = shown_before(in_form(task, form_of(model)), examples)
            told = speak_answers(model, task, shown, batch_size)
            one = answered(name, task, asked, answers=told)
            one = replace(one, more=voted_values(task, bank, asked, examples))
            found.append(replace(one, wheels=wheels) if name == OPEN else one)
    return found
