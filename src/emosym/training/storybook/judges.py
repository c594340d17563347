"""Train the judges on real storybook pictures, from streams that no model under test ever sees."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.models.judges.judge import (
    JUDGE_NAMES,
    MULTI_LABEL_HEADS,
    LoadedJudge,
    judge_config,
    load_judge,
    pixels_of,
    save_judge,
)
from emosym.models.judges.nets import EMOTION_HEAD, JudgeConfig, JudgeNet
from emosym.seeds import stream_seed
from emosym.training.loop.arrays import rows_on
from emosym.training.loop.loop import LoopSettings, run_loop
from emosym.training.loop.optim import build_optimizers, flat_then_decay
from emosym.training.stages.finish import training_device

if TYPE_CHECKING:
    from emosym.data.storybook import Story

log = logging.getLogger(__name__)

MAX_SHIFT = 3


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How long and how fast; `attribute_weight` is for the emotion judges' attribute heads."""

    steps: int = 2400
    batch_size: int = 64
    lr: float = 1e-3
    muon_lr: float | None = 2e-3
    weight_decay: float = 0.02
    attribute_weight: float = 0.5
    ema_decay: float = 0.995
    bf16: bool = True


@dataclass(frozen=True, slots=True)
class JudgeData:
    """Pictures with everything a judge learns or is measured by.

    `images` uint8 (N, H, W, 3); `labels` int (N,); `targets` (N, C) rows summing to 1 (votes, or
    the exact posterior); `posterior` (N, C) exact, for the best achievable accuracy; `attributes`
    int (N,) class indices per attribute, or float (N, K) of 0/1 for `object`; `names` the
    classes of each attribute.
    """

    images: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    attributes: Mapping[str, np.ndarray]
    names: Mapping[str, tuple[str, ...]]
    posterior: np.ndarray | None = None
    emotions: tuple[str, ...] = field(default=MIKELS8.labels)


def judge_data(
    stories: Sequence[Story], images: np.ndarray, target: str = "posterior"
) -> JudgeData:
    """Turn drawn stories and their uint8 (N, H, W, 3) pictures into JudgeData.

    `target` is what emotion judges learn from: 'posterior' (the exact probabilities given all
    cues, without sampling noise) or 'votes' (what the annotators said).

    Raises:
        UsageError: for another target, or when stories and pictures differ in number.
    """
    from emosym.data import storybook

    if target not in ("posterior", "votes"):
        raise UsageError(f"A judge's target is 'posterior' or 'votes', got {target!r}.")
    if len(stories) != len(images):
        raise UsageError(f"Got {len(stories)} stories for {len(images)} pictures.")
    names = attribute_names()
    objects = np.zeros((len(stories), len(names["object"])), np.float32)
    for row, story in enumerate(stories):
        objects[row, [names["object"].index(name) for name in story.objects]] = 1.0
    attributes: dict[str, np.ndarray] = {"object": objects}
    for name in ("scene", "light", "face", "action"):
        values = [names[name].index(getattr(story, name)) for story in stories]
        attributes[name] = np.asarray(values, np.int64)
    posterior = np.stack([storybook.posterior_of(story) for story in stories]).astype(np.float32)
    votes = np.asarray([story.votes for story in stories], np.float32)
    return JudgeData(
        images=images,
        labels=np.asarray([story.label for story in stories], np.int64),
        targets=posterior if target == "posterior" else votes / votes.sum(1, keepdims=True),
        attributes={name: attributes[name] for name in names},
        names=names,
        posterior=posterior,
    )


def attribute_names() -> dict[str, tuple[str, ...]]:
    """Return the classes of each attribute of a storybook picture."""
    from emosym.data import storybook

    return {
        "scene": tuple(storybook.SCENES),
        "light": tuple(storybook.LIGHTS),
        "object": tuple(storybook.OBJECTS),
        "face": tuple(storybook.FACES),
        "action": tuple(storybook.ACTIONS),
    }


def draw_judge_data(
    seed: int,
    count: int,
    size: int,
    workers: int,
    purpose: str = "train",
    target: str = "posterior",
) -> JudgeData:
    """Draw pictures for judges: their own stream, and every scene-object pair.

    `purpose` names the stream ('train' or 'measure'). Half come from the storybook's `test`
    split: a judge that never saw the held-out pairs would mark them down in paintings.
    """
    from emosym.data import storybook

    own_seed = stream_seed(seed, "judge", {"train": 0, "measure": 1}[purpose])
    half = count // 2
    first, pictures = storybook.draw_many(own_seed, "train", 0, count - half, size, workers)
    second, more = storybook.draw_many(own_seed, "test", 0, half, size, workers)
    return judge_data([*first, *second], np.concatenate([pictures, more]), target)


def augment(pixels: Tensor) -> Tensor:
    """Mirror, shift, re-light, blur and grain (N, 3, H, W) pixels in [-1, 1], each a little.

    Painted pictures are softer than drawn ones and off by a pixel here and there; a judge must
    not read that as meaning. Draws from torch's global generator, which the loop seeds per step.
    """
    count, _, height, width = pixels.shape
    device = pixels.device
    mirrored = torch.rand(count, device=device) < 0.5
    pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(-1), pixels)
    padded = F.pad(pixels, (MAX_SHIFT,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * MAX_SHIFT + 1, (count, 2)).tolist()  # Python's: on the CPU
    shifted = [
        p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, offsets, strict=True)
    ]
    pixels = torch.stack(shifted)
    each = (count, 1, 1, 1)
    gain = 1.0 + 0.1 * (2.0 * torch.rand(count, 3, 1, 1, device=device) - 1.0)
    lift = 0.05 * (2.0 * torch.rand(each, device=device) - 1.0)
    blur = torch.rand(each, device=device) * (torch.rand(each, device=device) < 0.5)
    grain = 0.05 * torch.rand(each, device=device)
    soft = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    pixels = (pixels + blur * (soft - pixels)) * gain + lift
    return (pixels + grain * torch.randn_like(pixels)).clamp(-1.0, 1.0)


def judge_loss(
    logits: Mapping[str, Tensor], data: JudgeData, indices: np.ndarray, attribute_weight: float
) -> dict[str, Tensor]:
    """Return the parts and the sum ("loss") for the rows `indices` (B,) of `data`.

    Cross-entropy against the (soft) emotion target plus `attribute_weight` times the mean of the
    attributes' cross-entropies (for `object`: binary, summed over the kinds).
    """
    device = next(iter(logits.values())).device
    parts: dict[str, Tensor] = {}
    for name, value in logits.items():
        value = value.float()  # (B, K)
        if name == EMOTION_HEAD:
            wanted = torch.from_numpy(data.targets[indices]).to(device)  # (B, C)
            parts[name] = F.cross_entropy(value, wanted)
            continue
        truth = torch.from_numpy(data.attributes[name][indices]).to(device)
        if name in MULTI_LABEL_HEADS:
            bits = F.binary_cross_entropy_with_logits(value, truth, reduction="none")
            parts[name] = bits.sum(1).mean()
        else:
            parts[name] = F.cross_entropy(value, truth)
    others = [value for name, value in parts.items() if name != EMOTION_HEAD]
    attributes = torch.stack(others).mean()
    emotion = parts.get(EMOTION_HEAD)
    loss = attributes if emotion is None else emotion + attribute_weight * attributes
    return {"loss": loss, **parts}


def train_judges(
    out: Path,
    seed: int,
    data: JudgeData,
    settings: JudgeSettings | None = None,
    *,
    names: Sequence[str] = JUDGE_NAMES,
    measure: JudgeData | None = None,
    progress: bool = True,
    deadline: float | None = None,
) -> dict[str, dict[str, float]]:
    """Train each judge of `names` on `data` and save it in `out`; resumes where it stopped.

    A judge already saved in `out` is kept. Returns {judge: measure_judge(...)} on `measure`
    (empty where `measure` is None). The working state is in out/state-<judge>.

    Raises:
        UsageError: for an unknown judge name.
        StoppedEarly: at the deadline; the same call goes on.
    """
    settings = settings or JudgeSettings()
    scores: dict[str, dict[str, float]] = {}
    for name in names:
        config = judge_config(name, data.emotions, data.names, data.images.shape[1])
        if not (out / f"{name}.json").is_file():
            net = _train_one(out, seed, data, config, settings, progress, deadline)
            about = {"seed": seed, "pictures": len(data.images), **asdict(settings)}
            save_judge(net, config, out, about)
        judge = load_judge(out, name, training_device())
        scores[name] = {} if measure is None else measure_judge(judge, measure)
        log.info("%s: %s", name, scores[name])
    return scores


def _train_one(
    out: Path,
    seed: int,
    data: JudgeData,
    config: JudgeConfig,
    settings: JudgeSettings,
    progress: bool,
    deadline: float | None,
) -> JudgeNet:
    torch.manual_seed(stream_seed(seed, f"judge-init-{config.name}"))
    device = torch.device(training_device())
    rows = rows_on(data.images, device)
    net = JudgeNet(config)
    net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, Tensor]:
        pixels = augment(pixels_of(rows.take(indices), config.size))
        _, logits = net(pixels.to(memory_format=torch.channels_last))
        return judge_loss(logits, data, indices, settings.attribute_weight)

    run_loop(
        LoopSettings(
            name=config.name,
            out=out / f"state-{config.name}",
            steps=settings.steps,
            batch_size=settings.batch_size,
            seed=seed,
            ema_decay=settings.ema_decay,
            bf16=settings.bf16,
            deadline=deadline,
        ),
        {"judge": net},
        build_optimizers({"judge": net}, settings.lr, settings.weight_decay, settings.muon_lr),
        flat_then_decay(0.03, 0.5),
        len(data.images),
        loss_fn,
        progress=progress,
    )
    return net


def measure_judge(judge: LoadedJudge, data: JudgeData) -> dict[str, float]:
    """Measure a judge on fresh pictures; every value is a share in 0..1.

    Emotion judges: `accuracy`, `best` (argmax of the exact posterior) and `of_best`, their ratio.
    All: `<attribute>` accuracies, `object` as micro F1 at .5, `object_exact` (the whole set right).
    """
    found = judge.every_head(data.images)
    scores: dict[str, float] = {"n": float(len(data.images))}
    if judge.labels:
        scores["accuracy"] = float((found[EMOTION_HEAD].argmax(1) == data.labels).mean())
        if data.posterior is not None:
            best = float((data.posterior.argmax(1) == data.labels).mean())
            scores.update(best=best, of_best=scores["accuracy"] / best)
    for name in judge.names:
        truth = data.attributes[name]
        if name in MULTI_LABEL_HEADS:
            said, real = found[name] > 0.5, truth > 0.5
            hits = int((said & real).sum())
            scores[name] = 2.0 * hits / max(1, int(said.sum() + real.sum()))
            scores[f"{name}_exact"] = float((said == real).all(1).mean())
        else:
            scores[name] = float((found[name].argmax(1) == truth).mean())
    return scores
