"""A study as a YAML says it, and the jobs it comes to: one job is one recipe, arm and seed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from emosym.config.load import resolve_recipe
from emosym.config.recipes import StageRecipe
from emosym.config.schema import Section
from emosym.errors import UsageError, unknown_name

Measure = Literal["reading", "painting", "tasks", "nothing"]
DIALOGUES = "storybook-dialogues"
TALES = "tales"
DRAWS, ORDERS = 100_000, 200_000  # where the seeds of label draws and of orders begin


class DialogueData(Section):
    """Storybook conversations, or tales, of each split."""

    train: int = Field(800, ge=1)
    val: int = Field(60, ge=1)
    test: int = Field(200, ge=1)


class StudyData(Section):
    """The storybook that all arms share: pictures of each split, and the seed they are drawn from.

    `ood` test pictures are drawn in the style `ood_style`, which nothing was trained on; 0: none.
    `dialogues` are drawn too where they are named, for arms whose data say `storybook-dialogues`.
    `level` is that of the storybook; `tales` are drawn beside it, for arms whose data have the
    level `tales`.
    """

    train: int = Field(8000, ge=16)
    val: int = Field(1000, ge=16)
    test: int = Field(4000, ge=16)
    ood: int = Field(1000, ge=0)
    dialogues: DialogueData | None = None
    ood_style: str = "line"
    level: Literal["cues", "appraisal"] = "cues"
    tales: DialogueData | None = None
    size: int = 64
    seed: int = 0


class Arm(Section):
    """One way to train: recipe keys (dotted) that differ from the stage's.

    `stage`, `init` and `measure` take the place of the part's; an `init` of "" is the base.
    `same_as` ("part/arm") shows another arm's result, such as the model before the stage: nothing
    is trained. A `control` is an arm that should not help. `fractions` are the shares of labels
    used; `seeds` (a count) and `measure` may be given for each of them.
    """

    label: str
    set: dict[str, Any] = Field(default_factory=dict)
    same_as: str | None = None
    stage: str | None = None
    init: str | None = None
    measure: Measure | dict[float, Measure] | None = None
    control: bool = False
    seeds: int | dict[float, int] | None = None
    fractions: tuple[float, ...] | None = None


class Part(Section):
    """Arms of one stage that are compared with each other, and with `base` above all.

    `init` names the arm whose checkpoint of the same seed all of them start from: "part/arm" of the
    same fraction, or "part/arm/labels-100" of that one. A `hidden` part is not in the table.
    `metric` is what its table shows, unset that of what is measured.
    """

    name: str
    title: str
    stage: str
    question: str
    base: str
    measure: Measure = "reading"
    metric: str | None = None
    init: str | None = None
    hidden: bool = False
    fractions: tuple[float, ...] = (1.0,)
    arms: dict[str, Arm]


class Expectation(Section):
    """What is expected of two arms before the first run.

    The difference is first - second. `than_fraction` asks for more of it at `fraction` than there;
    `margin` is how far arms may lie apart that are expected not to differ, and how far an arm may
    fall that is expected not to.
    """

    text: str
    part: str
    first: str
    second: str
    fraction: float = 1.0
    metric: str = "accuracy"
    direction: Literal["first_higher", "second_higher", "first_not_lower", "no_difference"]
    than_fraction: float | None = None
    margin: float = Field(0.01, gt=0)


class PrimaryTest(Section):
    """One of the few tests that a study is made for; all else in it is exploratory.

    `higher`: first - second of a metric is above 0, `smallest` being the smallest difference that
    would matter. `not_lower`: it is above -`margin`.
    """

    text: str
    part: str
    first: str
    second: str
    fraction: float = 1.0
    metric: str = "accuracy"
    kind: Literal["higher", "not_lower"] = "higher"
    smallest: float = Field(0.1, gt=0)
    margin: float = Field(0.02, gt=0)


class Study(Section):
    """A whole ablation: data, complete recipes of the stages, parts with arms, expectations.

    `seeds` is for arms that name no number of their own, `all_seeds` for every arm. Where tasks are
    measured, so many `reasons` are asked for. A `preregistered` study runs only as it was committed
    before its first run; its `primary` tests are corrected for their number. With `seeds_apart` the
    draw of labels, the first weights and the order have streams of their own for each seed.
    """

    study: str
    base: str = "storybook-base"
    data: StudyData = StudyData()
    seeds: int = Field(3, ge=1)
    all_seeds: int | None = Field(None, ge=1)
    first_seed: int = 0
    paintings: int = Field(20, ge=6)
    reasons: int = Field(60, ge=1)
    stages: dict[str, dict[str, Any]]
    parts: tuple[Part, ...]
    expect: tuple[Expectation, ...] = ()
    primary: tuple[PrimaryTest, ...] = ()
    preregistered: bool = False
    seeds_apart: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One recipe to run and measure; `after` is the job whose checkpoint it starts from.

    Without a recipe (`raw` None) nothing runs: the result is that of `after`.
    """

    part: str
    arm: str
    fraction: float
    seed: int
    measure: Measure
    raw: Mapping[str, Any] | None
    after: str | None

    @property
    def name(self) -> str:
        """The job's name, and its folder below the study's: part/arm/fraction/seed."""
        return job_name(self.part, self.arm, self.fraction, self.seed)


def job_name(part: str, arm: str, fraction: float, seed: int) -> str:
    """Return "part/arm/labels-5/seed-0"; the fraction in percent."""
    return f"{part}/{arm}/labels-{100 * fraction:g}/seed-{seed}"


def load_study(path: Path, full: bool = False, overrides: Sequence[str] = ()) -> Study:
    """Load a study; `full` lays its section `full` over it; `key.key=value` come last.

    Raises:
        UsageError: for a missing or malformed file, an unknown key or arm, or a bad value.
    """
    if not path.is_file():
        raise UsageError(
            f"There is no study at {path}. Those that come along are `ablation`, "
            "`m2se-study` and `appraisal-study`."
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"Study {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"Study {path} must be a mapping of keys to values.")
    more = raw.pop("full", {})
    if full:
        raw = laid_over(raw, more)
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise UsageError(f"Override {override!r} must look like key=value.")
        raw = laid_over(raw, nested({key: yaml.safe_load(text)}))
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"Study {path}: {where}: {first['msg']}.") from None
    _check(study, path)
    return study


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with the keys of `above` on top, section by section."""
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        inner = merged.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            merged[key] = laid_over(inner, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"a.b": 1} as {"a": {"b": 1}}."""
    found: dict[str, Any] = {}
    for key, value in dotted.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        found = laid_over(found, value)
    return found


def _check(study: Study, path: Path) -> None:
    """Refuse a study that names arms, stages or seeds that are not there."""
    parts = {part.name: part for part in study.parts}
    for part in study.parts:
        for stage in (part.stage, *(arm.stage or part.stage for arm in part.arms.values())):
            if stage not in study.stages:
                raise unknown_name(f"stage in {path}", stage, study.stages)
        if part.base not in part.arms:
            raise unknown_name(f"base arm of {part.name}", part.base, part.arms)
        named = [part.init, *(n for arm in part.arms.values() for n in (arm.same_as, arm.init))]
        for other in filter(None, named):
            name, arm = [*other.split("/"), ""][:2]
            if name not in parts:
                raise unknown_name(f"part that {part.name} refers to", name, parts)
            if arm not in parts[name].arms:
                raise unknown_name(f"arm that {part.name} refers to", arm, parts[name].arms)
    compared: list[Expectation | PrimaryTest] = [*study.expect, *study.primary]
    for expected in compared:
        if expected.part not in parts:
            raise unknown_name(f"part of an expectation in {path}", expected.part, parts)
        for arm in (expected.first, expected.second):
            if arm not in parts[expected.part].arms:
                raise unknown_name("arm of an expectation", arm, parts[expected.part].arms)
    names = {name for part in study.parts for name in names_of(study, part)}
    for job in jobs_of(study, Path(), Path()):
        if job.after is not None and job.after not in names:
            raise UsageError(f"{job.name} starts from {job.after}, which is not in the study.")


def seeds_of(study: Study, arm: Arm, fraction: float) -> range:
    """Return the seeds of an arm at a fraction of the labels."""
    count = arm.seeds
    if isinstance(count, dict):
        count = count.get(fraction)
    chosen = study.all_seeds or count or study.seeds
    return range(study.first_seed, study.first_seed + chosen)


def cells_of(study: Study, part: Part) -> Iterator[tuple[str, Arm, float, int]]:
    """Yield (name, arm, fraction, seed) of every cell of a part's grid."""
    for name, arm in part.arms.items():
        for fraction in arm.fractions or part.fractions:
            for seed in seeds_of(study, arm, fraction):
                yield name, arm, fraction, seed


def names_of(study: Study, part: Part) -> list[str]:
    """Return the names of a part's jobs."""
    return [job_name(part.name, name, f, s) for name, _, f, s in cells_of(study, part)]


def jobs_of(study: Study, out: Path, data: Path) -> list[Job]:
    """Return every job of a study that writes to `out` and reads the storybook in `data`.

    Raises:
        UsageError: when an arm makes no valid recipe.
    """
    jobs = []
    for part in study.parts:
        for name, arm, fraction, seed in cells_of(study, part):
            own, raw = job_name(part.name, name, fraction, seed), None
            after = start_of(part, arm, fraction, seed)
            if arm.same_as is None:
                raw = raw_recipe(study, part, arm, fraction, seed)
                init = study.base if after is None else str(out / after / "checkpoint")
                raw = laid_over(raw, {"out": str(out / own), "init": init})
                raw["data"] = placed(raw["data"], data)
                if "also" in raw:
                    raw["also"] = [placed(section, data) for section in raw["also"]]
                resolve_recipe(raw, own)
            own_measure = arm.measure
            if isinstance(own_measure, dict):
                own_measure = own_measure.get(fraction)
            measure = own_measure or part.measure
            jobs.append(Job(part.name, name, fraction, seed, measure, raw, after))
    return jobs


def placed(section: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """Return a data section with its folder: `data` of pictures, beside it that of dialogues."""
    source = section.get("source", "storybook")
    root = dialogues_beside(data) if source == DIALOGUES else data
    if section.get("level") == TALES:
        root = tales_beside(data)
    return {**section, "source": source, "root": str(root)}


def dialogues_beside(data: Path) -> Path:
    """Return where a study's conversations lie, whose pictures lie in `data`."""
    return data.parent / "dialogues"


def tales_beside(data: Path) -> Path:
    """Return where a study's tales lie, whose pictures lie in `data`."""
    return data.parent / TALES


def start_of(part: Part, arm: Arm, fraction: float, seed: int) -> str | None:
    """Return the name of the job that an arm's job starts from, or shows; None for the base."""
    start = arm.same_as or (part.init if arm.init is None else arm.init)
    if not start:
        return None
    names = start.split("/")
    if len(names) == 2:
        return job_name(names[0], names[1], fraction, seed)
    return f"{start}/seed-{seed}"


def raw_recipe(study: Study, part: Part, arm: Arm, fraction: float, seed: int) -> dict[str, Any]:
    """Return an arm's recipe, but for where it starts from, reads and writes.

    A stage of the study is a recipe's stage of that name, unless it says `stage` itself.
    """
    stage = arm.stage or part.stage
    raw = laid_over(study.stages[stage], nested(arm.set))
    kind = raw.get("stage", stage)
    if study.seeds_apart:
        apart = {"data": {"draw": DRAWS + seed}, "optim": {"order": ORDERS + seed}}
        raw = laid_over(raw, apart)
    return laid_over(
        raw, {"stage": kind, "seed": seed, "data": {"label_fraction": fraction, "workers": 1}}
    )


def recipe_of(job: Job) -> StageRecipe:
    """Return the typed recipe of a job that trains."""
    if job.raw is None:
        raise UsageError(f"{job.name} trains nothing.")
    return resolve_recipe(dict(job.raw), job.name)
