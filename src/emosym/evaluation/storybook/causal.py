"""Do the context latents cause what the model answers, says and paints?

The picture's prefix stays, and c comes from another picture of the same or of another emotion. Two
ways: `swap` hands [EMO] and the words all of the donor's [CTX] tokens, latents, keys and values;
`feed` only the donor's latents as inputs of the chain. `block` hides [CTX] from [EMO]; `cut` also
feeds the chain the mean latents, so that nothing of c reaches [EMO]. A picture's own c must change
nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from emosym.data.images import load_image
from emosym.data.sources.emoset import NO_LABEL, Dataset
from emosym.data.storybook.facts import KINDS, facts_of, spoken
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.evaluation.results.value_intervals import add_mean
from emosym.evaluation.storybook.causal_painting import painting_values
from emosym.evaluation.storybook.faithfulness import divergence
from emosym.metrics.cues import Facts
from emosym.models.calibration import calibrated
from emosym.models.reader.prefix import Prefix, extend, grow, open_cache
from emosym.models.reader.prefix_cache import whole
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think
from emosym.pipelines.trained_reading import open_pictures, speak
from emosym.seeds import numpy_rng
from emosym.types import only_picture

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline

BATCH = 50
DONORS = ("same", "other")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model does with N pictures: probabilities by way, words and latents.

    `shares` maps a way to (N, C); `said` a way to N rationales spoken through the gist mask;
    `emotion` (N, H) and `context` (N, K, H) are the pictures' own.
    """

    shares: Mapping[str, np.ndarray]
    said: Mapping[str, list[str]]
    emotion: torch.Tensor
    context: torch.Tensor


def evaluate_causal(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    subject: Mapping[str, Any] | None = None,
    paintings: int = 120,
) -> dict[str, Any]:
    """Return a result named `causal`; the first `paintings` pictures are painted in three ways.

    Painting is left out where the base has no judges or the painter does not hear c. `progress` is
    called with the number of pictures just read or painted.

    Raises:
        UsageError: when there is no context token, the labels or attributes are not the
            storybook's, or an emotion has one picture only.
    """
    if pipeline.model.reader.tokens.num_context_tokens == 0:
        raise UsageError("This checkpoint has no context token, so there is nothing to swap.")
    advance = progress or (lambda count: None)
    samples = list(dataset)
    shown = [load_image(only_picture(sample)) for sample in samples]
    facts = [facts_of(sample) for sample in samples]
    labels = dataset.labels()
    donors = draw_donors(labels, seed)
    answers = ask(pipeline, shown, donors, advance)
    values: dict[str, Any] = {}
    answer_values(values, answers.shares, donors, labels, seed)
    said = {way: [spoken(text) for text in texts] for way, texts in answers.said.items()}
    word_values(values, said, facts, donors, seed)
    extractors: dict[str, str] = {}
    if paintings and pipeline.base.judges is not None and hears_context(pipeline):
        latents, first = (answers.emotion, answers.context), min(paintings, len(samples))
        extractors = painting_values(
            values, pipeline, latents, donors, facts, labels, first, seed, advance
        )
    return make_result("causal", values, len(samples), seed, extractors=extractors, subject=subject)


def hears_context(pipeline: EmoSymPipeline) -> bool:
    """Return whether context latents reach the painter."""
    return pipeline.can_paint and pipeline.model.condition == "emotion_context"


def draw_donors(labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Draw for each of (N,) class indices another picture of its class and one of another class.

    Raises:
        UsageError: naming what is missing: a label, or a second picture or class.
    """
    rng = numpy_rng(seed, "causal-donors")
    found = {way: np.empty(len(labels), dtype=np.int64) for way in DONORS}
    for row, label in enumerate(labels):
        same = np.flatnonzero((labels == label) & (np.arange(len(labels)) != row))
        other = np.flatnonzero(labels != label)
        if label == NO_LABEL or not len(same) or not len(other):
            raise UsageError(
                "Swapping needs labelled pictures of two emotions or more, and two of each."
            )
        found["same"][row], found["other"][row] = rng.choice(same), rng.choice(other)
    return found


@torch.no_grad()
def ask(
    pipeline: EmoSymPipeline,
    shown: Sequence[Image.Image],
    donors: Mapping[str, np.ndarray],
    progress: Callable[[int], None],
) -> Answers:
    """Read every picture by itself and in every other way, and let it speak through the latents."""
    reader = pipeline.model.reader
    reasoner = reader.reasoner
    batches = [np.arange(i, min(i + BATCH, len(shown))) for i in range(0, len(shown), BATCH)]

    def prefix_of(rows: np.ndarray) -> Prefix:
        return open_pictures(reader, [shown[int(i)] for i in rows])[0]

    shares: dict[str, list[np.ndarray]] = {}
    said: dict[str, list[str]] = {}
    emotion: list[torch.Tensor] = []
    context: list[torch.Tensor] = []

    def note(way: str, thought: Thought) -> None:
        logits = reasoner.logits(thought.emotion_latent, reader.space).double().cpu().numpy()
        found = calibrated(logits, pipeline.model.calibration)  # (B, C)
        shares.setdefault(way, []).append(found)

    def hear(way: str, thought: Thought) -> None:
        texts = speak(reader, thought, gist=True)
        said.setdefault(way, []).extend(text or "" for text in texts)

    for rows in batches:
        own = think(reasoner, prefix_of(rows))
        emotion.append(own.emotion_latent.float().cpu())
        context.append(own.context_latents.float().cpu())
    mean = torch.cat(context).mean(dim=0, keepdim=True).to(reasoner.device)  # (1, K, H)
    for rows in batches:
        prefix = prefix_of(rows)
        own = think(reasoner, prefix)
        note("own", own)
        note("self_feed", think(reasoner, prefix, given=own.context_latents))
        note("self_swap", with_context_of(reasoner, prefix, own))
        note("block", think(reasoner, prefix, block_context=True))
        given = mean.expand(len(rows), -1, -1)
        note("cut", think(reasoner, prefix, given=given, block_context=True))
        for kind in DONORS:
            donor = think(reasoner, prefix_of(donors[kind][rows]))
            note(f"feed_{kind}", think(reasoner, prefix, given=donor.context_latents))
            swapped = with_context_of(reasoner, prefix, donor)
            note(f"swap_{kind}", swapped)
            hear(f"swap_{kind}", swapped)
        hear("own", own)
        progress(len(rows))
    joined = {way: np.concatenate(parts) for way, parts in shares.items()}
    return Answers(joined, said, torch.cat(emotion), torch.cat(context))


def with_context_of(reasoner: EmotionReasoner, prefix: Prefix, donor: Thought) -> Thought:
    """Think [EMO] after a prefix (B) and the [CTX] tokens of other thoughts (B), as they are.

    Raises:
        UsageError: when the donors' prefixes are not of the same length: their keys would stand
            in other places.
    """
    tokens, start = reasoner.latent_tokens, donor.prefix_length
    count, batch = tokens.num_context_tokens, len(prefix.next_position)
    place = prefix.next_position + count + 1
    if start != prefix.mask.shape[1] or not torch.equal(place, donor.next_position):
        raise UsageError("Context tokens can be swapped between pictures of one size only.")
    cache = open_cache(prefix)
    for layer, source in zip(cache.layers, donor.cache.layers, strict=True):
        keys, values = whole(source)  # (B, kv_heads, S, d)
        layer.update(keys[:, :, start : start + count], values[:, :, start : start + count])
    embed = tokens.emotion_embed.expand(batch, -1, -1)  # (B, 1, H)
    if tokens.recurrent:
        embed = embed + tokens.fed_back(donor.context_latents[:, -1:])
    mask = grow(prefix.mask, count)
    emotion = extend(reasoner.backbone, embed, cache, mask, prefix.next_position + count)
    return Thought(
        context_latents=donor.context_latents,
        context_means=donor.context_means,
        emotion_latent=emotion[:, 0],
        cache=cache,
        mask=grow(mask, 1),
        next_position=place,
        prefix_length=start,
    )


def answer_values(
    values: dict[str, Any],
    shares: Mapping[str, np.ndarray],
    donors: Mapping[str, np.ndarray],
    labels: np.ndarray,
    seed: int,
) -> None:
    """Store how each way changes the answer.

    `_flip`: share of readings that change; `_tv`: total variation; `_kl`: KL(own || changed), nats;
    `_accuracy`; `_to_donor`: of the pictures whose donor is read as another emotion, the share that
    is then read as the donor.
    """
    own = shares["own"]
    tops = own.argmax(axis=1)
    for kind in ("feed", "swap"):
        values[f"self_{kind}_change"] = float(np.abs(shares[f"self_{kind}"] - own).max())
    add_mean(values, "own_accuracy", (tops == labels).astype(np.float64), seed)
    for way in ("feed_same", "feed_other", "swap_same", "swap_other", "block", "cut"):
        found = shares[way]
        now = found.argmax(axis=1)
        add_mean(values, f"{way}_flip", (now != tops).astype(np.float64), seed)
        add_mean(values, f"{way}_tv", np.abs(found - own).sum(axis=1) / 2, seed)
        add_mean(values, f"{way}_kl", divergence(own, found), seed)
        add_mean(values, f"{way}_accuracy", (now == labels).astype(np.float64), seed)
        donor = donors.get(way.rpartition("_")[2])
        if donor is not None:
            apart = tops[donor] != tops
            moved = (now == tops[donor])[apart].astype(np.float64)
            add_mean(values, f"{way}_to_donor", moved, seed)


def word_values(
    values: dict[str, Any],
    said: Mapping[str, Sequence[Facts]],
    facts: Sequence[Facts],
    donors: Mapping[str, np.ndarray],
    seed: int,
) -> None:
    """Store whose scene, objects, face and action the words name, where the two pictures differ.

    `words_<own|swap>_<same|other>_<kind>_<host|donor>`: share of what only the host, only the donor
    shows that is named. `own` is the control: the same pairs, but nothing is swapped.
    """
    for pair in DONORS:
        theirs = [facts[i] for i in donors[pair]]
        for way, texts in (("own", said["own"]), ("swap", said[f"swap_{pair}"])):
            for kind in KINDS:
                for side, here, there in (("host", facts, theirs), ("donor", theirs, facts)):
                    only = [a[kind] - b[kind] for a, b in zip(here, there, strict=True)]
                    each = [
                        len(text[kind] & names) / len(names)
                        for text, names in zip(texts, only, strict=True)
                        if names
                    ]
                    add_mean(values, f"words_{way}_{pair}_{kind}_{side}", np.array(each), seed)
