"""What an answer costs: one understanding against a bare prefill, and against answers in words.

All variants of a table get the same prepared inputs, so that decoding files and the image
processor cancel. The spoken answers run the same decoding loop as a spoken rationale and always
all their tokens. The larger pictures show where the ratio goes when a picture has more tokens than
storybook's 16: Qwen2-VL at 2B gives a photograph some hundreds. The last table reads a folder of
JPEG files: decoded while the batch before is read, against decoding each batch first.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from shared.bars import Bar, paired, show_bars
from shared.published import library_prefill
from shared.timing import arguments, interleaved, machine, show
from shared.toy import pictures, storybook_model
from transformers import DynamicCache

from emosym.data.images import load_image, square
from emosym.device import cpu_plan
from emosym.emotions import MIKELS8
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.prefix import Prefix, prefill
from emosym.models.reader.reader import Reader, prepare_inputs
from emosym.models.reader.reasoner import Thought, say, think
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_reading import read_pictures

CHAIN, SIDE, BAR = 64, 64, 1.05
JPEG_SIDE, JPEG_BATCH, WORKERS = 512, 32, 2
NEVER = -1  # as an end token: nothing stops a spoken answer before its length
PREFILL, UNDERSTANDING = "one forward pass of the library", "understanding ([CTX] x 4, [EMO], head)"
FIRST, AHEAD, ONLY = "decode a batch, then read it", "`understand_many`", "reading only"
FIVE_OF = (
    "five tokens more, one after the other: {share:.0%} of the {tokens} before them, "
    "which the vision tower's share of a prefill makes smaller and the small steps larger"
)


def speaker(prefix: Prefix) -> Thought:
    """Return a state that speaks right after a prefix, without any latent token."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys, values, layer)
    nothing = torch.empty(0)
    return Thought(
        nothing,
        nothing,
        nothing,
        cache,
        prefix.mask,
        next_position=prefix.next_position,
        prefix_length=prefix.mask.shape[1],
    )


def for_side(reader: Reader, side: int) -> Reader:
    """Return the reader with an image processor that keeps pictures of side x side as they are."""
    processor = copy.deepcopy(reader.image_processor)
    processor.size = {"shortest_edge": side * side, "longest_edge": side * side}
    return replace(reader, image_processor=processor, image_size=side)


@torch.no_grad()
def measure(
    reader: Reader, batch: int, side: int, repeats: int, chain: int | None = None
) -> list[Bar]:
    """Time an understanding, and with `chain` also spoken answers; print their table."""
    reader = for_side(reader, side)
    reasoner = reader.reasoner
    images = [Image.fromarray(picture).resize((side, side)) for picture in pictures(batch)]
    inputs = prepare_inputs(reader, images)
    words = [reader.tokenizer.encode(w, add_special_tokens=False) for w in MIKELS8.labels]
    word = round(sum(len(ids) for ids in words) / len(words)) + 1  # and the end of the turn

    def understand() -> torch.Tensor:
        thought = think(reasoner, prefill(reasoner.backbone, inputs))
        return reasoner.logits(thought.emotion_latent, reader.space).softmax(-1)

    def speak(tokens: int) -> list[list[int]]:
        state = speaker(prefill(reasoner.backbone, inputs))
        return say(reasoner, state, reader.start_token, NEVER, max_new_tokens=tokens)

    variants = {
        PREFILL: lambda: library_prefill(reasoner.backbone, inputs),
        UNDERSTANDING: understand,
    }
    if chain is not None:
        variants[f"writing the label word ({word} tokens)"] = lambda: speak(word)
        variants[f"a chain of {chain} tokens, then the word"] = lambda: speak(chain + word)
    seconds = interleaved(variants, repeats)
    tokens = inputs["input_ids"].shape[1]
    title = f"Reading {batch} picture(s) of {side} px: {tokens} tokens with the question"
    show(title, seconds, PREFILL, images=batch)
    added = reasoner.latent_tokens.num_context_tokens + 1
    limits = FIVE_OF.format(share=added / tokens, tokens=tokens)
    what = f"understanding / one forward pass, {batch} x {side} px"
    return [paired(what, seconds, UNDERSTANDING, PREFILL, BAR, limits)]


def measure_files(model: EmoSymModel, count: int, repeats: int) -> list[Bar]:
    """Read a folder of JPEG files, decoded ahead, first, or before the clock starts."""
    pipeline, size = EmoSymPipeline(model), model.reader.image_size
    assert size is not None
    with TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{i:04d}.jpg" for i in range(count)]
        for path, picture in zip(paths, pictures(count), strict=True):
            Image.fromarray(picture).resize((JPEG_SIDE, JPEG_SIDE)).save(path, quality=90)
        decoded = [square(load_image(path), size) for path in paths]

        def decode_first() -> None:
            for first in range(0, count, JPEG_BATCH):
                chunk = [square(load_image(p), size) for p in paths[first : first + JPEG_BATCH]]
                read_pictures(model, chunk, batch_size=JPEG_BATCH)

        seconds = interleaved(
            {
                FIRST: decode_first,
                AHEAD: lambda: list(pipeline.understand_many(paths, JPEG_BATCH, WORKERS)),
                ONLY: lambda: read_pictures(model, decoded, batch_size=JPEG_BATCH),
            },
            repeats,
        )
    title = f"Reading {count} JPEG files of {JPEG_SIDE} px, in batches of {JPEG_BATCH}"
    show(title, seconds, FIRST, images=count)
    cores = "reading keeps every core busy, so that decoding finds none idle"
    return [paired("`understand_many` / decoding first", seconds, AHEAD, FIRST, 1.0, cores)]


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__))
    threads = cpu_plan().threads
    torch.set_num_threads(threads)
    bars: list[Bar] = []
    with storybook_model() as (model, name):
        print(f"Reader: {name}, attention {cpu_plan().attention}, fp32.")
        for batch in (1,) if options.quick else (1, 16, 64):
            chain = 8 if options.quick else CHAIN
            bars = measure(model.reader, batch, SIDE, options.repeats, chain)
        few = min(options.repeats, 7)
        for side in (2 * SIDE,) if options.quick else (2 * SIDE, 4 * SIDE):
            batch = 2 if options.quick else 64 * SIDE // side
            bars += measure(model.reader, batch, side, few)
        bars += measure_files(model, 8 if options.quick else 256, few)
    show_bars(bars)
    machine(options.quick, options.repeats, threads)


if __name__ == "__main__":
    main()
