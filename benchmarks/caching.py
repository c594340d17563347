"""What caching saves: training steps from kept features and prefixes, and batched vision attention.

A step here is the reader's part: forward, backward, and AdamW on what the stage trains. The
painter's part of stage 3 is the same either way and left out. In stages 3 and 4 the adapter is
frozen and merged into the weights, in the step that recomputes as well; one more row shows that
step without.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from shared.bars import Bar, paired, show_bars
from shared.published import library_prefill
from shared.timing import arguments, interleaved, machine, show
from shared.toy import pictures, storybook_model
from torch import nn
from transformers.models.qwen2_vl.modeling_qwen2_vl import VisionAttention

from emosym.device import cpu_plan
from emosym.emotions import MIKELS8
from emosym.models.adapters import merged_adapter, train_adapter
from emosym.models.reader.prefix import Prefix, prefill, vision_features
from emosym.models.reader.reader import ADAPTER, Reader, prepare_inputs
from emosym.models.reader.reasoner import think
from emosym.models.reader.vision_shortcuts import BatchedVisionAttention
from emosym.training.stages.feed import label_targets, picture_feed
from emosym.training.stages.losses import label_loss
from emosym.training.stages.prefix_store import store_prefixes
from emosym.types import picture_sample

RECOMPUTED, KEPT = "from pictures each step", "from kept prefixes"
APART = "from pictures each step, adapter not merged, whole forward pass"
LIMITS = (
    "the five steps themselves: forward and backward of one token after the other, whose small "
    "products, casts and Python calls the saved prefix does not shorten"
)


def step_of(
    reader: Reader, targets: torch.Tensor, prefix: Callable[[], Prefix], bf16: bool
) -> Callable[[], None]:
    """Return one training step of what requires a gradient in the reader."""
    trained = [p for p in reader.reasoner.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            thought = think(reader.reasoner, prefix())
            logits = reader.reasoner.logits(thought.emotion_latent, reader.space)
            loss = label_loss(logits, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure_steps(reader: Reader, batch: int, repeats: int, bf16: bool) -> list[Bar]:
    """Time stage 1 with kept features, then stages 3 and 4 with kept prefixes."""
    drawn = pictures(batch)
    samples = [picture_sample(id=str(i), label=MIKELS8.labels[i % 8]) for i in range(batch)]
    targets = label_targets(samples, reader.space)
    feed = picture_feed(reader, samples, targets, drawn)
    images = [Image.fromarray(picture) for picture in drawn]
    rows = np.arange(batch)
    reasoner = reader.reasoner
    kind = "bf16" if bf16 else "fp32"

    def from_pixels() -> Prefix:
        return prefill(reasoner.backbone, prepare_inputs(reader, images))

    reasoner.requires_grad_(False)
    train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.heads.requires_grad_(True)
    seconds = interleaved(
        {
            RECOMPUTED: step_of(reader, targets, from_pixels, bf16),
            "from kept vision features": step_of(reader, targets, lambda: feed.prefix(rows), bf16),
        },
        repeats,
    )
    show(f"Stage 1 step (adapter, tokens, head), batch {batch}, {kind}", seconds, RECOMPUTED)
    train_adapter(reasoner.backbone, ADAPTER, False)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.heads.requires_grad_(True)
    apart = replace(reader, reasoner=copy.deepcopy(reasoner))  # its adapter is not merged

    def apart_from_pixels() -> Prefix:
        return library_prefill(apart.reasoner.backbone, prepare_inputs(apart, images))

    with merged_adapter(reasoner.backbone, ADAPTER):
        store = store_prefixes(feed)
        if store is None:
            raise SystemExit("The prefixes of this base cannot be kept.")
        seconds = interleaved(
            {
                RECOMPUTED: step_of(reader, targets, from_pixels, bf16),
                APART: step_of(apart, targets, apart_from_pixels, bf16),
                "from kept vision features": step_of(
                    reader, targets, lambda: feed.prefix(rows), bf16
                ),
                KEPT: step_of(reader, targets, lambda: store.prefix(rows), bf16),
            },
            repeats,
        )
    show(f"Stage 3 and 4 step (tokens, head), batch {batch}, {kind}", seconds, RECOMPUTED)
    size = sum(t.numel() * t.element_size() for t in (*store.keys, *store.values)) / batch
    print(f"\nA kept prefix takes {size / 1000:.0f} kB.")
    reasoner.requires_grad_(False)
    return [
        paired(f"{name} / {KEPT}, {kind}", seconds, name, KEPT, 5.0, LIMITS, at_least=True)
        for name in (RECOMPUTED, APART)
    ]


def library_reader(reader: Reader) -> Reader:
    """Return a copy of the reader whose vision attention is the library's loop over pictures."""
    reasoner = copy.deepcopy(reader.reasoner)
    for module in reasoner.backbone.modules():
        attention: Any = getattr(module, "attn", None)
        if type(attention) is BatchedVisionAttention:
            plain = VisionAttention(attention.config)
            plain.qkv, plain.proj = attention.qkv, attention.proj
            module.attn = plain
    return replace(reader, reasoner=reasoner)


def measure_vision(reader: Reader, batch: int, repeats: int) -> None:
    """Time the vision tower over equally sized pictures with both attentions."""
    inputs = prepare_inputs(reader, [Image.fromarray(p) for p in pictures(batch)])
    looped = library_reader(reader)

    def features(which: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return vision_features(which.backbone, inputs)  # type: ignore[arg-type]

    gap = float((features(reader.reasoner) - features(looped.reasoner)).abs().max())
    seconds = interleaved(
        {
            "the library's loop": lambda: features(looped.reasoner),
            "one batch": lambda: features(reader.reasoner),
        },
        repeats,
    )
    show(f"Vision tower, {batch} pictures, fp32, forward", seconds, "the library's loop")
    print(f"\nLargest difference of the features: {gap:.1e}.")


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    plan = cpu_plan()
    torch.set_num_threads(plan.threads)
    batch = 8 if options.quick else 64
    with storybook_model() as (model, name):
        print(f"Reader: {name}, attention {plan.attention}.")
        measure_vision(model.reader, batch, options.repeats)
        bars: list[Bar] = []
        for bf16 in (False,) if options.quick else (False, True):
            bars += measure_steps(model.reader, batch, options.repeats, bf16)
    show_bars(bars)
    machine(options.quick, options.repeats, plan.threads)


if __name__ == "__main__":
    main()
