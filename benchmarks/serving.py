"""What a server makes of callers that come together: 16 clients at once against one after another.

A real server on a free port, in a process of its own, with the shipped model; clients are threads
of this process, each with a connection that stays open, and each sends one picture a request. In
every repetition the same pictures are asked for both ways, one client with all of them and 16
clients with a share each, and the order rotates. Latency is from the request to the whole answer.
With --minutes it is kept at saturation instead, and its memory is watched.
"""

from __future__ import annotations

import argparse
import io
import os
import queue
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import psutil
from PIL import Image
from shared.bars import Bar, show_bars
from shared.timing import arguments, machine
from shared.toy import pictures

CLIENTS = 16
ALONE, TOGETHER = "1 client", f"{CLIENTS} clients"
THROUGHPUT, LATENCY = 2.0, 3.0
MIB = 1024 * 1024
SAMPLE_SECONDS = 5.0


def more(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--minutes", type=float, help="Saturate for so long and watch memory.")
    parser.add_argument("--figure", help="With --minutes: write memory over time to this SVG.")


@contextmanager
def server() -> Iterator[tuple[str, psutil.Process]]:
    """Start `emosym serve`, and yield its address and process."""
    command = [sys.executable, "-m", "emosym", "serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(r"http://[\d.]+:\d+", line)
            if found:
                break
        else:
            sys.exit("The server did not start.")
        threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
        try:
            while httpx.get(f"{found[0]}/readyz").status_code != 200:
                time.sleep(0.1)
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()  # its errors are read to their end before they are closed


BOUNDARY = "b" * 16
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="pictures"; filename="p.png"\r\n\r\n'
).encode()


def encoded(count: int) -> list[bytes]:
    """Return forms with a different picture each, made beforehand: clients cost little."""
    found = []
    for pixels in pictures(count):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        found.append(HEAD + stream.getvalue() + f"\r\n--{BOUNDARY}--\r\n".encode())
    return found


def latencies(url: str, bodies: Sequence[bytes], clients: int) -> tuple[float, list[float]]:
    """Ask for all pictures with so many clients; return seconds in all, and of every request."""
    left: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        left.put(body)
    found: list[float] = []
    barrier = threading.Barrier(clients + 1)

    def ask() -> None:
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=600)) as client:
            client.connect()  # before the clock runs
            barrier.wait()
            while True:
                try:
                    body = left.get_nowait()
                except queue.Empty:
                    return
                start = time.perf_counter()
                client.request("POST", "/v1/understand", body, HEADERS)
                answer = client.getresponse()
                told = answer.read()
                if answer.status != 200:
                    sys.exit(f"The server answered {answer.status}: {told!r}")
                found.append(time.perf_counter() - start)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, found


def quantile(values: Sequence[float], place: int) -> float:
    """Return the quantile place / 20, such as 19 for p95."""
    return statistics.quantiles(values, n=20, method="inclusive")[place - 1]


def compare(url: str, repeats: int, requests: int) -> None:
    """Ask both ways in turn, and print throughput and latency."""
    bodies = encoded(requests)
    latencies(url, bodies[:CLIENTS], CLIENTS)  # once unmeasured
    ratios, waits, rows = [], [], {ALONE: [], TOGETHER: []}  # type: ignore[var-annotated]
    for turn in range(repeats):
        order = (1, CLIENTS) if turn % 2 else (CLIENTS, 1)
        found = {clients: latencies(url, bodies, clients) for clients in order}
        (alone, single), (together, many) = found[1], found[CLIENTS]
        ratios.append(alone / together)
        waits.append(quantile(many, 19) / statistics.median(single))
        rows[ALONE].append((len(bodies) / alone, single))
        rows[TOGETHER].append((len(bodies) / together, many))
    print(f"### Serving, {requests} pictures, one a request\n")
    print("| | pictures a second | median ms | p95 ms |")
    print("| --- | ---: | ---: | ---: |")
    for name, kept in rows.items():
        rate = statistics.median(rate for rate, _ in kept)
        every = [1000 * second for _, seconds in kept for second in seconds]
        middle, high = statistics.median(every), quantile(every, 19)
        print(f"| {name} | {rate:.1f} | {middle:.0f} | {high:.0f} |")
    limits = (
        "reading a batch takes longer than reading one picture, and all of the batch wait for it: "
        "by Little's law 16 clients at 3x the latency need 5.3x the throughput"
    )
    show_bars(
        [
            bar(f"throughput, {TOGETHER} / {ALONE}", ratios, THROUGHPUT, limits, True),
            bar(f"p95 of {TOGETHER} / median of {ALONE}", waits, LATENCY, limits, False),
        ]
    )


def bar(what: str, values: Sequence[float], most: float, limits: str, at_least: bool) -> Bar:
    """Return the bar of paired ratios."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Bar(what, middle, most, limits, at_least, "x", (low, high))


def saturate(url: str, process: psutil.Process, minutes: float, figure: str | None) -> None:
    """Keep 16 clients asking, and print the memory of the server's processes as it goes."""
    bodies, until = encoded(64), time.monotonic() + 60 * minutes
    samples: list[tuple[float, float]] = []
    asked = [0]

    def watch() -> None:
        begin = time.monotonic()
        while time.monotonic() < until:
            family = [process, *process.children(recursive=True)]
            held = sum(one.memory_info().rss for one in family) / MIB
            samples.append((time.monotonic() - begin, held))
            time.sleep(SAMPLE_SECONDS)

    watching = threading.Thread(target=watch)
    watching.start()
    while time.monotonic() < until:
        latencies(url, bodies, CLIENTS)
        asked[0] += len(bodies)
    watching.join()
    half = [held for _, held in samples[len(samples) // 2 :]]
    first, last = statistics.median(half[: len(half) // 2]), statistics.median(half[-5:])
    print(f"### Serving at saturation, {minutes:g} minutes, {asked[0]} requests\n")
    print(f"Memory of all its processes: {first:.0f} MiB halfway, {last:.0f} MiB at the end.")
    if figure:
        draw(samples, figure)


def draw(samples: Sequence[tuple[float, float]], path: str) -> None:
    """Write memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(6, 2.5))
    axes.plot([seconds / 60 for seconds, _ in samples], [held for _, held in samples])
    axes.set(xlabel="minutes at saturation", ylabel="MiB, all processes", ylim=(0, None))
    drawn.savefig(path, bbox_inches="tight")


def main() -> None:
    """Run the benchmark."""
    options = arguments(str(__doc__), more)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with server() as (url, process):
        if options.minutes:
            saturate(url, process, options.minutes, options.figure)
        else:
            repeats = min(options.repeats, 11)
            compare(url, repeats, 2 * CLIENTS if options.quick else 8 * CLIENTS)
    machine(options.quick, options.repeats)


if __name__ == "__main__":
    main()
