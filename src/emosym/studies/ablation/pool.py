"""Jobs side by side in worker processes, each after the job whose checkpoint it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from emosym.errors import EmoSymError
from emosym.studies.ablation.grid import Job
from emosym.studies.ablation.jobs import prepare_worker

Work = Callable[[Job], dict[str, Any]]
Told = Callable[[Job, dict[str, Any] | None, str | None], None]


def chain_lengths(jobs: Sequence[Job]) -> dict[str, int]:
    """Return how many jobs wait behind each job, one after the other, itself included."""
    followers: dict[str, list[str]] = {job.name: [] for job in jobs}
    for job in jobs:
        if job.after in followers:
            followers[job.after].append(job.name)
    lengths: dict[str, int] = {}

    def length(name: str) -> int:
        if name not in lengths:
            lengths[name] = 1 + max((length(n) for n in followers[name]), default=0)
        return lengths[name]

    for job in jobs:
        length(job.name)
    return lengths


def in_order(ready: Sequence[Job], lengths: Mapping[str, int], first: frozenset[str]) -> list[Job]:
    """Return jobs as they are to start: those of `first`, by seed, longest chain behind first."""
    return sorted(  # stable: else as in the grid
        ready, key=lambda job: (job.name not in first, job.seed, -lengths[job.name])
    )


def run_jobs(
    jobs: Sequence[Job],
    done: frozenset[str],
    work: Work,
    workers: int,
    threads: int,
    tell: Told,
    first: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Run jobs that are not `done`, seed by seed, those with the longest chain behind them first.

    So a run that is stopped leaves whole seeds, which arms are compared on, and not whole arms.
    All seeds of the jobs named `first` come before any other.
    `tell` hears of every job with its result, or with what went wrong. A job whose predecessor
    failed is left out; the others go on. Returns what went wrong, by job name.
    """
    waiting = {job.name: job for job in jobs if job.name not in done}
    lengths, finished, failed = chain_lengths(jobs), set(done), dict[str, str]()
    running: dict[Future[dict[str, Any]], Job] = {}
    context = get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, prepare_worker, (threads,))
    try:
        while waiting or running:
            for name in [n for n, job in waiting.items() if job.after in failed]:
                job = waiting.pop(name)
                failed[name] = f"{job.after} failed"
                tell(job, None, failed[name])
            ready = [j for j in waiting.values() if j.after is None or j.after in finished]
            for job in in_order(ready, lengths, first)[: workers - len(running)]:
                running[pool.submit(work, waiting.pop(job.name))] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise error
                if error is None:
                    finished.add(job.name)
                    tell(job, future.result(), None)
                else:
                    failed[job.name] = f"{type(error).__name__}: {error}"
                    tell(job, None, failed[job.name])
    except BrokenProcessPool:
        raise EmoSymError(
            "A worker was killed, perhaps for lack of memory: try fewer --jobs. The same command "
            "goes on from here."
        ) from None
    finally:
        stop(pool)  # at once where it was interrupted: idle workers have nothing to lose
    return failed


def stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they did so far, the next run goes on from."""
    processes: Mapping[int, Any] = pool._processes or {}
    for process in list(processes.values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
