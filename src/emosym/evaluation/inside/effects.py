"""What pushed latents make a model say and paint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from emosym.data.dataset import Dataset
from emosym.evaluation.measure import load_judges
from emosym.evaluation.storybook.causal import hears_context
from emosym.evaluation.storybook.explanations import spoken
from emosym.evaluation.storybook.oracle import oracle_of
from emosym.models.reader.reasoner import Thought
from emosym.pipelines.requests import paint_request
from emosym.pipelines.trained_painting import paint_latents
from emosym.pipelines.trained_reading import speak
from emosym.seeds import stream_seed

if TYPE_CHECKING:
    from emosym.models.judges.judge import LoadedJudge
    from emosym.pipelines.trained import EmoSymPipeline

BATCH = 16
# By kind of cue and its value, for which emotions it speaks: bool (C,).
Belongs = Mapping[str, Mapping[str, np.ndarray]]


@dataclass
class Effects:
    """Speaks and paints from the first `shown` of some thoughts; opens its judges once."""

    pipeline: EmoSymPipeline
    shown: int
    seed: int
    advance: Callable[[int], None]
    judges: tuple[LoadedJudge, LoadedJudge] | None = field(default=None, init=False)

    @torch.no_grad()
    def of(
        self, thoughts: Sequence[Thought], targets: np.ndarray, belongs: Belongs | None
    ) -> dict[str, np.ndarray]:
        """Return per sample (shown,) how far words and paintings speak for targets (M,).

        `words`: share of the cues that are named which go with the target (of those samples where
        any is named); `painted_a`, `painted_b`: whether each judge takes the painting for it. Only
        what can be had: words where `belongs` is known, paintings where the base has judges and the
        painter hears [CTX].
        """
        found: dict[str, np.ndarray] = {}
        if not self.shown:
            return found
        if belongs is not None:
            texts = self._said(thoughts)
            rows = [_share(text, int(t), belongs) for text, t in zip(texts, targets, strict=False)]
            found["words"] = np.array([row for row in rows if row is not None])
        if self.pipeline.base.judges is not None and hears_context(self.pipeline):
            pictures = self._painted(thoughts)
            if self.judges is None:
                self.judges = load_judges(self.pipeline)[:2]
            for letter, judge in zip("ab", self.judges, strict=True):
                tops = judge.probabilities(pictures).argmax(axis=1)
                found[f"painted_{letter}"] = (tops == targets[: self.shown]).astype(np.float64)
        return found

    def _said(self, thoughts: Sequence[Thought]) -> list[str]:
        """Return the rationales of the first samples, which see nothing but the latents."""
        texts: list[str] = []
        for thought in thoughts:
            if len(texts) >= self.shown:
                break
            said = speak(self.pipeline.model.reader, thought, gist=True)
            texts += [text or "" for text in said]
        return texts[: self.shown]

    def _painted(self, thoughts: Sequence[Thought]) -> np.ndarray:
        """Paint the first samples' latents, each from noise of its own: uint8 (shown, H, W, 3)."""
        emotion = torch.cat([t.emotion_latent for t in thoughts])[: self.shown].float()
        context = torch.cat([t.context_latents for t in thoughts])[: self.shown].float()
        space = self.pipeline.space
        request = paint_request(
            space,
            space.labels[0],  # painted from the latents that are given
            num_images=len(emotion),
            seed=stream_seed(self.seed, "inside-paint"),
        )
        parts = []
        for start in range(0, len(emotion), BATCH):
            rows = range(start, min(start + BATCH, len(emotion)))
            some = slice(rows.start, rows.stop)
            model = self.pipeline.model
            parts.append(paint_latents(model, request, rows, emotion[some], context[some]))
            self.advance(len(rows))
        return np.concatenate(parts)


def judged(effects: Effects) -> dict[str, str]:
    """Return the judges that were asked, by name, with their checksums."""
    return {judge.name: judge.checksum for judge in effects.judges or ()}


def belonging(dataset: Dataset) -> Belongs | None:
    """Return which cues speak for which emotions; None where nobody knows."""
    oracle = oracle_of(dataset)
    if oracle is None:
        return None
    from emosym.data.storybook import ACTIONS, FACES, OBJECTS, SCENES

    names = {"scene": SCENES, "object": OBJECTS, "face": FACES, "action": ACTIONS}
    tables = oracle.belongs({kind: tuple(values) for kind, values in names.items()})
    return {
        kind: dict(zip(names[kind], table.T, strict=True)) for kind, table in tables.items()
    } or None


def _share(text: str, target: int, belongs: Belongs) -> float | None:
    """Return the share of the cues that a text names which speak for a target; None without any."""
    named = [
        bool(belongs[kind][name][target])
        for kind, names in spoken(text).items()
        if kind in belongs
        for name in names
    ]
    return float(np.mean(named)) if named else None
