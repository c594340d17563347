"""Recipes: typed, strict, overridable, and the same after a round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from emosym.config.load import dump_recipe, load_recipe, recipe_names, resolve_recipe
from emosym.config.recipes import AlignRecipe, BaseRecipe, RlRecipe
from emosym.config.text_recipes import RlTextRecipe
from emosym.errors import UsageError

ALIGN = {"stage": "align", "out": "runs/x"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**ALIGN, "optim": {"steps": 7}}))
    return path


def test_defaults_are_the_designs() -> None:
    recipe = resolve_recipe(dict(ALIGN), "test")
    assert isinstance(recipe, AlignRecipe)
    assert (recipe.w_cls, recipe.w_align, recipe.w_say) == (0.5, 0.5, 0.25)
    assert recipe.gist_probability == 0.5 and recipe.lora.r == 8 and recipe.latents.recurrent
    rl = resolve_recipe({"stage": "rl", "out": "x"}, "test")
    assert isinstance(rl, RlRecipe) and rl.objective == "expected" and rl.proper_weight > 0


def test_overrides_are_typed(recipe: Path) -> None:
    found = load_recipe(
        str(recipe),
        [
            "optim.lr=1e-3",
            "optim.bf16=off",
            "latents.recurrent=false",
            "rationale=none",
            "optim.muon_lr=null",
            "data.root=some/where",
            "seed=12",
            "lora.dropout=0",
            "latents.num_context_tokens=2",
        ],
    )
    assert isinstance(found, AlignRecipe)
    assert found.optim.lr == 0.001 and isinstance(found.optim.lr, float)
    assert found.optim.steps == 7  # from the file
    assert found.optim.bf16 is False and found.latents.recurrent is False
    assert found.rationale == "none" and found.optim.muon_lr is None
    assert found.data.root == Path("some/where") and found.seed == 12
    assert found.latents.num_context_tokens == 2 and found.lora.dropout == 0


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("w_clss=1", "recipe key .* 'w_clss'. Did you mean 'w_cls'"),
        ("optim.stepz=1", "'stepz'. Did you mean 'steps'"),
        ("optim.lr=-1", r"optim\.lr = -1: Input should be greater than 0"),
        ("optim.lr=nan", r"optim\.lr"),
        ("optim.steps=lots", r"optim\.steps = 'lots'"),
        ("rationale=blind", "rationale = 'blind'.*'label_blind'"),
        ("data.source=oassis", r"data\.source = 'oassis'.*Did you mean 'oasis'"),
        ("lora.dropout=1", r"lora\.dropout = 1"),
        ("stage=algn", "stage 'algn'. Did you mean 'align'"),
        ("seed.x=1", "'x'|not a section|valid"),
        ("out.x=1", "'out' is not a section"),
        ("w_cls", "must look like key=value"),
        ("=1", "must look like key=value"),
        ("w_cls=[1", "Override"),
    ],
)
def test_bad_overrides_are_one_sentence(recipe: Path, override: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_recipe(str(recipe), [override])


def test_every_packaged_recipe_loads_and_round_trips(tmp_path: Path) -> None:
    assert "storybook-base" in recipe_names()
    for name in recipe_names():
        found = load_recipe(name)
        assert load_recipe(f"{name}.yaml") == found
        path = tmp_path / f"{name}.yaml"
        path.write_text(dump_recipe(found))
        assert load_recipe(str(path)) == found
        # the resolved recipe says everything: no default is left to a later version
        assert set(yaml.safe_load(path.read_text())) == set(type(found).model_fields)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'storybook-base'"):
        load_recipe("storybok-base")


@pytest.mark.parametrize("name", ["no/such/storybook-base.yaml", "storybook-base.old"])
def test_a_path_that_is_not_there_is_no_packaged_recipe(name: str) -> None:
    with pytest.raises(UsageError, match="Unknown recipe"):
        load_recipe(name)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"stage: [", "not valid YAML"),
        (b"\xff\xfe\xff", "not valid YAML"),
        (b"- a", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"out: x", "Unknown stage ''"),
        (b"stage: align", "out = .*Field required"),
        (b"stage: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        load_recipe(str(path))


def test_a_recipe_does_not_change_after_loading(recipe: Path) -> None:
    found = load_recipe(str(recipe))
    with pytest.raises(ValidationError):
        found.seed = 3  # type: ignore[misc]


def test_the_base_recipe_lists_its_parts() -> None:
    found = resolve_recipe({"stage": "base", "out": "x", "parts": ["judges"]}, "test")
    assert isinstance(found, BaseRecipe) and found.parts == ("judges",)
    with pytest.raises(UsageError, match=r"parts\.0 = 'painters'"):
        resolve_recipe({"stage": "base", "out": "x", "parts": ["painters"]}, "test")


@pytest.mark.parametrize(
    ("override", "key", "wanted"),
    [
        ("out=2025-01-01", "out", Path("2025-01-01")),
        ("out=1e3", "out", Path("1e3")),
        ("out=no", "out", Path("no")),
        ("out=runs/a #2", "out", Path("runs/a #2")),
        ('out="a b"', "out", Path("a b")),
        ("init=7", "init", "7"),
        ("init=007", "init", "007"),
        ("reader=1e5", "reader", "1e5"),
        ("reader=null", "reader", None),
        ("data.image_column=1", "data.image_column", "1"),
        ("data.knowledge=~", "data.knowledge", None),
        ("data.workers=0x2", "data.workers", 2),
        ("out=~/x", "out", Path("HOME/x")),
        ("out=$RUNS/${NAME}.x", "out", Path("/fast/runs/a b.x")),
        ("data.root=$RUNS", "data.root", Path("/fast/runs")),
        ("data.knowledge=$RUNS/k", "data.knowledge", Path("/fast/runs/k")),
        ("init=$RUNS/c", "init", "/fast/runs/c"),
        ("painter=~/p", "painter", "HOME/p"),
        ("reader=~/p", "reader", "HOME/p"),
        ("out=5$", "out", Path("5$")),
    ],
)
def test_a_path_is_what_is_written(
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    override: str,
    key: str,
    wanted: object,
) -> None:
    for name, value in {"HOME": "HOME", "RUNS": "/fast/runs", "NAME": "a b"}.items():
        monkeypatch.setenv(name, value)
    found: object = load_recipe(str(recipe), [override])
    for part in key.split("."):
        found = getattr(found, part)
    assert found == wanted and type(found) is type(wanted)
    # and in a file
    name, _, text = override.partition("=")
    section, _, last = name.rpartition(".")
    lines = [f"{section}:", f"  {last}: {text}"] if section else [f"{last}: {text}"]
    if " #" not in text:  # which is a comment there
        recipe.write_text("\n".join(["stage: align", *(["out: x"] * (name != "out")), *lines]))
        there: object = load_recipe(str(recipe))
        for part in key.split("."):
            there = getattr(there, part)
        assert there == wanted


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.root=null", r"data\.root = None: a path or a name is needed here\.$"),
        ("out=", "out = None: a path or a name is needed here"),
        ("out=''", "out = '': a path or a name is needed here"),
        ("out=$NOWHERE/x", r"\$NOWHERE is not set on this machine"),
        ("init=${NOWHERE}x", r"\$\{NOWHERE\} is not set on this machine"),
        ("out=~nobody-of-this-name/x", "~nobody-of-this-name is not set"),
        ("data.knowledge=''", r"data\.knowledge = ''"),
    ],
)
def test_a_path_that_is_none_is_refused(recipe: Path, override: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_recipe(str(recipe), [override])


def test_rewards_are_names_and_weights() -> None:
    def rewards(**keys: object) -> dict[str, float]:
        found = resolve_recipe({"stage": "rl", "out": "x", **keys}, "test")
        assert isinstance(found, RlRecipe)
        return found.rewards

    assert rewards() == rewards(objective="grpo") == {"accuracy": 1.0}
    assert rewards(rewards={"vad": 2, "accuracy": 1}) == {"vad": 2.0, "accuracy": 1.0}
    assert rewards(objective="supervised") == rewards(objective="parity") == {}
    assert load_recipe("demo-rl", ["rewards.vad=0.5"]).rewards == {"vad": 0.5}  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"rewards\.vad = 'much'"):
        rewards(rewards={"vad": "much"})


def test_the_reward_of_older_recipes_is_read() -> None:
    def rewards(**keys: object) -> dict[str, float]:
        found = resolve_recipe({"stage": "rl", "out": "x", **keys}, "test")
        assert isinstance(found, RlRecipe)
        return found.rewards

    assert rewards(reward="vad") == {"vad": 1.0}
    assert rewards(reward="accuracy", objective="parity") == {}  # it was written, and ignored
    with pytest.raises(UsageError, match="both `reward` and `rewards`"):
        rewards(reward="vad", rewards={"vad": 1.0})
    with pytest.raises(UsageError, match="Unknown recipe key in test 'reward'"):
        resolve_recipe({"stage": "align", "out": "x", "reward": "vad"}, "test")


def test_a_recipe_may_name_every_source() -> None:
    from typing import get_args

    from emosym.config.schema import DataSection
    from emosym.data.sources.open import SOURCES

    assert set(get_args(DataSection.model_fields["source"].annotation)) == set(SOURCES)


def test_lists_and_mappings_are_given_on_the_command_line() -> None:
    recipe = load_recipe("rl-text", ["rewards={accuracy: 1, brier: 0.5}", "tasks=[mer]", "out=007"])
    assert isinstance(recipe, RlTextRecipe)
    assert (recipe.rewards, recipe.tasks) == ({"accuracy": 1.0, "brier": 0.5}, ("mer",))
    assert recipe.out == Path("007")  # a text stays as it is written
