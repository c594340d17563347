"""Why a speaker feels what was read of a turn, in words, which follow what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import yaml

from emosym.errors import UsageError
from emosym.models.emosym_model import EmoSymModel
from emosym.pipelines.task_reading import speak_answers, with_emotion
from emosym.tasks.names import ERI_GROUNDED, open_task
from emosym.types import BadInput, DialogueOutput, Sample

NO_REASONS = (
    "This model was not taught to say why in words: leave out --explain, or train it by a recipe "
    f"of the stage m2se with spoken={{{ERI_GROUNDED}: 1}}."
)


def gives_reasons(model: EmoSymModel) -> bool:
    """Return whether one of the recipes that made a model taught it reasons in words."""
    for text in model.recipes:
        try:
            recipe = yaml.safe_load(text)
        except yaml.YAMLError:  # it may have been edited by hand
            continue
        spoken = recipe.get("spoken") if isinstance(recipe, dict) else None
        if isinstance(spoken, dict) and ERI_GROUNDED in spoken:
            return True
    return False


@torch.no_grad()
def explained(
    model: EmoSymModel,
    samples: Sequence[Sample],
    outputs: Sequence[DialogueOutput | BadInput],
    batch_size: int = 16,
) -> list[DialogueOutput | BadInput]:
    """Return readings of conversations with a rationale of each turn that is not neutral.

    Raises:
        UsageError: when the model was not taught reasons.
    """
    if not gives_reasons(model):
        raise UsageError(NO_REASONS)
    task = open_task(ERI_GROUNDED, model.space)
    asked: list[Sample] = []
    places: list[tuple[int, int]] = []
    for place, (sample, found) in enumerate(zip(samples, outputs, strict=True)):
        if isinstance(found, BadInput):
            continue
        for turn, reading in enumerate(found.readings):
            if reading.emotion == model.space.neutral:
                continue
            pairs = tuple(pair for pair, _ in found.causes or () if pair.turn == turn)
            asked.append(with_emotion(replace(sample, focus=turn), reading.emotion, pairs))
            places.append((place, turn))
    said = dict(zip(places, speak_answers(model, task, asked, batch_size), strict=True))
    return [
        found
        if isinstance(found, BadInput)
        else replace(
            found,
            readings=tuple(
                replace(reading, rationale=said.get((place, turn)))
                for turn, reading in enumerate(found.readings)
            ),
        )
        for place, found in enumerate(outputs)
    ]
