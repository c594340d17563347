"""The rules of the house that an AST can check: import order, light imports, sizes, no pickle."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
ORDER = (
    *(
        "errors",
        "seeds",
        "files",
        "locks",
        "extras",
        "provenance",
        "device",
        "processes",
        "taxonomies",
        "trees",
        "emotions",
        "space_rows",
    ),
    *("types", "config", "data", "metrics", "rewards", "tasks", "models", "pipelines", "service"),
    *("annotate", "memory", "training", "evaluation", "studies", "client", "ray", "apps"),
)
RANK = {name: rank for rank, name in enumerate(ORDER)}
HEAVY = {
    *("torch", "transformers", "diffusers", "accelerate", "peft", "trl", "lancedb", "pyarrow"),
    *("pandas", "matplotlib", "sklearn", "scipy", "datasets", "tensorboard", "torchmetrics"),
    *("tokenizers", "huggingface_hub", "gradio", "fastapi", "openpyxl"),
}
OPTIONAL = {
    *("trl", "datasets", "bitsandbytes", "gradio", "fastapi", "uvicorn", "torchmetrics", "openai"),
    *("httpx", "prometheus_client", "python_multipart", "ray"),
    "pillow_heif",
    "av",
    "openpyxl",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80


@functools.cache  # two rules look at every module
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def modules() -> list[Path]:
    return sorted((SOURCE / "emosym").rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of every import, at any depth."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*kept, base] if base else kept)
            for name in node.names:
                yield node.lineno, f"{base}.{name.name}"


def order_errors(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return the imports in `source` that point forwards in ORDER, as "line: name"."""
    own = module.split(".")
    if len(own) < 2:
        return []  # emosym/__init__ only hands out the pipeline
    found = []
    for line, name in imported(source, module, is_package):
        parts = name.split(".")
        if parts[0] != "emosym" or len(parts) < 2 or parts[1] not in RANK:
            continue
        if RANK[parts[1]] > RANK[own[1]]:
            found.append(f"{line}: {name}")
    return found


def test_order_rule_sees_forward_imports_at_any_depth() -> None:
    late = "def f():\n    from emosym.apps.cli import main\n"
    assert order_errors(late, "emosym.data.images") == ["2: emosym.apps.cli.main"]
    assert order_errors("from emosym import training", "emosym.models.x") == ["1: emosym.training"]
    assert order_errors("from ..training import loop", "emosym.models.x") == [
        "1: emosym.training.loop"
    ]
    assert (
        order_errors("import emosym.errors, emosym.data.images", "emosym.data.sources.folder") == []
    )


def test_every_module_has_a_place_in_the_order() -> None:
    parts = [dotted(path).split(".") for path in modules()]
    assert {name[1] for name in parts if len(name) > 1} <= set(RANK) | {"__main__"}


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_backwards(path: Path) -> None:
    name = dotted(path)
    if name == "emosym.__main__":
        return
    source = path.read_text(encoding="utf-8")
    assert order_errors(source, name, path.name == "__init__.py") == []


def broken_rules(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return what in `source` the house forbids, as "line: what"."""
    broken = []
    # Published weights come as PyTorch files; its weights-only reader builds tensors, no objects.
    tensors_only = {
        node.func
        for node in nodes(source)
        if isinstance(node, ast.Call)
        and any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
    }
    for node in nodes(source):
        if node in tensors_only:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                broken.append(f"{node.lineno}: {node.name} has {lines} lines")
        elif isinstance(node, ast.ExceptHandler):
            names = {"Exception", "BaseException"}
            if node.type is None or (isinstance(node.type, ast.Name) and node.type.id in names):
                broken.append(f"{node.lineno}: a broad except hides bugs")
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in ("load", "save")
            and isinstance(node.value, ast.Name)
            and node.value.id == "torch"
        ):
            broken.append(f"{node.lineno}: torch.{node.attr} pickles")
    for line, name in imported(source, module, is_package):
        top = name.split(".")[0]
        if name == "pickle.UnpicklingError":
            continue  # what that reader raises
        if top in ("pickle", "dill", "joblib", "cloudpickle"):
            broken.append(f"{line}: {top}")
        if top in OPTIONAL:
            broken.append(f"{line}: {top} is optional; use emosym.extras.require")
    return broken


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import torch\ntorch.load(p)\n", "2: torch.load pickles"),
        ("import torch\ntorch.load(p, weights_only=False)\n", "2: torch.load pickles"),
        ("import torch\nread = torch.load\n", "2: torch.load pickles"),
        ("import torch\ntorch.save(x, p)\n", "2: torch.save pickles"),
        ("import pickle\n", "1: pickle"),
        ("from pickle import loads\n", "1: pickle"),
        ("try:\n    pass\nexcept Exception:\n    pass\n", "3: a broad except hides bugs"),
        ("import torchmetrics\n", "1: torchmetrics is optional; use emosym.extras.require"),
    ],
)
def test_what_the_house_forbids_is_seen(source: str, told: str) -> None:
    assert broken_rules(source, "emosym.models.x") == [told]


def test_tensors_may_be_read_from_published_files() -> None:
    source = "import torch\nfrom pickle import UnpicklingError\ntorch.load(p, weights_only=True)\n"
    assert broken_rules(source, "emosym.models.x") == []


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_house_rules(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    assert broken_rules(source, dotted(path), path.name == "__init__.py") == []


def heavy_after(*codes: str) -> list[set[str]]:
    """Return the heavy libraries that each code has loaded, one after another in an interpreter."""
    told = "import sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    ask = "\n".join(f"{code}\n{told}" for code in codes)
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=SOURCE
    )
    return [set(line.split()) & HEAVY for line in done.stdout.splitlines()]


def test_light_modules_load_nothing_heavy() -> None:
    names = ["emosym", *(f"emosym.{n}" for n in ORDER[: RANK["data"]] if n != "processes")]
    there = {dotted(path) for path in modules()}
    assert set(names) <= there, "a module is gone: mend ORDER"
    found = heavy_after(*(f"import {name}" for name in names))
    assert dict(zip(names, found, strict=True)) == {name: set() for name in names}


def test_command_line_loads_nothing_heavy() -> None:
    told = "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()"
    imports = "import contextlib, io, sys\nfrom emosym.apps.cli.main import main\n"
    help_too = f"sys.argv = ['emosym', '--help']\n{told}"
    assert heavy_after(imports, help_too) == [set(), set()]


def test_reading_loads_nothing_of_painting_and_training(tiny_checkpoint: Path) -> None:
    by_transformers = {"accelerate", "huggingface_hub", "scipy", "tokenizers"}
    read = (
        "import sys, emosym, emosym.pipelines.zero_shot, emosym.pipelines.trained\n"
        "assert 'peft' not in sys.modules, 'who opens no adapter waits for peft'\n"
        "from PIL import Image\n"
        f"pipeline = emosym.EmoSymPipeline.from_pretrained({str(tiny_checkpoint)!r})\n"
        "pipeline.understand(Image.new('RGB', (64, 64)))\n"
        "assert 'transformers.models.clip.modeling_clip' not in sys.modules"
    )
    assert heavy_after(read) == [{"torch", "transformers", "peft", *by_transformers}]


def test_heavy_imports_are_noticed() -> None:
    assert heavy_after("import scipy", "import tokenizers.models") == [
        {"scipy"},
        {"scipy", "tokenizers"},
    ]
