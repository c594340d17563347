"""The published Emo-A judge: a linear layer on CLIP image embeddings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from emosym.errors import UsageError
from emosym.files import sha256_of
from emosym.models.judges.extractors import Extractor
from emosym.models.tensors import read_tensors


class ClipJudge:
    """A linear layer on CLIP image embeddings; serves as `judge.Judge`."""

    def __init__(
        self, clip: Extractor, weight: Tensor, bias: Tensor, labels: tuple[str, ...], checksum: str
    ) -> None:
        """Hold `weight` (C, D) and `bias` (C,) on top of `clip`."""
        self.name = "clip-linear"
        self.checksum = checksum
        self.labels = labels
        self._clip, self._weight, self._bias = clip, weight, bias

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the (N, D) image embeddings of uint8 (N, H, W, 3) pictures."""
        return self._clip.run(images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return (N, C) probabilities, rows summing to 1.

        Raises:
            UsageError: when the layer was made for embeddings of another width.
        """
        embeds = torch.from_numpy(self._clip.run(images))  # (N, D)
        if embeds.shape[1] != self._weight.shape[1]:
            raise UsageError(
                f"The linear emotion judge has {self._weight.shape[1]} columns and CLIP gives "
                f"{embeds.shape[1]}: it was trained on another CLIP."
            )
        return F.linear(embeds, self._weight, self._bias).softmax(-1).numpy()


def load_clip_judge(clip: Extractor, head: Path, labels: tuple[str, ...]) -> ClipJudge:
    """Open a linear emotion judge on `clip`; `head` holds one `*weight` (C, D), one `*bias` (C,).

    Raises:
        UsageError, EmoSymError: as `read_tensors`, and for other shapes than C labels need.
    """
    tensors = read_tensors(head, "the linear emotion judge")
    weights = [t for name, t in tensors.items() if name.endswith("weight")]
    biases = [t for name, t in tensors.items() if name.endswith("bias")]
    if [len(weights), len(biases), len(tensors)] != [1, 1, 2]:
        raise UsageError(f"{head} must hold one weight and one bias, got {sorted(tensors)}.")
    count = len(labels)
    if weights[0].ndim != 2 or len(weights[0]) != count or biases[0].shape != (count,):
        raise UsageError(
            f"{head} must hold a weight ({count}, D) and a bias ({count},) for {count} emotions, "
            f"got {tuple(weights[0].shape)} and {tuple(biases[0].shape)}."
        )
    both = hashlib.sha256(f"{clip.checksum}{sha256_of(head)}".encode()).hexdigest()
    return ClipJudge(clip, weights[0], biases[0], labels, both)
