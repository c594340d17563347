"""One step of `align` over the bare backbone, and of `rl` over the published loop.

`align` runs at w_say = 0: batch, forward, backward, clipping and optimizers, over a forward and
backward pass of the same backbone with the same adapter on the same pictures and prompt, its
inputs prepared beforehand. `rl` is compared with `shared/published.py`. Rows "from pictures" take
our vision features away, so that what is left does not come from keeping them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from shared.bars import Bar, paired, show_bars
from shared.jobs import Corpus, draw_corpus, feed_of, fresh_model, handed_over, step_of
from shared.published import bytes_held, published_rl
from shared.timing import arguments, interleaved, machine, show
from shared.toy import storybook_base
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from emosym.config.load import load_recipe
from emosym.config.recipes import AlignRecipe, RlRecipe
from emosym.device import cpu_plan
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.prefix import rotary_positions
from emosym.models.reader.reader import feature_inputs, prepare_inputs
from emosym.training.stages import align, rl
from emosym.training.stages.feed import Feed

BARE, BARE_KEPT = "bare forward and backward", "the same, from kept vision features"
ALIGN = "`align` step, w_say = 0"
RL, RL_PICTURES, PUBLISHED = "`rl` step", "`rl` step, from pictures", "`rl` step as published"
EXTRA_STEPS = (
    "five steps of one token after a prompt of some forty, and the optimizers; of a picture of "
    "hundreds of tokens they should be a smaller share (not measured)"
)


@dataclass(frozen=True)
class Built:
    """A stage's step, its model and feed, and what its loop was given."""

    step: Callable[[], None]
    model: EmoSymModel
    feed: Feed
    given: tuple[Any, ...]


def bf16_here() -> bool:
    """Return whether training computes in bf16 on this CPU."""
    return cpu_plan().dtype == "bfloat16"


def built(
    corpus: Corpus, batch: int | None, train: Callable[[EmoSymModel, Feed], object], kept: bool
) -> Built:
    """Put a fresh adapter on the base and run `train` up to its loop."""
    recipe = load_recipe("demo-align")
    assert isinstance(recipe, AlignRecipe)
    model = fresh_model(corpus, recipe)
    align.use_lora(model, recipe)
    feed = feed_of(model, corpus, ())
    feed = feed if kept else replace(feed, features=None)
    settings, *rest = handed_over(lambda _corpus, _left_out: train(model, feed), corpus, ())
    settings = replace(
        settings, bf16=bf16_here(), batch_size=min(batch or settings.batch_size, len(feed))
    )
    given = (settings, *rest)
    return Built(stepper(given), model, feed, given)


def stepper(given: tuple[Any, ...], loss_fn: Any = None) -> Callable[[], None]:
    """Return the loop's step for what a stage handed over, or with another loss."""
    settings, modules, optimizers, _schedule, size, own = given
    return step_of(settings, modules, optimizers, size, loss_fn or own)


def bare_pass(built_step: Built, kept: bool) -> Callable[[], None]:
    """Return a forward and backward pass of the backbone on one batch of pictures and prompts."""
    model, feed = built_step.model, built_step.feed
    backbone: Any = model.reader.reasoner.backbone
    batch = built_step.given[0].batch_size
    assert feed.pictures is not None and feed.features is not None
    inputs: dict[str, Any]
    if kept:
        features = feed.features[:batch]
        inputs = feature_inputs(model.reader, features)
        positions = rotary_positions(model.reader.reasoner.backbone, inputs)
        inputs.pop("image_grid_thw")
        pooled = BaseModelOutputWithPooling(pooler_output=tuple(features))
        inputs["mm_encoder_outputs"] = {"image": pooled}
    else:
        inputs = prepare_inputs(model.reader, [Image.fromarray(p) for p in feed.pictures[:batch]])
        positions = rotary_positions(model.reader.reasoner.backbone, inputs)
    inputs["attention_mask"] = None  # nothing is padded
    trained = [p for p in backbone.parameters() if p.requires_grad]

    def run() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16_here()):
            output = backbone.model(**inputs, position_ids=positions, use_cache=False)
        output.last_hidden_state.float().square().mean().backward()
        for parameter in trained:
            parameter.grad = None

    return run


def count_calls(modules: tuple[nn.Module, ...], run: Callable[[], None]) -> int:
    """Return how often any of `modules` is called while `run` runs."""
    calls: list[int] = []
    hooks = [m.register_forward_hook(lambda *_: calls.append(1)) for m in modules]
    run()
    for hook in hooks:
        hook.remove()
    return len(calls)


def measure_align(corpus: Corpus, batch: int | None, repeats: int) -> list[Bar]:
    """Time a step of stage 1 without speech, and count what it asks of the text encoder."""
    recipe = load_recipe("demo-align", ["w_say=0"])
    assert isinstance(recipe, AlignRecipe)
    ours = built(corpus, batch, lambda m, f: align.train_align(m, f, recipe, progress=False), True)
    seconds = interleaved(
        {BARE: bare_pass(ours, False), BARE_KEPT: bare_pass(ours, True), ALIGN: ours.step},
        repeats,
    )
    show(f"{ALIGN}, batch {ours.given[0].batch_size}", seconds, BARE)
    calls = count_calls(ours.model.painter.text_encoders, ours.step)
    return [
        paired(f"{ALIGN} / {BARE}", seconds, ALIGN, BARE, 1.10, EXTRA_STEPS),
        paired(f"{ALIGN} / {BARE_KEPT}", seconds, ALIGN, BARE_KEPT, 1.10, EXTRA_STEPS),
        Bar("text encoder calls in a step of `align`", calls, 0, "a text is encoded anew"),
    ]


def measure_rl(corpus: Corpus, batch: int | None, repeats: int) -> list[Bar]:
    """Time a step of stage 2 and weigh what it holds, against the published loop."""
    recipe = load_recipe("demo-rl")
    assert isinstance(recipe, RlRecipe)

    def train(model: EmoSymModel, feed: Feed) -> object:
        return rl.train_rl(model, feed, recipe, progress=False)

    ours, pictures, theirs = (built(corpus, batch, train, kept) for kept in (True, False, False))
    published = published_rl(theirs.feed, theirs.model.reader.reasoner)
    seconds = interleaved(
        {
            PUBLISHED: stepper(theirs.given, published.loss_fn),
            RL: ours.step,
            RL_PICTURES: pictures.step,
        },
        repeats,
    )
    show(f"`rl` step, batch {ours.given[0].batch_size}", seconds, PUBLISHED)
    logits = torch.zeros_like(ours.feed.targets)  # of the reference, kept for the whole set
    held = bytes_held((ours.model.reader.reasoner,), logits)
    theirs_held = bytes_held(published.models)
    print(
        f"\nWeights held: {held / 1e6:.1f} MB with {len(ours.feed)} rows of reference logits, as "
        f"published {theirs_held / 1e6:.1f} MB."
    )
    either = "the chain of latents runs in both, and only what comes before it is saved"
    return [
        paired(f"{RL} / as published", seconds, RL, PUBLISHED, 0.65, either),
        paired(f"{RL_PICTURES} / as published", seconds, RL_PICTURES, PUBLISHED, 0.65, either),
        Bar("`rl` weight bytes / as published", held / theirs_held, 0.55, "-", unit="x"),
    ]


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    repeats = min(options.repeats, 11)
    plan = cpu_plan()
    torch.set_num_threads(plan.threads)
    batch, samples = (4, 8) if options.quick else (None, 128)
    with storybook_base() as (base, told):
        print(f"Weights: {told}. Both sides: {plan.dtype}, {plan.attention} attention.")
        corpus = draw_corpus(base, samples)
        bars = measure_align(corpus, batch, repeats) + measure_rl(corpus, batch, repeats)
    show_bars(bars)
    machine(options.quick, repeats, plan.threads)


if __name__ == "__main__":
    main()
