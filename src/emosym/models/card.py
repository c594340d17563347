"""The model card: what a checkpoint is, what it is not for, what it scored, how to open it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emosym.emotions import LabelSpace, label_space
from emosym.models.presets import PRESETS
from emosym.space_rows import space_of_row

TAGS = ("emosym", "affective-computing", "emotion-recognition")
PAINTS = "image-generation"
STORYBOOK = "storybook-base"
MEANINGS: dict[str, str] = {
    "accuracy": "share of pictures read as their label; higher is better",
    "best_accuracy": "the highest accuracy these pictures allow",
    "of_best": "accuracy over the highest possible; higher is better",
    "macro_f1": "mean F1 over emotions; higher is better",
    "micro_f1": "F1 over all labels together; higher is better",
    "macro_f1_at_half": "mean F1 over emotions where all thresholds are .5; higher is better",
    "micro_f1_at_half": "F1 over all labels together, thresholds .5; higher is better",
    "weighted_f1": "mean F1 over emotions, each by how frequent it is; higher is better",
    "mean_average_precision": "mean over labels of how well they rank; higher is better",
    "polarity_accuracy": "share with the right polarity; higher is better",
    "ece": "gap between confidence and accuracy; lower is better",
    "brier": "squared error of the probabilities, 0 to 2; lower is better",
    "brier_multiclass": "squared error of the probabilities, 0 to 2; lower is better",
    "nll": "negative log likelihood in nats; lower is better",
    "emo_a_judge_a": "share of paintings that judge A sees as asked; higher is better",
    "emo_a_judge_b": "share of paintings that judge B sees as asked; higher is better",
    "coverage": "share of real pictures with a painting among their nearest; higher is better",
    "fidelity_relative": "fitting scene, object and face found, over real; 1 is as real pictures",
    "distance_relative": "variety inside an emotion, over real; 1 is as real pictures",
    "edge_energy_ratio": "sharpness over real; 1 is as real pictures",
}
INTENDED = (
    "Research on affective computing, curating and scoring image collections by the emotion they "
    "tend to evoke, and painting pictures for an emotion, with a person who looks at the result."
)
INTENDED_TEXT = (
    "Research on affective computing: emotions that annotators saw in short texts, counted over "
    "many of them, with a person who looks at the result."
)
TEXT_LIMITS = (
    "It was trained on the texts its recipes name: their language, their time, their annotators. "
    "Irony and what was said before are often missed; look at its readings of your own labelled "
    "texts before you rely on it."
)
LICENCES = {
    "goemotions": "GoEmotions (Demszky and others 2020), Reddit comments, CC BY 4.0",
    "meld": "MELD (Poria and others 2019), GPL-3.0",
    "ecf": "ECF 2.0 (Wang and others 2023), GPL-3.0, for research",
    "emobench": "EmoBench (Sabour and others 2024), MIT",
}
NOT_FOR = """\
- Not for judging people's inner states, hiring, admission, grading, insurance, policing, border
  control, surveillance, advertising to the vulnerable, or diagnosis. Such uses harm people, and
  laws forbid some of them.
- Valence, arousal and dominance with the ending `_norm` are norms of emotion *words* (Warriner,
  Kuperman and Brysbaert 2013: English words, rated mostly in the United States), weighted by the
  probabilities."""
RESPONSIBLE = f"""\
- An emotion that a picture evokes is not an emotion that somebody feels. This model says nothing
  about the state of mind of the people in a picture, of whoever took it, or of whoever looks at it.
{NOT_FOR} They are not measurements of a picture or a viewer.
- What a picture evokes differs between cultures, ages and lives. The labels are those of the
  annotators; a small vocabulary of emotions is a convention.
- A painted picture can move people. Say that it was generated, and do not use it to deceive."""
RESPONSIBLE_WORDS = f"""\
- An emotion that annotators see in words is not the emotion of whoever wrote or spoke them. This
  model says nothing about the state of mind of a person.
{NOT_FOR} They are not measurements of a text or its writer.
- What words express differs between languages, cultures, ages and lives. The labels are those of
  the annotators; a small vocabulary of emotions is a convention."""


def model_card(
    description: Mapping[str, Any], values: Mapping[str, float], recipes: Sequence[str] = ()
) -> str:
    """Return the model card as Markdown with the hub's YAML header.

    `description` is the content of emosym.json (`checkpoint.description_of`), of which base, label
    spaces and stages are needed. `values` are held-out or test numbers by metric name; what is not
    finite is shown as undefined. `recipes` holds each stage's resolved YAML, in the order
    of the stages, or nothing.
    """
    base = str(description["base"])
    shown = base if base in PRESETS else Path(base).name  # no path of this machine on the card
    storybook, words = base == STORYBOOK, _of_words(base)
    labels = answered_space(description).labels
    stages = [str(stage) for stage in description["stages"]]
    sections = [
        _header(base),
        f"# EmoSym on {shown}",
        _what(shown, labels, stages, description),
        "## Intended use",
        INTENDED_TEXT if words else INTENDED,
        "## Out of scope and responsible use",
        RESPONSIBLE_WORDS if words else RESPONSIBLE,
        TEXT_LIMITS if words else _storybook_limits() if storybook else _photograph_limits(),
        "## Numbers",
        _numbers(values),
        _held_out(description, "text" if words else "picture"),
        "## Training",
        _training(stages, recipes),
        _data(recipes),
        "## How to load",
        _loading_text(shown) if words else _loading(_paints(description)),
        "## Versions",
        _versions(description),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def answered_space(description: Mapping[str, Any]) -> LabelSpace:
    """Return the label space that a checkpoint of either format answers in."""
    if "spaces" not in description:  # format 1 named published spaces only
        return label_space(str(description["label_space"]))
    rows = {row["name"]: row for row in description["spaces"]}
    return space_of_row(rows[description["space"]])


def _paints(description: Mapping[str, Any]) -> bool:
    if "emotion_space" in description:
        return description["emotion_space"] is not None
    return "joint" in description["stages"]


def _header(base: str) -> str:
    words = _of_words(base)
    also = ["storybook"] if base == STORYBOOK else []
    fields: dict[str, Any] = {
        "license": "apache-2.0",
        "library_name": "emosym",
        "pipeline_tag": "text-classification" if words else "image-classification",
        "tags": [*TAGS, *([] if words else [PAINTS]), *also],
    }
    preset = PRESETS.get(base)
    if preset is not None and preset.shipped is None:
        fields["base_model"] = [part for part in (preset.reader, preset.painter) if part]
    return f"---\n{yaml.safe_dump(fields, sort_keys=False)}---"


def _what(
    base: str, labels: Sequence[str], stages: Sequence[str], description: Mapping[str, Any]
) -> str:
    painting = (
        "It also paints pictures that evoke an emotion, a mix of emotions, a place in valence and "
        "arousal, or the mood of another picture. "
        if _paints(description)
        else "It does not paint: it has not been through the joint stage. "
    )
    if _of_words(str(description["base"])):
        return (
            f"Reads which emotions people see in what somebody says or writes "
            f"({', '.join(labels)}), and how sure that is, from words alone, in one pass. The base "
            f"weights, `{base}`, are not in this folder, and have their own licences: "
            f"`emosym models get {base}`."
        )
    count = description.get("num_context_tokens")
    tokens = "" if count is None else f"It reasons in {count} context token(s) before it answers. "
    return (
        f"Reads which emotion a picture evokes ({', '.join(labels)}), how sure that is, and why, "
        f"in one pass. {painting}{tokens}The base weights, `{base}`, are not in this folder, and "
        "have their own licences."
    )


def _of_words(base: str) -> bool:
    """Return whether a base reads no pictures."""
    return base in PRESETS and not PRESETS[base].sees


def _data(recipes: Sequence[str]) -> str:
    """Return who made the data that the recipes name, and under which licence, where known."""
    named: dict[str, None] = {}
    for text in recipes:
        try:
            recipe = yaml.safe_load(text)
        except yaml.YAMLError:  # it may have been edited by hand
            continue
        data = recipe.get("data") if isinstance(recipe, dict) else None
        source = data.get("source") if isinstance(data, dict) else None
        if source in LICENCES:
            named[f"- {LICENCES[source]}."] = None
    return "\n".join(["Data it learned from:", "", *named]) if named else ""


def _loading_text(base: str) -> str:
    return (
        "```python\n"
        "from emosym import EmoSymPipeline\n"
        "from emosym.types import Sample, Turn\n\n"
        f"# once: emosym models get {base}\n"
        'model = EmoSymPipeline.from_pretrained("this-folder")\n'
        'reading = model.understand(Sample("a", (Turn(text="I got the job!"),)))\n'
        "print(reading.emotion, reading.confidence, reading.labels)\n"
        "print(reading.probabilities)\n"
        "```"
    )


def _storybook_limits() -> str:
    return (
        "This is the storybook preset: a small model trained on picture-book scenes that emosym "
        "draws itself, where an emotion shows in scene, light, objects, face and action by a known "
        "rule. It shows a mechanism in a controlled world and makes **no claim about photographs** "
        "or about people. Pictures unlike storybook pictures are marked `outside`."
    )


def _photograph_limits() -> str:
    return (
        "It was trained on the pictures its recipes name and knows no others; look at its readings "
        "of your own labelled pictures before you rely on it."
    )


def _numbers(values: Mapping[str, float]) -> str:
    if not values:
        return "None were given when this card was written."
    rows = ["| measure | value | meaning |", "| --- | ---: | --- |"]
    for name, value in values.items():
        number = f"{value:.4g}" if math.isfinite(value) else "undefined"
        rows.append(f"| {name.replace('|', '/')} | {number} | {MEANINGS.get(name, '')} |")
    return "\n".join(rows)


def _abstention(calibration: Mapping[str, Any], thing: str) -> str:
    """Return when it calls its answer unsure, and how often and how rightly it answers else."""
    if calibration.get("abstain_below") is None:
        return ""
    below, share, right = (calibration[name] for name in ("abstain_below", "coverage", "accuracy"))
    return (
        f"; unsure below {below:.2f}: above it are {100 * share:.0f} % of "
        f"{calibration['n']} held-out {thing}s, {100 * right:.0f} % of them rightly read"
    )


def _held_out(description: Mapping[str, Any], thing: str) -> str:
    """Return on how many things the numbers rest, and what nobody knows; format 1 tells not."""
    if "spaces" not in description:
        return ""
    lines = []
    calibrated, held_out = description["calibrations"], description["validation"]
    for row in description["spaces"]:
        count, name = held_out.get(row["name"]), row["name"]
        told = "not measured" if count is None else f"{count} validation {thing}s"
        sure = "calibrated" if name in calibrated else "**not calibrated: how sure is unknown**"
        rest = _abstention(calibrated.get(name, {}), thing)
        lines.append(f"- `{name}` ({', '.join(row['labels'])}): {told}; {sure}{rest}.")
    unknown = [
        label
        for row in description["spaces"]
        for label, kind in zip(row["labels"], row["polarity"], strict=True)
        if kind is None
    ]
    if unknown:
        lines.append(f"- Polarity unknown: {', '.join(unknown)}.")
    most = max(held_out.values(), default=0)
    if description["domain"] is None or (most + 1) * description["domain"]["threshold"] <= 1:
        lines.append(f"- Whether a {thing} is outside of what it knows: **unknown**.")
    return "\n".join(["Label spaces, and what its confidence rests on:", "", *lines])


def _training(stages: Sequence[str], recipes: Sequence[str]) -> str:
    if not stages:
        return "Not trained: new tokens on the base."
    lines = [
        f"{place + 1}. `{stage}`: `recipe-{place}-{stage}.yaml`"
        for place, stage in enumerate(stages)
    ]
    lines.append("\nRun a stage again with `emosym train FILE`.")
    for stage, text in zip(stages, recipes, strict=bool(recipes)):
        lines.append(f"\n```yaml\n# {stage}\n{text.strip()}\n```")
    return "\n".join(lines)


def _loading(paints: bool) -> str:
    painted = (
        'for painting in model.generate("awe", num_images=4, seed=1):\n'
        "    painting.image.show()  # and painting.reading, the model's own view of it\n"
        if paints
        else ""
    )
    return (
        "```python\n"
        "from emosym import EmoSymPipeline\n\n"
        'model = EmoSymPipeline.from_pretrained("this-folder")\n'
        'reading = model.understand("picture.jpg", explain=True)\n'
        "print(reading.emotion, reading.confidence, reading.rationale)\n"
        "print(reading.probabilities)\n"
        'print("outside of what the model knows:", reading.outside)  # None: unknown\n'
        f"{painted}```"
    )


def _versions(description: Mapping[str, Any]) -> str:
    versions: Mapping[str, Any] = description.get("versions") or {}
    parts = [f"{name} {version}" for name, version in versions.items()] or ["not recorded"]
    commit = description.get("git")
    return ", ".join(parts) + (f"; commit `{commit}`." if commit else ".")
