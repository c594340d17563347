"""A painter's prompt as text: where the emotion goes in it, and what stands there.

Nothing of a painter is opened for it: a request is checked where no picture is ever painted.
"""

from __future__ import annotations

from emosym.errors import UsageError
from emosym.models.tokenizer import CONTEXT_PLACEHOLDER, EMOTION_PLACEHOLDER

PLACE = "{}"


def fill_placeholders(prompt: str, num_context: int) -> str:
    """Put 1 emotion and `num_context` context placeholders at the prompt's {}, or before it.

    Raises:
        UsageError: when the prompt has more than one {} or already holds a placeholder token.
    """
    marks = EMOTION_PLACEHOLDER + CONTEXT_PLACEHOLDER * num_context
    if prompt.count(PLACE) > 1:
        raise UsageError(f"A prompt may hold one {PLACE}, got {prompt!r}.")
    _refuse_marks(prompt)
    if PLACE in prompt:
        return prompt.replace(PLACE, marks)
    return f"{marks} {prompt}" if prompt else marks


def word_prompt(prompt: str, word: str) -> str:
    """Put an emotion's word at the prompt's {}, or before a prompt without one."""
    return prompt.replace(PLACE, word) if PLACE in prompt else f"{word} {prompt}".strip()


def without_placeholders(prompt: str) -> str:
    """Return the prompt with its {} and the doubled space around it taken out.

    Raises:
        UsageError: when the prompt holds a placeholder token.
    """
    _refuse_marks(prompt)
    return " ".join(prompt.replace(PLACE, " ").split()) if PLACE in prompt else prompt


def _refuse_marks(prompt: str) -> None:
    if EMOTION_PLACEHOLDER in prompt or CONTEXT_PLACEHOLDER in prompt:
        raise UsageError(f"Write {PLACE} where the emotion goes, not its tokens: {prompt!r}.")
