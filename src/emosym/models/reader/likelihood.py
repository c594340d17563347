"""How likely each label word is as an answer: one prefill per sample, all words in one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from emosym.errors import EmoSymError, UsageError
from emosym.models.chat import ChatModel
from emosym.models.reader.prefix import Prefix, extend, next_logits, open_cache, prefill
from emosym.models.render import ask_of_pictures, render
from emosym.seeds import numpy_rng

MOST_LOGITS = 1 << 26  # held at once: 256 MiB in fp32
CONTENT_FREE_SIDE = 448  # pixels, where pictures keep their own size
GREY = 127


@dataclass(frozen=True, slots=True)
class Answers:
    """Label words as they would be answered, all behind one prompt.

    `tokens` (T,) follow the prompt's last token, which is put before them: per word all of its
    tokens but the one that ends the turn. Of the T + 1 places, `within` (T + 1, T + 1) says which
    see which, and `offsets` (T + 1,) where they stand. Scored are S tokens: `source` (S,) is the
    place that foretells `target` (S,), a token of word `label` (S,).
    """

    tokens: torch.Tensor
    within: torch.Tensor
    offsets: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    label: torch.Tensor


def answer_tokens(chat: ChatModel, word: str) -> list[int]:
    """Return the tokens with which a model would answer a word, the end of the turn included.

    The word is put into the model's own chat template, so that a template's space or line break
    before an answer is where the model expects it.

    Raises:
        UsageError: when the model has no chat template, or one that puts more before an answer.
    """
    renderer = chat.renderer
    if not getattr(renderer, "chat_template", None):
        raise UsageError("This model has no chat template: take the instruction-tuned one.")
    asked: dict[str, Any] = {"role": "user", "content": "?"}
    answered: dict[str, Any] = {"role": "assistant", "content": word}
    if chat.reads_pictures:
        asked["content"] = [{"type": "image"}, {"type": "text", "text": "?"}]
        answered["content"] = [{"type": "text", "text": word}]
    before = str(renderer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True))
    whole = str(renderer.apply_chat_template([asked, answered], tokenize=False))
    if not whole.startswith(before):
        raise UsageError(
            "This model's chat template does not let an answer begin with the word itself, as of "
            "models that think first: take the instruction-tuned one."
        )
    end = chat.end_token
    mark = str(chat.tokenizer.convert_ids_to_tokens(end))
    tail = whole.removeprefix(before).split(mark)[0].rstrip()
    encode = chat.tokenizer.encode
    prompt = encode(before, add_special_tokens=False)
    ids = encode(before + tail, add_special_tokens=False)
    if ids[: len(prompt)] != prompt:  # the answer's first characters joined the prompt's last token
        return [*encode(tail, add_special_tokens=False), end]
    return [*ids[len(prompt) :], end]


def pack_answers(rows: Sequence[Sequence[int]], device: torch.device) -> Answers:
    """Lay out answers of one or more tokens each for one call."""
    tokens: list[int] = []
    owner, offsets = [-1], [0]  # of the prompt's last token
    scored: list[tuple[int, int, int]] = []  # source, target, label
    for label, row in enumerate(rows):
        scored.append((0, row[0], label))
        for place, token in enumerate(row[:-1], start=1):
            tokens.append(token)
            owner.append(label)
            offsets.append(place)
            scored.append((len(tokens), row[place], label))
    owners = torch.tensor(owner)
    order = torch.arange(len(owner))
    same = (owners[:, None] == owners[None, :]) | (owners[None, :] == -1)  # (T + 1, T + 1)
    within = same & (order[None, :] <= order[:, None])
    source, target, label_of = torch.tensor(scored).T
    parts = (torch.tensor(tokens, dtype=torch.int64), within, torch.tensor(offsets))
    return Answers(*(part.to(device) for part in (*parts, source, target, label_of)))


def word_likelihoods(
    chat: ChatModel, pictures: Sequence[Image.Image], question: str, answers: Answers
) -> torch.Tensor:
    """Return log p(word | picture, question), (B, L); see `answer_likelihoods`."""
    return answer_likelihoods(
        chat, render(chat, ask_of_pictures(pictures, question)).inputs, answers
    )


@torch.no_grad()
def answer_likelihoods(
    chat: ChatModel, inputs: Mapping[str, torch.Tensor], answers: Answers
) -> torch.Tensor:
    """Return log p(word | prompt), (B, L) fp64 on the CPU, of inputs as `chat` makes them.

    A word's is the sum over its tokens and the end of the turn: the chance that exactly this word
    is the answer. Nothing is divided by length.
    """
    prefix = without_last(prefill(chat.backbone, inputs))
    count = len(prefix.next_position)
    last = inputs["input_ids"][:, -1:]  # (B, 1)
    ids = torch.cat([last, answers.tokens.expand(count, -1)], dim=1)  # (B, T + 1)
    hidden = extend(
        chat.backbone,
        chat.backbone.get_input_embeddings()(ids),  # type: ignore[operator]
        open_cache(prefix),
        prefix.mask,
        prefix.next_position,
        answers.within,
        answers.offsets,
    )  # (B, T + 1, H)
    scores = torch.cat([_scored(chat, rows, answers) for rows in _in_pieces(chat, hidden)])
    words = int(answers.label.max()) + 1
    total = scores.new_zeros(count, words)
    return total.index_add_(1, answers.label.cpu(), scores)  # (B, L)


def _in_pieces(chat: ChatModel, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
    table = chat.backbone.get_output_embeddings()  # type: ignore[operator]
    rows = max(1, MOST_LOGITS // (hidden.shape[1] * int(table.weight.shape[0])))
    yield from hidden.split(rows)


def _scored(chat: ChatModel, hidden: torch.Tensor, answers: Answers) -> torch.Tensor:
    """Return the log-probability of every scored token, (b, S) fp64 on the CPU."""
    logits = next_logits(chat.backbone, hidden).float()  # (b, T + 1, V)
    total = logits.logsumexp(dim=-1)  # (b, T + 1)
    chosen = logits[:, answers.source, answers.target] - total[:, answers.source]  # (b, S)
    if not bool(chosen.isfinite().all()):
        raise EmoSymError("The model's answers are not finite numbers: its weights are damaged.")
    return chosen.double().cpu()


def without_last(prefix: Prefix) -> Prefix:
    """Return a prefix without its last column, which is a token of every row."""
    return Prefix(
        tuple(keys[:, :, :-1] for keys in prefix.keys),
        tuple(values[:, :, :-1] for values in prefix.values),
        prefix.mask[:, :-1],
        prefix.next_position - 1,
    )


def content_free_pictures(side: int | None) -> list[Image.Image]:
    """Return a grey picture and one of uniform noise: what a model answers to nothing."""
    side = side or CONTENT_FREE_SIDE
    rng = numpy_rng(0, "content-free")
    noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return [Image.new("RGB", (side, side), (GREY,) * 3), Image.fromarray(noise)]


def log_prior(likelihoods: torch.Tensor) -> torch.Tensor:
    """Return the log of the mean share of each word over content-free pictures: (F, L) to (L,)."""
    shares = likelihoods.log_softmax(dim=-1)
    return shares.logsumexp(dim=0) - float(np.log(len(shares)))


def corrected(likelihoods: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Divide shares by a prior and normalise: (B, L) log-likelihoods to probabilities (B, L).

    Contextual calibration (Zhao et al., 2021): what the model says of nothing is no evidence.
    """
    return (likelihoods - prior).softmax(dim=-1)
