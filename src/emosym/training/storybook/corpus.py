"""What the base is trained on: pictures, tokenizer, the texts' tokens, the judges' pictures.

All of it is a pure function of the recipe, made once in recipe.out, and then only read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emosym.config.recipes import BaseRecipe
from emosym.data import storybook
from emosym.data.storybook.appraisal.tales import OPERATIONS
from emosym.data.storybook.appraisal.words import appraisal_rationale_of, state_in_words
from emosym.data.storybook.appraisal.world import shown_bits
from emosym.data.storybook.levels import CUES_LEVEL, level_named
from emosym.data.storybook.pool import run_pieces
from emosym.errors import StoppedEarly
from emosym.files import write_atomic
from emosym.seeds import stream_seed
from emosym.training.loop.arrays import grow_array
from emosym.training.loop.deadline import is_late

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from emosym.training.storybook.judges import JudgeData
    from emosym.training.storybook.reader import PictureText

log = logging.getLogger(__name__)
IMAGE_SIZE = 64
TOKENIZER_STORIES = 20000
VOCABULARY = 1024
DRAWN_AT_ONCE = 20000  # pictures between two looks at the clock: 20 s on two cores
TOKENIZED_AT_ONCE = 2000


def prepare_data(recipe: BaseRecipe, deadline: float | None = None) -> None:
    """Make everything the recipe's parts read, where it is missing.

    Raises:
        StoppedEarly: at the deadline, after a whole piece of work; the next call goes on.
    """
    tokenizer_of(recipe)
    draw_corpus(recipe, deadline)
    if not texts_path(recipe).is_file():
        make_texts(recipe)
        if is_late(deadline):
            raise StoppedEarly("texts tokenized")
    if "judges" in recipe.parts and not judge_data_path(recipe).is_file():
        make_judge_data(recipe)
        if is_late(deadline):
            raise StoppedEarly("the judges' pictures drawn")


def world_seed(recipe: BaseRecipe) -> int:
    """Return the storybook seed of the base's pictures, which no other stream shares."""
    return stream_seed(recipe.seed, "base-world") % 2**31


def draw_corpus(recipe: BaseRecipe, deadline: float | None = None) -> NDArray[np.uint8]:
    """Return the base's pictures (N, 64, 64, 3), drawn once and kept in recipe.out/corpus.npy."""
    seed = world_seed(recipe)

    def draw(first: int, count: int) -> np.ndarray:
        log.info("drawing pictures %d to %d of %d", first, first + count, recipe.count)
        return storybook.draw_many(
            seed, "train", first, count, IMAGE_SIZE, recipe.workers, level=recipe.level
        )[1]

    shape = (recipe.count, IMAGE_SIZE, IMAGE_SIZE, 3)
    path = recipe.out / "corpus.npy"
    return grow_array(path, shape, np.uint8, draw, DRAWN_AT_ONCE, deadline)


def stories_of(recipe: BaseRecipe, count: int) -> list[storybook.Story]:
    """Return the stories of the corpus: they are a pure function of the seed."""
    seed, draw = world_seed(recipe), level_named(recipe.level).draw
    return [draw(seed, i, "train") for i in range(count)]


def tokenizer_of(recipe: BaseRecipe) -> PreTrainedTokenizerBase:
    """Return the tokenizer, trained once on captions, rationales and dialogues.

    It knows the words of rationales and tales also where the reader will not have met them, as a
    stock model's tokenizer knows everyday words.
    """
    from emosym.models.tokenizer import load_tokenizer, train_tokenizer

    folder = recipe.out / "tokenizer"
    if not (folder / "tokenizer_config.json").is_file():
        stories = stories_of(recipe, min(recipe.count, TOKENIZER_STORIES))
        texts: list[str] = []
        rationale_of = level_named(recipe.level).rationale
        for story in stories:
            texts += [storybook.caption_of(story), rationale_of(story)]
            texts += [f"{q} {a}" for q, a in storybook.questions_of(story)]
        texts += ["What is the emotion of the image?", "Describe the picture."]
        if recipe.level != CUES_LEVEL:
            texts += told_of_appraisals(stories)
        train_tokenizer(texts, VOCABULARY).save_pretrained(str(folder))
    return load_tokenizer(folder)


def told_of_appraisals(stories: Sequence[storybook.Story]) -> list[str]:
    """Return what is said on the levels with appraisals: of pictures, of states, in tales.

    As often as the captions, so that each of their words is one token.
    """
    sentences = [sentence for operation in OPERATIONS for sentence in operation.sentences]
    texts: list[str] = []
    for number, story in enumerate(stories):
        texts += [appraisal_rationale_of(story), sentences[number % len(sentences)]]
        texts.append(f"At first {state_in_words(shown_bits(story))}.")
    return texts


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """The token ids of all texts of N pictures, end to end, in three arrays.

    A picture's texts are its caption, its rationale, then questions and answers in turn. Text t is
    tokens[ends[t]:ends[t + 1]] (`ends` starts with 0); picture i has the texts starts[i] to
    starts[i + 1].
    """

    tokens: NDArray[np.uint16]
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of pictures N."""
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> PictureText:
        """Return the token ids of what can be said about one picture."""
        from emosym.training.storybook.reader import PictureText

        first, last = int(self.starts[index]), int(self.starts[index + 1])
        ends = self.ends[first : last + 1].tolist()
        tokens = self.tokens[ends[0] : ends[-1]].tolist()
        cuts = [end - ends[0] for end in ends]
        texts = [tokens[a:b] for a, b in pairwise(cuts)]
        pairs = list(zip(texts[2::2], texts[3::2], strict=True))
        return PictureText(texts[0], texts[1], pairs)

    def prompts(self, tokenizer: PreTrainedTokenizerBase, length: int) -> NDArray[np.int16]:
        """Return the captions as the painter's prompts (N, length), like `text_encoder.tokenize`.

        Each is: begin, tokens (cut to fit), end, padding.
        """
        first = self.starts[:-1]
        begins, sizes = self.ends[first], self.ends[first + 1] - self.ends[first]
        sizes = np.minimum(sizes, length - 2)
        ids = np.full((len(self), length), tokenizer.pad_token_id, np.int16)
        ids[:, 0] = tokenizer.bos_token_id
        for column in range(length - 2):
            rows = np.flatnonzero(sizes > column)
            ids[rows, column + 1] = self.tokens[begins[rows] + column]
        ids[np.arange(len(self)), sizes + 1] = tokenizer.eos_token_id
        return ids


def texts_path(recipe: BaseRecipe) -> Path:
    """Return where the texts' tokens are."""
    return recipe.out / "texts.npz"


def load_texts(recipe: BaseRecipe) -> StoredTexts:
    """Open what `make_texts` wrote."""
    with np.load(texts_path(recipe)) as found:
        return StoredTexts(found["tokens"], found["ends"], found["starts"])


def make_texts(recipe: BaseRecipe) -> None:
    """Tokenize everything that is said about the corpus, by the recipe's workers."""
    log.info("tokenizing the texts of %d pictures", recipe.count)
    pieces = [
        (
            world_seed(recipe),
            first,
            min(TOKENIZED_AT_ONCE, recipe.count - first),
            recipe.out,
            recipe.level,
            "rationale" in recipe.reader.says,
        )
        for first in range(0, recipe.count, TOKENIZED_AT_ONCE)
    ]
    parts = list(run_pieces(tokenize_piece, pieces, recipe.workers))
    tokens, sizes, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    ends, starts = (np.concatenate([[0], np.cumsum(c, dtype=np.int64)]) for c in (sizes, counts))
    arrays = {"tokens": tokens, "ends": ends, "starts": starts}
    write_atomic(texts_path(recipe), partial(_save_arrays, arrays))


def tokenize_piece(
    seed: int, first: int, count: int, out: Path, level: str, rationales: bool
) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens of `count` stories' texts, each text's size, each story's texts' number.

    Without `rationales` these are empty: what a reader must not see is not even there.
    """
    from emosym.models.tokenizer import load_tokenizer
    from emosym.training.storybook.reader import tokenize_texts

    kind = level_named(level)
    stories = [kind.draw(seed, first + i, "train") for i in range(count)]
    found = tokenize_texts(
        load_tokenizer(out / "tokenizer"),
        [storybook.caption_of(s) for s in stories],
        [kind.rationale(s) if rationales else "" for s in stories],
        [storybook.questions_of(s) for s in stories],
    )
    texts = [
        [text.caption, text.rationale, *(part for pair in text.questions for part in pair)]
        for text in found
    ]
    flat = [ids for story in texts for ids in story]
    return (
        np.array([token for ids in flat for token in ids], np.uint16),
        np.array([len(ids) for ids in flat], np.int64),
        np.array([len(story) for story in texts], np.int64),
    )


def judge_data_path(recipe: BaseRecipe) -> Path:
    """Return where the judges' pictures and labels are."""
    return recipe.out / "judge-data.npz"


def make_judge_data(recipe: BaseRecipe) -> None:
    """Draw the judges' own pictures, by the recipe's workers."""
    from emosym.training.storybook.judges import draw_judge_data

    log.info("drawing %d pictures for the judges", recipe.judges.count)
    data = draw_judge_data(recipe.seed, recipe.judges.count, IMAGE_SIZE, recipe.workers)
    arrays = {"images": data.images, "labels": data.labels, "targets": data.targets}
    arrays |= {f"attribute-{name}": values for name, values in data.attributes.items()}
    write_atomic(judge_data_path(recipe), partial(_save_arrays, arrays))


def load_judge_data(recipe: BaseRecipe) -> JudgeData:
    """Open what `make_judge_data` wrote."""
    from emosym.training.storybook.judges import JudgeData, attribute_names

    names = attribute_names()
    with np.load(judge_data_path(recipe)) as found:
        return JudgeData(
            images=found["images"],
            labels=found["labels"],
            targets=found["targets"],
            attributes={name: found[f"attribute-{name}"] for name in names},
            names=names,
        )


def _save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]
