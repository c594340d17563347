"""What a model is asked, and the version that is kept beside its answer."""

from __future__ import annotations

import hashlib

BLIND = (
    "Say in one or two sentences, at most 45 words, what in this picture can move a viewer: "
    "what is shown, faces and gestures, light and colour, and how these act together. "
    "Describe only what can be seen. Name no emotion and no mood: no word such as joy, sad, "
    "scary, calm or exciting."
)
AWARE = (
    "People said that this picture evokes {label}. Say in one or two sentences, at most 45 words, "
    "what in the picture evokes it: what is shown, faces and gestures, light and colour."
)
JSON_NOTE = 'Answer with a JSON object that has one field, "rationale".'
LABEL = "{label}"


def prompt_version(template: str) -> str:
    """Return what names a prompt: twelve hexadecimal digits that change when its text does."""
    return hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def fill_prompt(template: str, label: str | None) -> str:
    """Return a prompt with the picture's label in place of `{label}`."""
    return template.replace(LABEL, label or "no emotion that they agreed on")


def reminder(prompt: str, reason: str) -> str:
    """Return the prompt for the second and last time, with what was wrong the first time."""
    return f"{prompt} Your answer before could not be used: {reason}. Answer anew without that."
