"""A frozen vision encoder, a projector, a frozen language model, and [CTX] and [EMO] after it.

The encoder's blocks of features become one token each. What is trained is the projector, the latent
tokens, a head that gives each rating a mean and a deviation, and what aligns [CTX] with words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from emosym.models.chat import ChatModel
from emosym.models.reader.latent_tokens import EmotionHead
from emosym.models.reader.prefix import Prefix, extend, grow, open_cache, prefill
from emosym.models.reader.prefix_cache import whole
from emosym.models.reader.reasoner import EmotionReasoner, think
from emosym.models.render import render
from emosym.seeds import torch_rng
from emosym.types import Message

QUESTION = "How pleasant and how exciting is this photograph to people who see it?"
SHARE = 0.2  # of an embedding's deviation: how much a picture adds to it at first
TINY = 1e-3
STEEPEST = 4.0  # of the logarithm of a deviation, to either side of 0


class Projector(nn.Module):
    """Maps each block of a picture's features to one input embedding of the language model.

    An embedding is a learned one of its block plus `SHARE` of what the picture adds. Were it the
    picture's alone, two pictures would be two unrelated words, and what is said after them would
    hardly tell how alike they are.
    """

    def __init__(
        self, sizes: Sequence[int], hidden_size: int, deviation: float, generator: torch.Generator
    ) -> None:
        """Take blocks of `sizes` features of deviation 1; `deviation` is that of the embeddings."""
        super().__init__()
        drawn = torch.randn(len(sizes), hidden_size, generator=generator)
        self.words = nn.Parameter(deviation * drawn)
        maps = [nn.Linear(size, hidden_size) for size in sizes]
        self.maps = nn.ModuleList(maps)
        for one, size in zip(maps, sizes, strict=True):
            nn.init.normal_(one.weight, std=size**-0.5, generator=generator)
            nn.init.zeros_(one.bias)
        self.scale = SHARE * deviation

    def forward(self, blocks: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map blocks (B, d) to tokens (B, blocks, H)."""
        added = [one(block) for one, block in zip(self.maps, blocks, strict=True)]
        found: torch.Tensor = self.words + self.scale * torch.stack(added, dim=1)
        return found


class RatingHead(nn.Module):
    """The head of the reader over latents (B, H) that `settle` has made even: four numbers (B, 4).

    A few dimensions of a language model's states are a hundred times the others, alike for all.
    """

    def __init__(self, hidden_size: int) -> None:
        """Begin with latents as they are."""
        super().__init__()
        self.net = EmotionHead(hidden_size, 4)
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.register_buffer("deviation", torch.ones(hidden_size))

    @torch.no_grad()
    def settle(self, latents: torch.Tensor) -> None:
        """Take mean and deviation of the latents (n, H) of an untrained network, once for all."""
        self.mean = latents.mean(dim=0)
        self.deviation = latents.std(dim=0) + TINY

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents (B, H) to means and logarithms of deviations (B, 4)."""
        found: torch.Tensor = self.net((latents - self.mean) / self.deviation)
        return found


@dataclass(frozen=True, slots=True)
class Network:
    """What reads ratings from blocks of features; `prompt` is the question, read once.

    Without a `prompt` there is no language model in between: the head reads the mean token.
    """

    reasoner: EmotionReasoner
    projector: Projector
    head: RatingHead
    prompt: Prefix | None

    def modules(self) -> Mapping[str, nn.Module]:
        """Return the parts by name, of which the trained ones require a gradient."""
        return {"reasoner": self.reasoner, "projector": self.projector, "head": self.head}


@dataclass(frozen=True, slots=True)
class Rating:
    """Means and logarithms of deviations (B, 2) of standardised ratings, context latents (B, K, H).

    There are no context latents where there is no language model.
    """

    mean: torch.Tensor
    log_deviation: torch.Tensor
    context: torch.Tensor | None


@torch.no_grad()
def read_question(chat: ChatModel) -> Prefix:
    """Return the keys and values of the question, the same for every picture: one row."""
    return prefill(chat.backbone, render(chat, [(Message("user", (QUESTION,)),)]).inputs)


def build_network(
    chat: ChatModel, prompt: Prefix | None, sizes: Sequence[int], context: int, seed: int
) -> Network:
    """Return a network with fresh parts from the streams of a seed; the language model is shared.

    `context` is the number of [CTX] tokens.
    """
    table = chat.backbone.get_input_embeddings().weight  # type: ignore[operator]
    hidden_size = int(table.shape[1])
    chat.backbone.requires_grad_(False).eval()
    reasoner = EmotionReasoner(chat.backbone, context, False, (), hidden_size, seed)
    generator = torch_rng(seed, "photo-anatomy")
    projector = Projector(sizes, hidden_size, float(table.float().std()), generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        head = RatingHead(hidden_size)
    if prompt is None:
        reasoner.requires_grad_(False)
    return Network(reasoner, projector, head, prompt)


def rate(network: Network, blocks: Sequence[torch.Tensor]) -> Rating:
    """Read the ratings of pictures from their blocks of features (B, d)."""
    latent, context = latents_of(network, blocks)
    numbers = network.head(latent)  # (B, 4)
    log_deviation = STEEPEST * torch.tanh(numbers[:, 2:] / STEEPEST)
    return Rating(numbers[:, :2], log_deviation, context)


def latents_of(
    network: Network, blocks: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the emotion latents (B, H) and context latents (B, K, H) of pictures.

    The picture's tokens stand after the question, so that the question is not read again.
    """
    tokens = network.projector(blocks)  # (B, blocks, H)
    if network.prompt is None:
        return tokens.mean(dim=1), None
    asked = network.prompt.select(torch.zeros(len(tokens), dtype=torch.long))
    thought = think(network.reasoner, with_picture(network.reasoner, asked, tokens))
    return thought.emotion_latent.float(), thought.context_latents.float()


def with_picture(reasoner: EmotionReasoner, asked: Prefix, tokens: torch.Tensor) -> Prefix:
    """Return a prefix that goes on with the tokens (B, T, H) of a picture."""
    cache = open_cache(asked)
    extend(reasoner.backbone, tokens, cache, asked.mask, asked.next_position)
    keys, values = zip(*(whole(layer) for layer in cache.layers), strict=True)
    count = tokens.shape[1]
    return Prefix(keys, values, grow(asked.mask, count), asked.next_position + count)


def gaussian_loss(rating: Rating, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean negative log-likelihood of standardised ratings (B, 2), in nats."""
    away = (truth - rating.mean) * (-rating.log_deviation).exp()
    return (0.5 * away**2 + rating.log_deviation).mean() + 0.5 * math.log(2 * math.pi)
