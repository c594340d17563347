"""The three annotators, made ready from what the shell was told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emosym.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

    from emosym.annotate.protocol import Service
    from emosym.annotate.run import Plan
    from emosym.annotate.writers import Speak
    from emosym.data.dataset import Dataset
    from emosym.types import Sample


MAX_NEW_TOKENS = 160
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def require_attributes(parts: Sequence[Dataset]) -> None:
    """Check that there is anything to write from without a model.

    Raises:
        UsageError: when no picture has an attribute.
    """
    from emosym.annotate.attributes import NOTHING_SAID, blind_attributes, describe_attributes

    def says_something(sample: Sample) -> bool:
        return describe_attributes(blind_attributes(sample.attributes)) != NOTHING_SAID

    if not any(says_something(sample) for part in parts for sample in part):
        raise UsageError(
            f"None of the {sum(map(len, parts)):,} pictures has attributes (scene, objects, face, "
            "action, light, colour) to write from. Let a model look at them: --annotator vlm, on "
            "this machine, or --annotator server."
        )


def plan_attributes() -> Plan:
    """Return the plan that needs no model."""
    from emosym.annotate.run import Plan
    from emosym.annotate.writers import attribute_prompt, write_from_attributes

    return Plan(
        "attributes",
        "none",
        write_from_attributes,
        lambda sample: attribute_prompt(dict(sample.attributes)),
        keep_prompts=False,
        kept_at_once=1000,  # to write one again costs nothing
    )


def plan_vlm(
    base: str, device: str, batch_size: int, template: str | None, blind: bool, space: str
) -> Plan:
    """Return the plan of a model in this process."""
    from emosym.annotate.run import Plan
    from emosym.annotate.writers import local_writer
    from emosym.emotions import label_space

    speak, model, own_prompt, accept = open_speaker(base, device)
    labels = label_space(space).labels
    return Plan(
        "vlm",
        model,
        local_writer(speak, batch_size, 4, blind, labels, accept),
        asks(template or own_prompt or default_prompt(blind)),
        label_blind=blind,
    )


def open_speaker(
    base_name: str, device: str
) -> tuple[Speak, str, str | None, Callable[[Image.Image, str], None]]:
    """Open a base's reader; returns (speak, its name, the question it was taught if any, accept).

    `accept` refuses pictures whose shape its image processor does not take.

    The name of a base folder holds eight digits of its checksums: other weights, another model.
    """
    from emosym.models.presets import BASE_FILE, resolve_base

    base = resolve_base(base_name)  # before the libraries that take seconds to import

    import torch

    from emosym.device import best_device
    from emosym.files import sha256_of
    from emosym.models.odd_shapes import check_shape
    from emosym.models.reader.backbone import open_chat
    from emosym.models.reader.prefix import of_the_model
    from emosym.models.render import ask_of_pictures, render
    from emosym.training.storybook.reader import STANDS_OUT

    chat = open_chat(base, str(best_device(device)))
    model: Any = chat.backbone

    @torch.no_grad()
    def speak(images: Sequence[Image.Image], prompt: str) -> list[str]:
        inputs = of_the_model(render(chat, ask_of_pictures(images, prompt)).inputs)
        said = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        length = inputs["input_ids"].shape[1]
        return list(chat.tokenizer.batch_decode(said[:, length:], skip_special_tokens=True))

    name, sums = Path(base_name).name, Path(base.reader).parent / BASE_FILE
    name += f"@{sha256_of(sums)[:8]}" if sums.is_file() else ""
    asked = STANDS_OUT if base.image_size is not None else None
    return speak, name, asked, partial(check_shape, chat.shaping)


def plan_server(
    service: Service,
    concurrency: int,
    rpm: float | None,
    tpm: float | None,
    template: str | None,
    blind: bool,
    space: str,
    say: Callable[[str], None],
) -> Plan:
    """Return the plan of a model behind an address; nothing is sent before the run."""
    from emosym.annotate.pace import Pace
    from emosym.annotate.run import Plan
    from emosym.annotate.server import open_asker
    from emosym.annotate.writers import server_writer
    from emosym.emotions import label_space

    address = urlsplit(service.url)
    if service.key and address.scheme == "http" and address.hostname not in LOCAL_HOSTS:
        say(f"The key goes to {address.hostname} unencrypted: the address begins with http://.")
    stop = threading.Event()
    labels = label_space(space).labels
    ask = open_asker(service, Pace(rpm, tpm), say, stop, blind, labels)
    return Plan(
        "server",
        service.model,
        server_writer(ask, concurrency, stop),
        asks(template or default_prompt(blind)),
        label_blind=blind,
    )


def default_prompt(blind: bool) -> str:
    """Return the prompt for models that follow instructions."""
    from emosym.annotate.prompts import AWARE, BLIND

    return BLIND if blind else AWARE


def asks(template: str) -> Callable[[Sample], str]:
    """Return what gives a sample's prompt."""
    from emosym.annotate.prompts import fill_prompt
    from emosym.types import IMAGE_EMOTION

    return lambda sample: fill_prompt(template, sample.label_of(IMAGE_EMOTION))


def read_template(prompt: str | None, label_aware: bool, needs_none: bool) -> str | None:
    """Return the prompt of --prompt, its file read where it begins with @.

    Raises:
        UsageError: where it does not go with the other options, or the file cannot be read.
    """
    from emosym.annotate.prompts import LABEL

    if needs_none and (prompt is not None or label_aware):
        given = "--prompt" if prompt is not None else "--label-aware"
        raise UsageError(f"{given} needs a model: add --annotator vlm or --annotator server.")
    if prompt is None:
        return None
    if prompt.startswith("@"):
        path = Path(prompt[1:])
        if not path.is_file():
            raise UsageError(f"--prompt @{path}: there is no such file.")
        try:
            prompt = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError(f"--prompt @{path}: it holds no UTF-8 text.") from None
    if not prompt.strip():
        raise UsageError("--prompt is empty: say what to ask, or leave it out.")
    if (LABEL in prompt) != label_aware:
        rest = "holds no {label}" if label_aware else "holds {label}, and label-blind is asked for"
        raise UsageError(f"The prompt {rest}; --label-aware and {{label}} go together.")
    return prompt


def read_key(variable: str) -> str | None:
    """Return the key in an environment variable, or None.

    Raises:
        UsageError: when it is no name of one, as a key would be.
    """
    if not variable.replace("_", "a").isalnum() or not variable.isupper():
        raise UsageError(
            "--key-env takes the name of an environment variable, such as EMOSYM_API_KEY, and not "
            "a key: what is on a command line can be read by others."
        )
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError(f"What {variable} holds is no key: it has spaces or odd characters in it.")
    return key or None
