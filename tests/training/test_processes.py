"""Two real processes on a CPU: the numbers of one, nothing twice, nothing lost, and kill -9."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.forks import ROOT, in_fork
from tests.training import process_runs
from tests.training.makers import metrics

from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.errors import UsageError
from emosym.memory.bank import Bank
from emosym.processes import Processes
from emosym.training.loop.loop import LoopSettings, run_loop

KINDS = ("two", "one")
STAGES = ("align", "rl-expected", "rl-grpo", "rl-parity", "joint", "m2se")


def launch(jobs: list[dict[str, Any]], folder: Path) -> tuple[int, str]:
    """Run jobs in two processes as `accelerate launch` does, by the agent of torchrun.

    Agent and processes are forks of one that has imported all; returns exit code and output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return in_fork(process_runs.run_in_two, jobs, log=folder / "log", ACCELERATE_USE_CPU="true")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory, tiny_pictures: Any) -> Path:
    path = tmp_path_factory.mktemp("arrays") / "pictures.npz"
    np.savez(path, pictures=tiny_pictures.pictures, labels=tiny_pictures.labels)
    return path


@pytest.fixture(scope="module")
def picture_paths(tmp_path_factory: pytest.TempPathFactory, tiny_pictures: Any) -> list[str]:
    """Eleven files, of which the fourth and the last are no pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("files")
    for i in range(11):
        path = folder / f"{i:02}.png"
        if i in (3, 10):
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(tiny_pictures.pictures[i]).save(path)
    return [str(folder)]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_base: Path,
    tiny_checkpoint: Path,
    tiny_storybook: Path,
    arrays: Path,
    picture_paths: list[str],
) -> Path:
    """A folder of the same jobs by `two` processes and by `one`, and of runs that went on.

    Those in `killed` go on where two processes were when one was killed, at step 3, from the state
    of step 2: by two processes, by one, and by two with FSDP2; beside them is an uninterrupted run
    with FSDP2. There are two launches for all: that of the kill begins with the whole run, and the
    next one with the one that goes on.
    """
    folder = tmp_path_factory.mktemp("processes")
    talks = folder / "talks"
    write_dialogues(talks, {"train": 5, "val": 2, "test": 1}, size=64, seed=3, workers=1)
    shutil.copytree(tiny_base, talks / "base")
    killed = folder / "killed"
    start = {"base": str(tiny_base), "arrays": str(arrays)}
    trained = {"checkpoint": str(tiny_checkpoint), "arrays": str(arrays)}

    def align(out: Path, job: str = "align", **more: Any) -> dict[str, Any]:
        out.parent.mkdir(exist_ok=True)
        return {"job": job, "out": str(out), **start, **more}

    def others(out: Path) -> list[dict[str, Any]]:
        return [
            *(
                {"job": "rl", "out": str(out / f"rl-{o}"), "objective": o, **trained}
                for o in ("expected", "grpo", "parity")
            ),
            {"job": "joint", "out": str(out / "joint"), **trained},
            {"job": "m2se", "out": str(out / "m2se"), "talks": str(talks)},
            {"job": "bank", "out": str(out / "feedback")}
            | {"checkpoint": str(tiny_checkpoint), "story": str(tiny_storybook)},
            {"job": "understand", "out": str(out / "read.json"), "notes": str(out / "read")}
            | {"arguments": [*picture_paths, "-m", str(tiny_checkpoint), "--batch-size", "2"]},
        ]

    two, one = folder / "two", folder / "one"
    code, said = launch([align(two / "align"), align(killed / "two", die_at=3)], folder)
    assert code != 0 and "process 1 kills itself" in said, said[
        -4000:
    ]  # and the other process did not wait for ever
    assert len(metrics(two / "align")) == 4, said[-4000:]
    assert [p.name for p in (killed / "two" / "state").iterdir()] == ["step-00000002"]
    for name in ("one", "sharded"):
        shutil.copytree(killed / "two", killed / name)
    sharded = [align(killed / name, "fsdp") for name in ("sharded", "all-sharded")]
    code, said = launch([align(killed / "two"), *others(two), *sharded], folder)
    assert code == 0, said[-4000:]
    process_runs.run([align(one / "align"), *others(one), align(killed / "one")])
    return folder


def state_of(out: Path) -> dict[str, torch.Tensor]:
    state = max((out / "state").glob("step-*"))
    names = ("weights", "optimizer")
    files = {name: load_file(state / f"{name}.safetensors") for name in names}
    return {f"{name}.{key}": t for name, found in files.items() for key, t in found.items()}


def assert_alike(found: Path, wanted: Path, tolerance: float = 1e-4) -> None:
    """Losses and weights agree up to rounding, which AdamW enlarges where gradients are tiny."""
    for row, other in zip(metrics(found), metrics(wanted), strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-5)
    two, one = state_of(found), state_of(wanted)
    assert set(two) == set(one)
    for name, tensor in one.items():
        scale = max(1.0, float(tensor.abs().max()))
        assert float((two[name] - tensor).abs().max()) <= tolerance * scale, name


# two processes import and open models, and every stage runs twice
slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_have_the_losses_and_weights_of_one(stage: str, runs: Path) -> None:
    """Parts of a batch are shared unevenly; negatives, noise and prompts are the whole batch's."""
    two, one = (runs / kind / stage for kind in ("two", "one"))
    assert len(metrics(two)) == 4
    assert_alike(two, one)


@slow
def test_two_processes_keep_the_best_weights_of_one(runs: Path) -> None:
    told = [json.loads((runs / kind / "m2se" / "rounds.json").read_text()) for kind in KINDS]
    assert [row["step"] for row in told[0]] == [row["step"] for row in told[1]] == [2, 4]
    for ours, theirs in zip(*told, strict=True):
        assert ours["values"] == pytest.approx(theirs["values"], abs=1e-3)
    assert all((runs / kind / "m2se/checkpoint/emosym.json").is_file() for kind in KINDS)


@slow
def test_two_processes_fill_the_bank_of_one(runs: Path) -> None:
    folders = runs / "two", runs / "one"
    two, one = (Bank.open(folder / "feedback" / "bank").read() for folder in folders)
    assert [e.intent for e in two] == [e.intent for e in one] and len(one) > 24
    assert {e.provenance.round for e in two} == {1, 2}
    first = [e.provenance.round == 1 for e in one]
    for ours, theirs, early in zip(two, one, first, strict=True):
        away = np.abs(ours.pixels().astype(int) - theirs.pixels())
        assert away.max() <= 1  # rounding, of which the second round's weights have more
        assert not early or (away > 0).mean() < 1e-3
        assert np.allclose(ours.emotion_latent, theirs.emotion_latent, atol=1e-2)
    painted = [folder / "feedback-painted" for folder in folders]
    notes = {p.name: p.read_text().splitlines() for p in painted[0].iterdir()}
    assert len(notes) == 2 and all(len(lines) == 16 for lines in notes.values())
    alone = (painted[1] / "0").read_text().splitlines()
    assert sorted([*notes["0"], *notes["1"]]) == sorted(alone)
    for number in (1, 2):
        assert_alike(*(folder / "feedback" / f"round-{number}" for folder in folders))
    told = [json.loads((folder / "feedback" / "rounds.json").read_text()) for folder in folders]
    assert [r["admitted"] for r in told[0]] == [r["admitted"] for r in told[1]]


@slow
def test_two_processes_read_each_picture_once_and_in_order(runs: Path) -> None:
    two, one = (json.loads((runs / kind / "read.json").read_text()) for kind in ("two", "one"))
    assert [row["source"] for row in two] == [row["source"] for row in one] and len(one) == 11
    assert [bool(row["error"]) for row in two] == [i in (3, 10) for i in range(11)]
    for row, other in zip(two, one, strict=True):
        assert row["emotion"] == other["emotion"]
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    notes = {p.name: p.read_text().splitlines() for p in (runs / "two" / "read").iterdir()}
    assert set(notes) == {"0", "1"} and not set(notes["0"]) & set(notes["1"])
    assert sorted([*notes["0"], *notes["1"]]) == sorted(row["source"] for row in one)


@slow
def test_a_killed_process_ends_the_run_and_the_same_command_goes_on(runs: Path) -> None:
    whole, again = state_of(runs / "two" / "align"), state_of(runs / "killed" / "two")
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    assert metrics(runs / "killed" / "two") == metrics(runs / "two" / "align")


@slow
@pytest.mark.parametrize("kind", ["one", "sharded"])
def test_another_number_or_kind_of_processes_goes_on(kind: str, runs: Path) -> None:
    assert_alike(runs / "killed" / kind, runs / "one" / "align")


@slow
def test_sharded_weights_learn_the_same(runs: Path) -> None:
    """FSDP2 on a mesh of two CPU processes, layer by layer."""
    assert_alike(runs / "killed" / "all-sharded", runs / "one" / "align")


def test_accelerate_launch_gives_each_process_its_place(tmp_path: Path) -> None:
    """The command itself, which starts new interpreters; each writes a file of its own."""
    asked = (
        "import pathlib, sys; from emosym.processes import Processes as P, leave; p = P();"
        "told = f'{p.collect(p.rank)} {p.world}'; leave();"
        "pathlib.Path(sys.argv[1], str(p.rank)).write_text(told)"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"),
            *("--dynamo_backend", "no", "--main_process_port", "0"),
            *("--no_python", sys.executable, "-c", asked, str(tmp_path)),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = {place.name: place.read_text() for place in tmp_path.iterdir()}
    assert told == {"0": "[0, 1] 2", "1": "[] 2"}


def test_a_command_that_ends_well_leaves_its_group() -> None:
    """Else torch may abort the process on its way out, after all is done."""
    asked = (
        "import sys; import torch.distributed as d; from emosym.apps.cli.main import main;"
        "d.init_process_group('gloo', store=d.HashStore(), rank=0, world_size=1);"
        "sys.argv = ['emosym', '--version']\n"
        "try: main()\n"
        "except SystemExit as ended: print(ended.code, d.is_initialized())"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "RANK": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["0 False"], done.stderr[-4000:]


def test_muon_needs_whole_matrices() -> None:
    from accelerate.utils import DistributedType

    from emosym.training.loop.engine import prepare
    from emosym.training.loop.optim import build_optimizers

    module = torch.nn.Linear(4, 4)
    accelerator: Any = SimpleNamespace(distributed_type=DistributedType.FSDP, num_processes=2)
    optimizers = build_optimizers({"m": module}, 1e-3, muon_lr=1e-3)
    with pytest.raises(UsageError, match=r"Muon needs whole matrices, and FSDP .*muon_lr=null"):
        prepare(accelerator, {"m": module}, optimizers, lambda step, indices: {})


def test_deepspeed_is_refused_with_what_to_use() -> None:
    from accelerate.utils import DistributedType

    from emosym.training.loop.engine import prepare

    accelerator: Any = SimpleNamespace(distributed_type=DistributedType.DEEPSPEED, num_processes=2)
    with pytest.raises(UsageError, match=r"DeepSpeed is not supported\. .*fsdp2\.yaml"):
        prepare(accelerator, {}, [], lambda step, indices: {})


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_configurations_are_ones_that_accelerate_opens(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    from emosym.config.load import RECIPES, recipe_names

    path = RECIPES / "accelerate" / f"{name}.yaml"
    config = load_config_from_file(str(path))
    assert config.distributed_type.value == {"ddp": "MULTI_GPU", "fsdp2": "FSDP"}[name]
    assert config.num_processes == -1  # the command says how many
    assert name not in recipe_names()


def place(rank: int, world: int) -> Processes:
    processes = Processes()
    processes.rank, processes.world = rank, world
    return processes


@pytest.mark.parametrize(("total", "world"), [(7, 2), (8, 4), (5, 3), (3, 5)])
def test_every_row_has_one_process(total: int, world: int) -> None:
    rows = np.arange(2 * total)
    shares = [place(rank, world).own(rows, each=2) for rank in range(world)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 2
    stretches = place(0, world).stretches(total, 2)
    assert [i for a, b in stretches for i in range(a, b)] == list(range(total))
    assert all(start % 2 == 0 for start, stop in stretches if start < stop)


def test_too_small_a_batch_is_said_before_the_first_step(tmp_path: Path) -> None:
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    settings = LoopSettings("x", tmp_path, 1, 4, 0, log_every=1, accumulate=2)
    with pytest.raises(UsageError, match=r"a batch of 4 in 2 part\(s\) gives some of 3 processes"):
        run_loop(
            *(settings, {"m": module}, [optimizer], lambda p: 1.0, 4, lambda s, i: {}),
            place(0, 3),
            progress=False,
        )
