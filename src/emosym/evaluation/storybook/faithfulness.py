"""Does the reading rest on what its rationale names? Take the named thing away and read again.

The objects that are named and there are taken away twice: by painting the same story without them,
which leaves no trace, and by covering their boxes with the colour around them. The control covers
as many boxes of the same size where there is neither an object nor the face.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.results.value_intervals import add_difference, add_mean
from emosym.evaluation.storybook.oracle import oracle_of
from emosym.seeds import numpy_rng
from emosym.types import UnderstandingOutput

if TYPE_CHECKING:
    from emosym.data.storybook import Story
    from emosym.data.storybook.drawing.geometry import Box
    from emosym.pipelines.trained import EmoSymPipeline

RIM = 1 / 16  # width, in units of the picture, of the rim whose mean colour covers a box
TRIES = 400
FLOOR = 1e-12  # of a probability in a logarithm


def faithfulness(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    shown: Sequence[Image.Image],
    seen: Sequence[UnderstandingOutput],
    said: Sequence[Mapping[str, frozenset[str]]],
    seed: int,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Return how far readings move when what they name is taken away, and the control.

    `seen` are the readings of the pictures `shown`, `said` what their rationales name. Per way and
    thing: `_delta` mean |change of the probability of the emotion that was read|, `_kl` mean
    KL(before || after) in nats, `_flip` share of readings that change; `_exact_delta`: the same
    change for the exact posterior when that cue is left out. A picture counts where the thing is
    named rightly and there is room for the control.

    Raises:
        UsageError: when the pictures are not a storybook's in the painted style.
    """
    from emosym.data.storybook.drawing.geometry import face_box, object_box

    stories = _stories(dataset, shown[0])
    before = _probabilities(seen)
    values: dict[str, Any] = {}
    for thing in ("object", "face"):
        rows: list[int] = []
        ways: dict[str, list[np.ndarray]] = {"removed": [], "covered": [], "random": []}
        for row, (story, facts) in enumerate(zip(stories, said, strict=True)):
            named = [i for i, item in enumerate(story.objects) if item in facts["object"]]
            boxes = [object_box(story, i) for i in named]
            if thing == "face":
                boxes = [face_box(story)] if story.face in facts["face"] else []
            rng = numpy_rng(seed, f"faithfulness-{thing}", story.index)
            others = free_boxes(story, boxes, rng)
            if not boxes or others is None:
                continue
            picture = np.asarray(shown[row])
            rows.append(row)
            ways["covered"].append(cover(picture, boxes))
            ways["random"].append(cover(picture, others))
            if thing == "object":
                gone = frozenset(story.objects[i] for i in named)
                ways["removed"].append(_repainted(story, gone, picture.shape[0]))
        after = {
            way: _probabilities(pipeline.understand([Image.fromarray(p) for p in pictures]))
            for way, pictures in ways.items()
            if pictures
        }
        progress(sum(len(pictures) for pictures in ways.values()))
        _measure(values, thing, before[rows], after, seed)
        _exact(values, thing, [stories[row] for row in rows], before[rows], seed)
        values[f"faithful_{thing}_n"] = len(rows)
    return values


def _measure(
    values: dict[str, Any],
    thing: str,
    before: np.ndarray,
    after: Mapping[str, np.ndarray],
    seed: int,
) -> None:
    """Store the changes from probabilities (N, C) to those after each way, and ways - random."""
    top = before.argmax(axis=1) if len(before) else np.zeros(0, np.int64)
    each: dict[str, dict[str, np.ndarray]] = {}
    for way, found in after.items():
        rows = np.arange(len(top))
        each[way] = {
            "delta": np.abs(found[rows, top] - before[rows, top]),
            "kl": divergence(before, found),
            "flip": (found.argmax(axis=1) != top).astype(np.float64),
        }
        for name, change in each[way].items():
            add_mean(values, f"faithful_{thing}_{way}_{name}", change, seed)
    for way in sorted(set(each) - {"random"}):
        for name in ("delta", "kl"):
            key = f"faithful_{thing}_{way}_minus_random_{name}"
            add_difference(values, key, each[way][name], each["random"][name], seed)


def _exact(
    values: dict[str, Any], thing: str, stories: Sequence[Story], before: np.ndarray, seed: int
) -> None:
    """Store how far the exact posterior of what was read moves when the cue is left out."""
    from emosym.data.storybook.world import CUES, posterior_of

    others = [cue for cue in CUES if cue != thing]
    moved = [
        abs(posterior_of(story)[top] - posterior_of(story, others)[top])
        for story, top in zip(stories, before.argmax(axis=1) if len(before) else [], strict=True)
    ]
    add_mean(values, f"faithful_{thing}_exact_delta", np.array(moved), seed)


def divergence(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return KL(before || after) of probabilities (N, C), in nats, (N,)."""
    one, other = np.clip(before, FLOOR, None), np.clip(after, FLOOR, None)
    return np.asarray((before * np.log(one / other)).sum(axis=1))


def cover(picture: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Return a picture (S, S, 3) uint8 with each box in the mean colour of the rim around it."""
    size, covered = picture.shape[0], picture.copy()
    rim = max(1, round(RIM * size))
    for box in boxes:
        x0, y0, x1, y1 = (round(edge * size) for edge in box)
        around = np.zeros(picture.shape[:2], dtype=bool)
        around[max(0, y0 - rim) : y1 + rim, max(0, x0 - rim) : x1 + rim] = True
        around[y0:y1, x0:x1] = False
        covered[y0:y1, x0:x1] = np.rint(picture[around].mean(axis=0)).astype(np.uint8)
    return covered


def free_boxes(story: Story, like: Sequence[Box], rng: np.random.Generator) -> list[Box] | None:
    """Draw as many boxes of the sizes in `like` that hold no object and no face, nor each other.

    None where there is no room.
    """
    from emosym.data.storybook.drawing.geometry import face_box, object_box

    taken = [*(object_box(story, i) for i in range(len(story.objects))), face_box(story)]
    found: list[Box] = []
    for box in like:
        width, height = box[2] - box[0], box[3] - box[1]
        for _ in range(TRIES):
            x, y = float(rng.uniform(0, 1 - width)), float(rng.uniform(0, 1 - height))
            new = (x, y, x + width, y + height)
            if not any(overlaps(new, other) for other in [*taken, *found]):
                found.append(new)
                break
        else:
            return None
    return found


def overlaps(one: Box, other: Box) -> bool:
    """Return whether two boxes share any area."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _stories(dataset: Dataset, first: Image.Image) -> list[Story]:
    from emosym.data.storybook import paint_story
    from emosym.data.storybook.levels import CUES_LEVEL

    oracle = oracle_of(dataset)
    if oracle is not None and oracle.level != CUES_LEVEL:
        raise UsageError(
            f"{dataset.root} is a storybook of the level {oracle.level!r}, where no cue alone "
            f"counts: what rests on a named thing is measured on the level {CUES_LEVEL!r}."
        )
    if oracle is None or paint_story(oracle.stories[0], first.width).tobytes() != first.tobytes():
        raise UsageError(
            f"{dataset.root} is no storybook in the painted style of this version, so nothing can "
            "be taken out of its pictures. Write one with `emosym data storybook`."
        )
    return list(oracle.stories)


def _repainted(story: Story, gone: frozenset[str], size: int) -> np.ndarray:
    from emosym.data.storybook import paint_story
    from emosym.data.storybook.drawing.geometry import without_objects

    return np.asarray(paint_story(without_objects(story, gone), size))


def _probabilities(readings: Sequence[UnderstandingOutput]) -> np.ndarray:
    return np.array([list(reading.probabilities.values()) for reading in readings])  # (N, C)
