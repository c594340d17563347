"""What Prometheus is told; nothing of what was asked is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emosym.extras import require

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        """Make the counters."""
        self._client: Any = require("prometheus_client", "serve")
        self.registry = self._client.CollectorRegistry()

        def make(kind: str, name: str, told: str, labels: tuple[str, ...] = (), **more: Any) -> Any:
            return getattr(self._client, kind)(
                f"emosym_{name}", told, labels, registry=self.registry, **more
            )

        self.requests = make(
            "Counter", "requests", "Answers, by place and status.", ("method", "place", "status")
        )
        self.seconds = make(
            "Histogram",
            "request_seconds",
            "From a request's head to its answer's end.",
            ("place",),
            buckets=SECONDS,
        )
        self.inputs = make("Counter", "inputs", "Inputs, by kind and outcome.", ("kind", "how"))
        self.batch_sizes = make(
            "Histogram", "batch_size", "Inputs read at once.", ("model",), buckets=SIZES
        )
        self.batch_seconds = make(
            "Histogram", "batch_seconds", "Seconds of a batch.", ("model",), buckets=SECONDS
        )
        self.decoders = make("Counter", "decoder_restarts", "Decoding processes replaced.")
        self.jobs = make("Counter", "jobs", "Painting jobs that ended, by state.", ("state",))
        self.paintings = make("Counter", "paintings", "Pictures painted.")
        self.held = make("Gauge", "held_bytes", "Bytes of requests held now.", ("what",))
        self.waiting = make("Gauge", "waiting", "What waits now.", ("what",))

    def batch(self, model: str) -> Callable[[int, float], None]:
        """Return what is told the size and seconds of every batch of a model."""

        def seen(size: int, seconds: float) -> None:
            self.batch_sizes.labels(model).observe(size)
            self.batch_seconds.labels(model).observe(seconds)

        return seen

    def text(self) -> tuple[bytes, str]:
        """Return all of it as Prometheus reads it, and the media type of that."""
        return self._client.generate_latest(self.registry), self._client.CONTENT_TYPE_LATEST
