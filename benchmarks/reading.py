"""What an answer costs: one understanding against a bare prefill, and against answers in words.

All variants get the same prepared inputs, so that decoding files and the image processor cancel.
The spoken answers run the same decoding loop as a spoken rationale and always all their tokens.
"""

from __future__ import annotations

import torch
from PIL import Image
from shared.timing import arguments, interleaved, machine, show
from shared.toy import pictures, storybook_model
from transformers import DynamicCache

from emosym.device import cpu_plan
from emosym.emotions import MIKELS8
from emosym.models.prefix import Prefix, prefill
from emosym.models.reading import Reader, prepare_inputs
from emosym.models.reasoner import Thought, say, think

CHAIN = 64
NEVER = -1  # as an end token: nothing stops a spoken answer before its length
PREFILL, UNDERSTANDING = "one prefill", "understanding ([CTX] x 4, [EMO], head)"


def speaker(prefix: Prefix) -> Thought:
    """Return a state that speaks right after a prefix, without any latent token."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys, values, layer)
    nothing = torch.empty(0)
    return Thought(
        *(nothing, nothing, nothing, cache, prefix.mask),
        next_position=prefix.next_position,
        prefix_length=prefix.mask.shape[1],
    )


@torch.no_grad()
def measure(reader: Reader, batch: int, repeats: int, chain: int) -> None:
    """Time all variants on one batch and print their table."""
    reasoner = reader.reasoner
    images = [Image.fromarray(picture) for picture in pictures(batch)]
    inputs = prepare_inputs(reader, images)
    words = [reader.tokenizer.encode(w, add_special_tokens=False) for w in MIKELS8.labels]
    word = round(sum(len(ids) for ids in words) / len(words)) + 1  # and the end of the turn

    def understand() -> torch.Tensor:
        thought = think(reasoner, prefill(reasoner.backbone, inputs))
        return reasoner.logits(thought.emotion_latent, reader.space).softmax(-1)

    def speak(tokens: int) -> list[list[int]]:
        state = speaker(prefill(reasoner.backbone, inputs))
        return say(reasoner, state, reader.start_token, NEVER, max_new_tokens=tokens)

    seconds = interleaved(
        {
            PREFILL: lambda: prefill(reasoner.backbone, inputs),
            UNDERSTANDING: understand,
            f"writing the label word ({word} tokens)": lambda: speak(word),
            f"a chain of {chain} tokens, then the word": lambda: speak(chain + word),
        },
        repeats,
    )
    show(f"Reading {batch} picture(s)", seconds, PREFILL)


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    threads = cpu_plan().threads
    torch.set_num_threads(threads)
    with storybook_model() as (model, name):
        print(f"Reader: {name}, attention {cpu_plan().attention}, fp32.")
        for batch in (1,) if options.quick else (1, 16, 64):
            measure(model.reader, batch, options.repeats, 8 if options.quick else CHAIN)
    machine(options.quick, options.repeats, threads)


if __name__ == "__main__":
    main()
