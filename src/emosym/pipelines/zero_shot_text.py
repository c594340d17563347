"""A stock language model reads text: the likelihood of each emotion word, divided by a prior.

The word completes a sentence about what was said. Asked as in a chat, with the words listed, a
small model answers with the same few words whatever it is shown (docs/real-weights.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.chat import ChatModel
from emosym.models.reader.likelihood import (
    answer_likelihoods,
    log_prior,
    pack_answers,
)
from emosym.models.reader.prefix import shortest_window, text_config
from emosym.models.render import plain_inputs
from emosym.pipelines.zero_shot_reading import ZeroShotReader, word_readings
from emosym.types import Sample, UnderstandingOutput

SENTENCE = "{text}\n\nThe emotion that the speaker of this sentence feels is"
DIALOGUE = "{text}\n\nThe emotion that the speaker of the last line feels is"
END = "."
NOTHING_SAID = ("", "N/A", "...")  # what the prior is measured on (Zhao et al., 2021)
MOST_TOKENS = 4096  # of a prompt, where a model would take more: what one reading may cost
LONGEST_TOKEN = 16  # characters, on average over a text; in English it is about 4


def open_text_reader(chat: ChatModel, space: LabelSpace) -> ZeroShotReader:
    """Measure a model's prior over the labels on texts that say nothing."""
    encode = chat.tokenizer.encode
    rows = [
        encode(f" {label}", add_special_tokens=False) + encode(END, add_special_tokens=False)
        for label in space.labels
    ]
    answers = pack_answers(rows, chat.device)
    prompts = [SENTENCE.replace("{text}", quoted(text)) for text in NOTHING_SAID]
    prior = log_prior(answer_likelihoods(chat, plain_inputs(chat, prompts), answers))
    return ZeroShotReader(chat, space, SENTENCE, answers, prior)


def quoted(text: str) -> str:
    """Put a text into quotation marks, on one line."""
    return '"' + " ".join(text.split()) + '"'


def asked_of(sample: Sample | str) -> str:
    """Return what a model is to complete for a text, or a sample's turns up to the one in question.

    Raises:
        UsageError: when there are no words.
    """
    if isinstance(sample, str):
        if not sample.strip():
            raise UsageError("The text is empty: there is nothing to read.")
        return SENTENCE.replace("{text}", quoted(sample))
    last = len(sample.turns) if sample.focus is None else sample.focus + 1
    turns = [turn for turn in sample.turns[:last] if turn.text and turn.text.strip()]
    if not turns:
        raise UsageError(f"Sample {sample.id!r} has no text to read.")
    if len(turns) == 1 and turns[0].speaker is None:
        return SENTENCE.replace("{text}", quoted(str(turns[0].text)))
    lines = [f"{turn.speaker or 'Somebody'}: {' '.join(str(turn.text).split())}" for turn in turns]
    return DIALOGUE.replace("{text}", "\n".join(lines))


def prompt_of(reader: ZeroShotReader, sample: Sample | str) -> str:
    """Return the prompt about a text or sample.

    Raises:
        UsageError: when there are no words, or more than the model takes.
    """
    prompt = asked_of(sample)
    most = longest_prompt(reader)
    few = prompt[: LONGEST_TOKEN * most]  # of more characters there are too many tokens anyway
    if plain_inputs(reader.chat, [few])["input_ids"].shape[1] > most:
        raise UsageError(f"The text has more than the {most} tokens that are read at most: cut it.")
    return prompt


def longest_prompt(reader: ZeroShotReader) -> int:
    """Return how many tokens a prompt may have, with room for the answers after it."""
    config = text_config(reader.chat.backbone)
    taken = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
    window = shortest_window(reader.chat.backbone) or MOST_TOKENS
    return min(int(taken), window, MOST_TOKENS) - int(reader.answers.offsets.max()) - 1


def read_texts(reader: ZeroShotReader, prompts: Sequence[str]) -> list[UnderstandingOutput]:
    """Read prompts of `prompt_of` as one batch."""
    if not prompts:
        return []
    inputs = plain_inputs(reader.chat, prompts)
    return word_readings(reader, answer_likelihoods(reader.chat, inputs, reader.answers))
