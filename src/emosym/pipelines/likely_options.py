"""Which answer a model finds likeliest: options of a question in every place, or given words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from emosym.models.chat import ChatModel
from emosym.models.reader.likelihood import answer_likelihoods, answer_tokens, pack_answers
from emosym.models.render import render
from emosym.tasks.choice import LETTERS, ask_options, options_of
from emosym.tasks.task import Task, task_labels
from emosym.types import Conversation, Sample


def likely_words(
    chat: ChatModel,
    conversations: Sequence[Conversation],
    words: Sequence[str],
    batch_size: int = 8,
) -> np.ndarray:
    """Return the share of each of some answers, float64 (N, L), rows sum to 1."""
    answers = pack_answers([answer_tokens(chat, word) for word in words], chat.device)
    rows = []
    for start in range(0, len(conversations), batch_size):
        inputs = render(chat, conversations[start : start + batch_size]).inputs
        rows.append(answer_likelihoods(chat, inputs, answers).softmax(dim=-1))
    return np.asarray(torch.cat(rows).numpy(), dtype=np.float64)


def label_shares(
    chat: ChatModel, task: Task, samples: Sequence[Sample], batch_size: int = 8
) -> np.ndarray:
    """Return the share of each label of a task, said as an answer, float64 (N, L); rows sum to 1.

    Samples of like length are asked together.

    Raises:
        UsageError: for a task whose answers are no labels.
    """
    words = [f"{label.capitalize()}." for label in task_labels(task)]
    asked = [task.conversation(sample) for sample in samples]
    sizes = [sum(len(str(part)) for message in one for part in message.parts) for one in asked]
    order = sorted(range(len(asked)), key=lambda place: (sizes[place], place))
    shares = likely_words(chat, [asked[place] for place in order], words, batch_size)
    found = np.empty_like(shares)
    found[order] = shares
    return found


def orders_of(count: int) -> list[list[int]]:
    """Return the cyclic orders of options: every option stands at every place once.

    Row r lists the options from the first place on; option o is at place (o + r) mod count.
    """
    return [[(place - turn) % count for place in range(count)] for turn in range(count)]


def likely_options(
    chat: ChatModel,
    samples: Sequence[Sample],
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> list[np.ndarray]:
    """Return for each sample the shares of its O options, (O, O): a row an order of `orders_of`.

    The model is asked for a letter; a share is of that letter among those there are, put back to
    its option.

    Raises:
        UsageError: for a sample without options, or a model without a chat template.
    """
    found = []
    for sample in samples:
        options = options_of(sample)
        orders = orders_of(len(options))
        asked = [ask_options(sample, [options[o] for o in order]) for order in orders]
        letters = likely_words(chat, asked, LETTERS[: len(options)], batch_size)  # (O, O) by place
        shares = np.empty_like(letters)
        for row, order in enumerate(orders):
            shares[row, order] = letters[row]
        found.append(shares)
        if progress is not None:
            progress(1)
    return found
