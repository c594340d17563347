"""Conversations into what a model takes: tokens, pictures, and which tokens are answers.

A row may hold no, one or several pictures, of any sizes, anywhere between its words. Qwen-VL,
InternVL and models of text alone are fed by their tokenizer and image processor; any other family
goes through its own processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from emosym.data.images import load_image, square
from emosym.errors import UsageError
from emosym.models.chat import INTERNVL, ChatModel, image_token, image_token_counts
from emosym.models.odd_shapes import check_shape
from emosym.models.reader.prefix import FRAMES, family
from emosym.types import Conversation, Frame, Message

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A batch ready for a model.

    `inputs` holds input_ids and attention_mask (B, P), padded on the left, and the family's picture
    tensors of all rows one after another; where a row has not exactly one picture also `frames`
    (B,), how many each has. `answers` (B, P) is True on tokens of messages that are learned, with
    the token that ends them.
    """

    inputs: dict[str, torch.Tensor]
    answers: torch.Tensor


def ask_of_pictures(
    pictures: Sequence[Image.Image], questions: str | Sequence[str]
) -> list[Conversation]:
    """Return one conversation a picture: the picture, then the question."""
    asked = [questions] * len(pictures) if isinstance(questions, str) else questions
    return [(Message("user", pair),) for pair in zip(pictures, asked, strict=True)]


def render(chat: ChatModel, conversations: Sequence[Conversation]) -> Rendered:
    """Turn conversations into one batch; one that does not end with an answer waits for it.

    Raises:
        UsageError: for a picture that cannot be read or that the model does not take, and for a
            chat template that does not render such a conversation.
    """
    pictures = [[prepared(chat, part) for part in pictures_of(c)] for c in conversations]
    if any(pictures):
        require_sight(chat)
    counts = [len(row) for row in pictures]
    if chat.processor is not None:
        inputs, learned = _by_processor(chat, conversations, pictures)
    else:
        inputs, learned = _by_tokenizer(chat, conversations, pictures)
    if any(count != 1 for count in counts):
        inputs[FRAMES] = torch.tensor(counts)
    width = inputs["input_ids"].shape[1]
    answers = torch.tensor([[False] * (width - len(row)) + row for row in learned])
    on_device = {name: tensor.to(chat.device) for name, tensor in inputs.items()}
    return Rendered(on_device, answers.to(chat.device))


def require_sight(chat: ChatModel) -> None:
    """Raise UsageError unless a model takes pictures."""
    if not chat.reads_pictures:
        raise UsageError(
            f"A {family(chat.backbone)!r} model reads text only: give it text, or take a model "
            "that reads pictures, too."
        )


def plain_inputs(chat: ChatModel, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Turn texts that a model is to go on with into inputs (B, P), without any chat template."""
    rows = [chat.tokenizer.encode(without_controls(chat, text)) for text in texts]
    inputs = padded(chat, rows) | {FRAMES: torch.zeros(len(rows), dtype=torch.int64)}
    return {name: tensor.to(chat.device) for name, tensor in inputs.items()}


def pictures_of(conversation: Conversation) -> list[Frame]:
    """Return the pictures of a conversation, in order."""
    return [part for message in conversation for part in message.parts if not _is_text(part)]  # type: ignore[misc]


def row_tokens(
    chat: ChatModel, conversation: Conversation, sizes: Sequence[int]
) -> tuple[list[int], list[bool]]:
    """Return the tokens of one row and which of them are learned, each (P,).

    `sizes` says how many tokens each picture takes; the pictures themselves are not looked at.
    """
    text, spans = _rendered_text(chat, conversation)
    expanded = expand(chat, text, sizes)
    if not spans:
        ids: list[int] = chat.tokenizer.encode(expanded, add_special_tokens=False)
        return ids, [False] * len(ids)
    moved = [(_moved(chat, text, a, sizes), _moved(chat, text, b, sizes)) for a, b in spans]
    return _encoded(chat.tokenizer, expanded, moved)


def _is_text(part: object) -> bool:
    return isinstance(part, str)


def prepared(chat: ChatModel, frame: Frame) -> Image.Image:
    """Return a picture as RGB, cut square where the model's are."""
    ready = isinstance(frame, Image.Image) and frame.mode == "RGB"
    picture = frame if ready else load_image(frame)
    assert isinstance(picture, Image.Image)
    check_shape(chat.shaping, picture)
    return picture if chat.image_size is None else square(picture, chat.image_size)


def _by_tokenizer(
    chat: ChatModel, conversations: Sequence[Conversation], pictures: list[list[Image.Image]]
) -> tuple[dict[str, torch.Tensor], list[list[bool]]]:
    """Return inputs and learned tokens a row, of families fed by tokenizer and image processor."""
    encoded, sizes_of_all = encoded_pictures(chat, pictures)
    left = iter(sizes_of_all)
    known: dict[Any, tuple[list[int], list[bool]]] = {}  # rows of a batch are often alike
    rows = []
    for conversation, row in zip(conversations, pictures, strict=True):
        sizes = tuple(next(left) for _ in row)
        said = tuple((m.role, m.learned, *map(_key, m.parts)) for m in conversation)
        if (said, sizes) not in known:
            known[said, sizes] = row_tokens(chat, conversation, sizes)
        rows.append(known[said, sizes])
    inputs = padded(chat, [ids for ids, _ in rows])
    add_pictures(chat, inputs, encoded)
    return inputs, [learned for _, learned in rows]


def encoded_pictures(
    chat: ChatModel, pictures: Sequence[Sequence[Image.Image]]
) -> tuple[Mapping[str, Any], list[int]]:
    """Encode the pictures of all rows; returns that, and how many tokens each picture takes."""
    flat = [picture for row in pictures for picture in row]
    if not flat:
        return {}, []
    encoded: Mapping[str, Any] = chat.image_processor(images=flat, return_tensors="pt")
    return encoded, image_token_counts(chat, encoded)


def add_pictures(
    chat: ChatModel, inputs: dict[str, torch.Tensor], encoded: Mapping[str, Any]
) -> None:
    """Put encoded pictures, if any, beside the tokens of a batch."""
    if not encoded:
        return
    inputs["pixel_values"] = encoded["pixel_values"]
    if "image_grid_thw" in encoded:
        inputs["image_grid_thw"] = encoded["image_grid_thw"]
        placed = inputs["input_ids"] == image_token(chat)
        inputs["mm_token_type_ids"] = placed.int() * inputs["attention_mask"].int()
    if "num_patches" in encoded:
        inputs["num_patches"] = torch.as_tensor(encoded["num_patches"])


def _key(part: str | Frame) -> str | None:
    return part if isinstance(part, str) else None


def _by_processor(
    chat: ChatModel, conversations: Sequence[Conversation], pictures: list[list[Image.Image]]
) -> tuple[dict[str, torch.Tensor], list[list[bool]]]:
    """Return inputs and learned tokens a row, of families with a processor of their own."""
    texts, learned = [], []
    for conversation, row in zip(conversations, pictures, strict=True):
        text, spans = _rendered_text(chat, conversation)
        texts.append(text)
        ends = [_processed_length(chat, text[:end], row) for span in spans for end in span]
        flags = [False] * (_processed_length(chat, text, row) if spans else 0)
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            flags[start:end] = [True] * (end - start)
        learned.append(flags)
    encoded = chat.processor(
        images=pictures if any(pictures) else None,
        text=texts,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    return dict(encoded), learned


def _processed_length(chat: ChatModel, text: str, pictures: Sequence[Image.Image]) -> int:
    """Return how many tokens a processor makes of the beginning of a rendered text."""
    token = getattr(chat.processor, "image_token", None)
    shown = list(pictures[: text.count(token)]) if token else list(pictures)
    encoded = chat.processor(images=[shown] if shown else None, text=[text], return_tensors="pt")
    return int(encoded["input_ids"].shape[1])


def _rendered_text(chat: ChatModel, conversation: Conversation) -> tuple[str, list[Span]]:
    """Return a conversation as its chat template writes it, and where learned messages stand.

    Raises:
        UsageError: when the model has no chat template, or one that does not put an answer where
            the model is asked for it.
    """
    if not getattr(chat.renderer, "chat_template", None):
        raise UsageError("This model has no chat template: take the instruction-tuned one.")
    messages = [template_message(chat, message) for message in conversation]
    waits = not conversation or conversation[-1].role != "assistant"
    whole = templated(chat, messages, waits)
    spans = []
    for place, message in enumerate(conversation):
        if not message.learned:
            continue
        before = templated(chat, messages[:place], True)
        until = templated(chat, messages[: place + 1], False).rstrip()
        if not whole.startswith(before) or not until.startswith(before):
            raise UsageError(
                "This model's chat template does not let an answer begin with its first word, as "
                "of models that think first: take the instruction-tuned one."
            )
        mark = str(chat.tokenizer.decode([chat.end_token]))
        at = whole.find(mark, len(before))
        spans.append((len(before), at + len(mark) if at >= 0 else len(until)))
    return whole, spans


def templated(chat: ChatModel, messages: list[dict[str, Any]], waits: bool) -> str:
    """Return messages as the chat template writes them, with `waits` up to an answer's begin."""
    return str(
        chat.renderer.apply_chat_template(messages, tokenize=False, add_generation_prompt=waits)
    )


def template_message(chat: ChatModel, message: Message) -> dict[str, Any]:
    """Return a message as chat templates take it."""
    texts = [
        without_controls(chat, part) if isinstance(part, str) else None for part in message.parts
    ]
    if not chat.reads_pictures:
        return {"role": message.role, "content": "".join(text or "" for text in texts)}
    content: list[dict[str, str]] = [
        {"type": "image"} if text is None else {"type": "text", "text": text} for text in texts
    ]
    return {"role": message.role, "content": content}


def without_controls(chat: ChatModel, text: str) -> str:
    """Part the names of special tokens in a text, so that it cannot end its own turn."""
    known = chat.tokenizer.added_tokens_decoder.values()
    names = {*chat.tokenizer.all_special_tokens, *(str(token) for token in known if token.special)}
    if chat.reads_pictures and getattr(chat.backbone.config, "image_token_id", None) is not None:
        names.add(str(chat.tokenizer.convert_ids_to_tokens(image_token(chat))))
    for name in sorted((n for n in names if len(n) > 1), key=len, reverse=True):
        text = text.replace(name, f"{name[0]} {name[1:]}")
    return text


def expand(chat: ChatModel, text: str, sizes: Sequence[int]) -> str:
    """Put each picture's tokens where the template has its mark.

    Raises:
        UsageError: when the template places another number of pictures.
    """
    if not chat.reads_pictures:
        return text
    mark = str(chat.tokenizer.convert_ids_to_tokens(image_token(chat)))
    pieces = text.split(mark)
    if len(pieces) - 1 != len(sizes):
        raise UsageError(
            f"The chat template must place {len(sizes)} picture(s) by the token {mark!r}; it "
            f"placed {len(pieces) - 1}."
        )
    start = end = ""
    if family(chat.backbone) in INTERNVL:
        start, end = chat.tokenizer.start_image_token, chat.tokenizer.end_image_token
    expanded = pieces[0]
    for size, piece in zip(sizes, pieces[1:], strict=True):
        expanded += f"{start}{mark * size}{end}{piece}"
    return expanded


def _moved(chat: ChatModel, text: str, place: int, sizes: Sequence[int]) -> int:
    """Return where a place in a rendered text lies once its pictures are expanded."""
    head = text[:place]
    if not chat.reads_pictures:
        return place
    mark = str(chat.tokenizer.convert_ids_to_tokens(image_token(chat)))
    return len(expand(chat, head, sizes[: head.count(mark)]))


def _encoded(
    tokenizer: PreTrainedTokenizerBase, text: str, spans: Sequence[Span]
) -> tuple[list[int], list[bool]]:
    """Return the tokens of a text, and which of them begin inside one of the spans."""
    if not tokenizer.is_fast:
        ids: list[int] = []
        learned: list[bool] = []
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        for number, (start, end) in enumerate(pairwise(edges)):
            piece = tokenizer.encode(text[start:end], add_special_tokens=False)
            ids += piece
            learned += [number % 2 == 1] * len(piece)
        return ids, learned
    encoded: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    flags = [any(a <= start < b for a, b in spans) for start, _ in encoded["offset_mapping"]]
    return list(encoded["input_ids"]), flags


def padded(
    chat: ChatModel, rows: Sequence[list[int]], side: str = "left"
) -> dict[str, torch.Tensor]:
    """Return input_ids and attention_mask (B, P) of rows of tokens, padded on one side."""
    longest = max(len(row) for row in rows)
    pad = chat.tokenizer.pad_token_id
    filler = int(chat.tokenizer.eos_token_id if pad is None else pad)

    def full(row: list[int], blank: int) -> list[int]:
        blanks = [blank] * (longest - len(row))
        return blanks + row if side == "left" else row + blanks

    ids = torch.tensor([full(row, filler) for row in rows])
    mask = torch.tensor([full([1] * len(row), 0) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}
