"""`emosym data annotate`: write a rationale for every picture into a knowledge base."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from emosym.errors import UsageError

KEY_ENV = "EMOSYM_API_KEY"
Source = Annotated[
    str | None, typer.Option(help="emoset, folder or storybook; else by what is there.")
]
Split = Annotated[
    list[str] | None, typer.Option(help="Only this split; may be given several times.")
]
Prompt = Annotated[
    str | None, typer.Option(help="Ask this; {label} is the label, @FILE reads a file.")
]
Url = Annotated[str | None, typer.Option(help="server: such as http://host:8000/v1.")]
ModelName = Annotated[str | None, typer.Option(help="server: the model to ask.")]
KeyEnv = Annotated[str, typer.Option(help="server: the environment variable that holds the key.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="server: at once.")]
Rpm = Annotated[float | None, typer.Option(min=0.1, help="server: requests a minute.")]
Tpm = Annotated[float | None, typer.Option(min=1, help="server: tokens a minute.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="server: seconds a request.")]
Retries = Annotated[int, typer.Option(min=0, max=20, help="server: of one request.")]
MaxTokens = Annotated[int, typer.Option(min=16, help="server: of one answer.")]
MaxSide = Annotated[int, typer.Option(min=32, help="server: longest side sent.")]
Temperature = Annotated[float | None, typer.Option(help="server: else its own.")]
Plain = Annotated[bool, typer.Option("--plain", help="server: ask for text, no JSON.")]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Per million tokens in.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Per million tokens out.")]
Seed = Annotated[int, typer.Option(help="Decides the waiting times after an error.")]


class Annotator(str, Enum):
    """Who writes the rationales."""

    attributes = "attributes"
    vlm = "vlm"
    server = "server"


def annotate(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")],
    annotator: Annotated[
        Annotator, typer.Option(help="attributes: no model. vlm: a model on this machine.")
    ] = Annotator.attributes,
    out: Annotated[Path, typer.Option("--out", "-o", help="The knowledge base.")] = Path(
        "knowledge.parquet"
    ),
    source: Source = None,
    split: Split = None,
    label_space: Annotated[str, typer.Option(help="The data set's labels.")] = "mikels8",
    label_aware: Annotated[
        bool, typer.Option("--label-aware", help="Tell the model the label (an ablation).")
    ] = False,
    prompt: Prompt = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again where no rationale came.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about so many, then end.")] = None,
    base: Annotated[str, typer.Option(help="vlm: a preset or a base folder.")] = "storybook-base",
    device: Annotated[str, typer.Option(help="vlm: auto, cuda, mps or cpu.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="vlm: pictures at once.")] = 32,
    url: Url = None,
    model_name: ModelName = None,
    key_env: KeyEnv = KEY_ENV,
    concurrency: Concurrency = 8,
    rpm: Rpm = None,
    tpm: Tpm = None,
    timeout: Timeout = 120.0,
    retries: Retries = 5,
    max_tokens: MaxTokens = 200,
    max_side: MaxSide = 768,
    temperature: Temperature = None,
    plain: Plain = False,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    seed: Seed = 0,
) -> None:
    """Write down for every picture what in it moves a viewer, once, for `train` to learn from.

    The rationales are label-blind: no emotion word is in them. Asks only for what is missing or
    changed, so the same command goes on after any stop.
    """
    from emosym.annotate.protocol import Service, base_url
    from emosym.apps.cli import annotate_plans as plans
    from emosym.apps.cli.annotate_show import open_splits, run_shown, say
    from emosym.service.sinks import check_output

    if out.suffix != ".parquet":
        raise UsageError(f"--out must end in .parquet, got {str(out)!r}.")
    check_output(out)
    template = plans.read_template(prompt, label_aware, annotator is Annotator.attributes)
    prices = read_prices(price_in, price_out)
    parts = open_splits(source, root, split or [], label_space)
    blind = not label_aware
    if annotator is Annotator.attributes:
        plans.require_attributes(parts)
        plan = plans.plan_attributes()
    elif annotator is Annotator.vlm:
        plan = plans.plan_vlm(base, device, batch_size, template, blind, label_space)
    else:
        if url is None or model_name is None:
            missing = "--url" if url is None else "--model-name"
            raise UsageError(f"--annotator server needs {missing}.")
        service = Service(
            base_url(url),
            model_name,
            plans.read_key(key_env),
            timeout=timeout,
            retries=retries,
            max_tokens=max_tokens,
            max_side=max_side,
            temperature=temperature,
            structured=not plain,
            seed=seed,
        )
        plan = plans.plan_server(service, concurrency, rpm, tpm, template, blind, label_space, say)
    plan = replace(plan, prices=prices, retry_failed=retry_failed, limit=limit)
    run_shown(out, parts, plan)


def read_prices(price_in: float | None, price_out: float | None) -> tuple[float, float] | None:
    """Return both prices per million tokens, or None where neither was given."""
    if (price_in is None) != (price_out is None):
        raise UsageError("Give --price-in and --price-out together (0 is a price too).")
    return None if price_in is None or price_out is None else (price_in, price_out)
