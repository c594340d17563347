"""What a turn of a conversation costs: one pass a dialogue, one prompt a turn, an answer in words.

All three read the same dialogues with the same model, each in the batches that suit it best (tried
on a part of them), those of like length together, from words to the label of every turn. One pass
a dialogue and one prompt a turn with its history end at the same latents and the same head: how far
their logits differ is printed. The spoken answers are greedy, of the task `mer`, and as long as a
label with its end. The head is untrained, so no accuracy is compared, only what it costs.

The clock is processor time. `--meld FOLDER` takes dialogues of MELD's dev split, else storybook
conversations give their words. The second table joins dialogues until they have so many turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from shared.bars import Bar, paired, show_bars
from shared.timing import arguments, interleaved, machine, ratio
from shared.toy import quiet_libraries

from emosym.data.sources.open import open_dataset
from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.device import cpu_plan
from emosym.emotions import LabelSpace, label_space
from emosym.errors import EmoSymError
from emosym.models.adapters import add_adapter, language_lora
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base, write_base
from emosym.models.reader.answering import answer_all
from emosym.models.reader.prefix import prefill
from emosym.models.reader.reader import ADAPTER, Reader, prepare_samples
from emosym.models.reader.reasoner import think
from emosym.models.reader.talks import UNKNOWN, Talk, read_all_turns
from emosym.models.tokenizer import train_tokenizer
from emosym.seeds import numpy_rng
from emosym.tasks.mer import mer
from emosym.tasks.question import QUESTIONS
from emosym.types import Sample, Turn

PRESET = "smollm2-135m"
ONE_PASS, A_PROMPT, SPOKEN = "one pass a dialogue", "one prompt a turn", "spoken answers"
LENGTHS = (2, 4, 8, 16, 33)
CURVE_TURNS = 66  # of all dialogues of one length together, about
OVER_PROMPTS, OVER_SPOKEN = 5.0, 20.0
SPACE: LabelSpace = label_space("meld7")
ROUTES: dict[str, tuple[int, ...]] = {
    ONE_PASS: (2, 4, 16),
    A_PROMPT: (4, 16, 64),
    SPOKEN: (4, 16, 64),
}


@dataclass(frozen=True)
class Reading:
    """A model that reads, with what is read: `dialogues` of words, and each turn's own question."""

    model: EmoSymModel
    dialogues: tuple[Sample, ...]
    answer_tokens: int

    @property
    def turns(self) -> int:
        """How many turns there are in all."""
        return sum(len(dialogue.turns) for dialogue in self.dialogues)

    @property
    def asked(self) -> list[Sample]:
        """Every turn with what was said before it, the shortest first."""
        found = [
            replace(dialogue, turns=dialogue.turns[: turn + 1], focus=turn)
            for dialogue in self.dialogues
            for turn in range(len(dialogue.turns))
        ]
        return sorted(found, key=words_of)


def words_of(sample: Sample) -> int:
    """Return how many words a sample has."""
    return sum(len((turn.text or "").split()) for turn in sample.turns)


def one_pass(reading: Reading, batch: int) -> np.ndarray:
    """Return the logits of every turn (turns, C), from one pass a dialogue."""
    talks = [
        Talk(one, np.full(len(one.turns), UNKNOWN), None, np.arange(len(one.turns)))
        for one in reading.dialogues
    ]
    return np.concatenate([r.logits for r in read_all_turns(reading.model.reader, talks, batch)])


@torch.no_grad()
def a_prompt(reading: Reading, batch: int) -> dict[tuple[str, int], np.ndarray]:
    """Return the logits of every turn by (dialogue, turn), from a prompt each with its history."""
    reader, asked, found = reading.model.reader, reading.asked, {}
    for start in range(0, len(asked), batch):
        some = asked[start : start + batch]
        prefix = prefill(reader.reasoner.backbone, prepare_samples(reader, some))
        latents = think(reader.reasoner, prefix).emotion_latent
        for sample, row in zip(some, reader.reasoner.logits(latents, SPACE), strict=True):
            found[sample.id, sample.focus or 0] = row.numpy()
    return found


def spoken(reading: Reading, batch: int) -> list[str]:
    """Return an answer in words about every turn, which sees its history."""
    task, asked, said = mer(SPACE), reading.asked, list[str]()
    for start in range(0, len(asked), batch):
        some = [task.conversation(sample) for sample in asked[start : start + batch]]
        said += answer_all(reading.model.reader.chat, some, reading.answer_tokens)
    return said


WAYS: dict[str, Callable[[Reading, int], object]] = {
    ONE_PASS: one_pass,
    A_PROMPT: a_prompt,
    SPOKEN: spoken,
}


def best_batches(reading: Reading, sizes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the batch size of each way that reads a part of the dialogues in the least time."""
    count = max(2, len(reading.dialogues) // 3)
    part, found = replace(reading, dialogues=reading.dialogues[:count]), {}
    for way, run in WAYS.items():
        costs = {}
        for size in sizes[way]:
            start = time.process_time()
            run(part, size)
            costs[size] = time.process_time() - start
        found[way] = min(costs, key=lambda size: costs[size])
    return found


def timed(reading: Reading, batches: Mapping[str, int], repeats: int) -> dict[str, list[float]]:
    """Return processor seconds of each repetition of each way."""
    variants = {way: (lambda run=run, b=batches[way]: run(reading, b)) for way, run in WAYS.items()}
    return interleaved(variants, repeats, time.process_time)


def largest_difference(reading: Reading, batches: Mapping[str, int]) -> tuple[float, float]:
    """Return how far the logits of both ways to read differ at most, and how large they are."""
    whole = one_pass(reading, batches[ONE_PASS])
    each = a_prompt(reading, batches[A_PROMPT])
    keys = [(one.id, turn) for one in reading.dialogues for turn in range(len(one.turns))]
    rows = np.stack([each[key] for key in keys])
    return float(np.abs(whole - rows).max()), float(np.abs(rows).max())


def all_dialogues(meld: Path | None) -> list[tuple[Turn, ...]]:
    """Return the words of dialogues: of MELD's dev split, or of storybook conversations."""
    if meld is None:
        drawn = (draw_dialogue(0, number, "test") for number in range(160))
        found = [tuple(Turn(t.speaker, t.text) for t in one.turns) for one in drawn]
    else:
        data = open_dataset("meld", meld, "dev")
        found = [tuple(Turn(t.speaker, t.text) for t in turns) for turns in data.conversations]
    order = numpy_rng(0, "benchmark-dialogues").permutation(len(found))
    return [found[place] for place in order.tolist()]


def joined(dialogues: Sequence[tuple[Turn, ...]], length: int, total: int) -> tuple[Sample, ...]:
    """Return about `total` turns as dialogues of exactly `length`, cut from a row of all turns."""
    row = [turn for turns in dialogues for turn in turns]
    count = max(1, round(total / length))
    row = row * -(-count * length // len(row))
    return tuple(
        Sample(f"{length}-{i}", tuple(row[i * length : (i + 1) * length])) for i in range(count)
    )


@contextmanager
def opened(quick: bool, texts: Sequence[str]) -> Iterator[tuple[EmoSymModel, str]]:
    """Yield the model of the recipe `meld` before it trains, and what its weights are."""
    quiet_libraries()
    if not quick and is_here():
        yield fresh(PRESET), PRESET
        return
    told = f"random weights of {PRESET}'s configuration, with a tokenizer of these texts"
    with TemporaryDirectory() as temporary:
        base = random_base(Path(temporary) / "base", quick, texts)
        yield fresh(str(base)), "random weights of a tiny configuration" if quick else told


def is_here() -> bool:
    """Return whether the preset's weights are on this machine."""
    try:
        resolve_base(PRESET).reader_folder()
    except EmoSymError:
        return False
    return True


def fresh(base: str) -> EmoSymModel:
    """Open a base with fresh tokens, head and adapter, as the recipe `meld` has them."""
    found = resolve_base(base, painter="none")
    model = new_model(found, 1, False, "turns", seed=0, space=SPACE)
    backbone = model.reader.reasoner.backbone
    add_adapter(backbone, language_lora(backbone, 16, 32, 0.0), ADAPTER, 0)
    model.reader.reasoner.eval()
    return model


def random_base(folder: Path, quick: bool, texts: Sequence[str]) -> Path:
    """Write a base of SmolLM2-135M's configuration, or of a tiny one, with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer([*texts, *QUESTIONS.values()], 512 if quick else 8192)
    hidden, layers, heads = (48, 2, 3) if quick else (576, 30, 9)
    config = LlamaConfig(
        vocab_size=len(tokenizer) if quick else 49152,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder / "reader")
    tokenizer.save_pretrained(folder / "reader")
    write_base(folder, 64, {"seed": 0})
    return folder


def show_ways(
    title: str, reading: Reading, seconds: Mapping[str, list[float]], batches: Mapping[str, int]
) -> None:
    """Print turns a second of each way, and how one pass compares with it."""
    print(f"\n### {title}\n")
    print(f"| what | at once | turns a CPU second | '{ONE_PASS}' over it (quartiles) |")
    print("| --- | ---: | ---: | ---: |")
    for way, times in seconds.items():
        low, middle, high = ratio(seconds, way, ONE_PASS)
        told = "1" if way == ONE_PASS else f"{middle:.2f} ({low:.2f} to {high:.2f})"
        speed = reading.turns / statistics.median(times)
        print(f"| {way} | {batches[way]} | {speed:.2f} | {told} |")


def show_curve(rows: Mapping[int, tuple[Reading, Mapping[str, list[float]]]]) -> None:
    """Print the same by the length of the dialogues."""
    print("\n### By the length of the dialogue\n")
    print(f"| turns | {ONE_PASS}, turns a CPU second | over {A_PROMPT} | over {SPOKEN} |")
    print("| ---: | ---: | ---: | ---: |")
    for length, (reading, seconds) in rows.items():
        speed = reading.turns / statistics.median(seconds[ONE_PASS])
        cells = [f"{length}", f"{speed:.2f}"]
        for way in (A_PROMPT, SPOKEN):
            low, middle, high = ratio(seconds, way, ONE_PASS)
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        print(f"| {' | '.join(cells)} |")


def label_tokens(reader: Reader) -> int:
    """Return how many tokens an answer has: the label's, on average, and the end."""
    words = [
        reader.tokenizer.encode(w.capitalize(), add_special_tokens=False) for w in SPACE.labels
    ]
    return round(statistics.mean(map(len, words))) + 1


def with_more(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone is told."""
    parser.add_argument("--meld", type=Path, default=None, help="Folder with dev_sent_emo.csv.")
    parser.add_argument("--dialogues", type=int, default=16, help="How many are read.")


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__), with_more)
    torch.set_num_threads(cpu_plan().threads)
    found = all_dialogues(options.meld)
    texts = [f"{turn.speaker}: {turn.text}" for turns in found for turn in turns]
    count = 3 if options.quick else options.dialogues
    sizes = dict.fromkeys(ROUTES, (2,)) if options.quick else ROUTES
    with opened(options.quick, texts) as (model, told):
        read = tuple(Sample(f"d{i}", turns) for i, turns in enumerate(found[:count]))
        reading = Reading(model, read, label_tokens(model.reader))
        source = "storybook conversations, words alone" if options.meld is None else "MELD, dev"
        print(
            f"Weights: {told}, float32; dialogues: {source}; spoken answers of "
            f"{reading.answer_tokens} tokens."
        )
        batches = best_batches(reading, sizes)
        seconds = timed(reading, batches, options.repeats)
        title = f"{len(read)} dialogues of {reading.turns / len(read):.1f} turns"
        show_ways(title, reading, seconds, batches)
        far, large = largest_difference(reading, batches)
        print(
            f"\nLargest difference between the logits of the first two: {far:.1e} (of {large:.1f})."
        )
        curve = {}
        for length in (2, 4) if options.quick else LENGTHS:
            part = replace(
                reading, dialogues=joined(found, length, 8 if options.quick else CURVE_TURNS)
            )
            curve[length] = part, timed(part, batches, min(options.repeats, 5))
        show_curve(curve)
    bars: list[Bar] = []
    for way, bar in ((A_PROMPT, OVER_PROMPTS), (SPOKEN, OVER_SPOKEN)):
        limits = "what remains beside the words: the branches of latents, and short dialogues"
        what = f"turns a CPU second, {ONE_PASS} / {way}"
        bars.append(paired(what, seconds, way, ONE_PASS, bar, limits, at_least=True))
    show_bars(bars)
    machine(options.quick, options.repeats, cpu_plan().threads)


if __name__ == "__main__":
    main()
