"""A client of `emosym serve`, typed: readings as rows, paintings as pictures.

    with Client("http://127.0.0.1:8000") as client:
        rows = client.understand([Path("sea.jpg")])
        print(rows[0]["emotion"], rows[0]["confidence"])
        for painting in client.paint("awe", images=2):
            painting.image.save(f"awe-{painting.index}.png")

It needs the extra `client` (httpx) on the machine that asks, and no model.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from emosym.errors import EmoSymError, UsageError
from emosym.extras import require

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

Row: TypeAlias = dict[str, Any]
Picture: TypeAlias = "Path | str | bytes"
Turn: TypeAlias = "str | tuple[str, str]"
ENDED = ("done", "failed", "cancelled", "handed_back")
AGAIN = (429, 503)
LONGEST_WAIT = 30.0


class ServerError(EmoSymError):
    """The server refused, or could not be reached; `status` is None where it did not answer.

    `retry_after` are the seconds after which the same request may be taken.
    """

    def __init__(self, sentence: str, status: int | None, retry_after: float | None = None) -> None:
        """Hold what the server said."""
        super().__init__(sentence)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: `state` is waiting, running, done, failed, cancelled or handed_back."""

    id: str
    state: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Painting:
    """One painting: PNG bytes, the model's own reading as a row, and how it was asked for."""

    index: int
    png: bytes
    reading: Row | None
    request: Mapping[str, Any]
    seed: int
    withheld: bool
    repaint: str

    @property
    def image(self) -> Image.Image:
        """The picture, decoded."""
        from PIL import Image

        return Image.open(io.BytesIO(self.png), formats=("PNG",))


class Client:
    """One server. Calls may come from several threads.

    A server that is busy (429, 503) is asked again when it says, `retries` times; `timeout` are
    seconds a request. Every call raises `ServerError` with the server's own sentence.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
        transport: Any = None,
    ) -> None:
        """Open connections when they are needed; `transport` is httpx's, for tests.

        Raises:
            EmoSymError: when httpx is not installed.
        """
        self._httpx: Any = require("httpx", "client")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = self._httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self.retries = retries

    def __enter__(self) -> Self:
        """Give the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def models(self) -> list[dict[str, Any]]:
        """Return what the server's models are and can do."""
        return list(self._ask("GET", "/v1/models")["models"])

    def ready(self) -> bool:
        """Return whether the server takes requests."""
        try:
            self._ask("GET", "/readyz", retries=0)
        except ServerError:
            return False
        return True

    def understand(
        self,
        pictures: Picture | Sequence[Picture] | Mapping[str, Picture],
        explain: bool = False,
        model: str | None = None,
    ) -> list[Row]:
        """Return a row a picture, in order; what cannot be read has its reason in `error`.

        Pictures are paths or encoded bytes, one or several; a mapping gives their names. Rows
        are of emotions; where `model` is a reader of photographs, of `valence` and `arousal`, each
        with `_low` and `_high`, and `nearest`.

        Raises:
            UsageError: when a file cannot be read.
            ServerError: when the only picture cannot be read, among others.
        """
        if isinstance(pictures, str | bytes | Path):
            pictures = [pictures]
        if isinstance(pictures, Mapping):
            named = [(name, _bytes_of(picture)) for name, picture in pictures.items()]
        else:
            named = [(_name_of(p, i), _bytes_of(p)) for i, p in enumerate(pictures, start=1)]
        data: dict[str, Any] = {"explain": "true" if explain else "false"}
        if model is not None:
            data["model"] = model
        files = [("pictures", (name, content)) for name, content in named]
        return list(self._ask("POST", "/v1/understand", files=files, data=data)["rows"])

    def understand_texts(self, texts: Sequence[str], model: str | None = None) -> list[Row]:
        """Return a row a text; errors as in `understand`."""
        asked = {"texts": list(texts), "model": model}
        return list(self._ask("POST", "/v1/understand", json=asked)["rows"])

    def understand_dialogue(
        self, turns: Sequence[Turn], name: str | None = None, model: str | None = None
    ) -> list[Row]:
        """Return a row a turn; a turn is a text, or (speaker, text). Errors as in `understand`."""
        told = [t if isinstance(t, str) else {"speaker": t[0], "text": t[1]} for t in turns]
        asked = {"dialogues": [{"turns": told, "name": name}], "model": model}
        return list(self._ask("POST", "/v1/understand", json=asked)["rows"])

    def generate(
        self,
        emotion: str | Mapping[str, float] | None = None,
        *,
        like: Picture | None = None,
        **asked: Any,
    ) -> str:
        """Begin to paint and return the job's id.

        Beside or instead of an emotion: `valence` with `arousal`, `like`, `prompt`, `intensity`,
        `images`, `guidance_scale`, `steps`, `seed`, `spread`, `model`; see docs/service.md.

        Raises:
            ServerError: for what cannot be painted, or too many jobs.
        """
        body = {"emotion": dict(emotion) if isinstance(emotion, Mapping) else emotion, **asked}
        if like is not None:
            body["like"] = base64.b64encode(_bytes_of(like)).decode("ascii")
        return str(self._ask("POST", "/v1/generate", json=body)["id"])

    def job(self, id: str) -> Progress:
        """Return how far a job is."""
        return _progress(self._ask("GET", f"/v1/jobs/{id}"))

    def cancel(self, id: str) -> Progress:
        """Cancel a job; what is painted already stays in it."""
        return _progress(self._ask("DELETE", f"/v1/jobs/{id}"))

    def watch(self, id: str) -> Iterator[Progress]:
        """Yield a job's progress until it has ended."""
        for found in self._events(id):
            yield _progress(found)

    def paintings(self, id: str) -> list[Painting]:
        """Return what a job has painted so far."""
        return [_painting(row) for row in self._ask("GET", f"/v1/jobs/{id}")["paintings"]]

    def paint(
        self,
        emotion: str | Mapping[str, float] | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        **asked: Any,
    ) -> list[Painting]:
        """Paint, wait for the end, and return the paintings; `asked` as in `generate`.

        Raises:
            ServerError: when the job fails, is cancelled or handed back.
        """
        found: dict[str, Any] = {}
        for found in self._events(self.generate(emotion, **asked)):
            if progress is not None:
                progress(_progress(found))
        if found.get("state") != "done":
            raise ServerError(str(found.get("error") or "The job was lost."), None)
        return [_painting(row) for row in found["paintings"]]

    def _events(self, id: str) -> Iterator[dict[str, Any]]:
        """Yield what the server tells of a job; a stream that breaks off is opened again."""
        for _ in range(self.retries + 1):
            try:
                with self._client.stream("GET", f"/v1/jobs/{id}/events") as answer:
                    if answer.status_code != 200:
                        answer.read()
                        raise _refusal(answer)
                    for line in answer.iter_lines():
                        if not line.startswith("data: "):
                            continue
                        found = json.loads(line.removeprefix("data: "))
                        yield found
                        if found["state"] in ENDED:
                            return
            except self._httpx.TransportError:
                continue
        raise ServerError(f"The job {id} can no longer be watched: the server left.", None)

    def _ask(
        self, method: str, place: str, retries: int | None = None, **body: Any
    ) -> dict[str, Any]:
        for left in reversed(range((self.retries if retries is None else retries) + 1)):
            try:
                answer = self._client.request(method, place, **body)
            except self._httpx.InvalidURL as error:
                raise UsageError(f"The server's address is none: {error}.") from error
            except self._httpx.UnsupportedProtocol as error:
                raise UsageError(f"The server's address is none: {error}") from error
            except self._httpx.TransportError as error:
                url = self._client.base_url
                raise ServerError(f"{url} did not answer ({error}): is it up?", None) from error
            if answer.is_success:
                return dict(answer.json())
            refusal = _refusal(answer)
            if answer.status_code not in AGAIN or not left:
                raise refusal
            time.sleep(min(refusal.retry_after or 1.0, LONGEST_WAIT))
        raise AssertionError("the last try returns or raises")


def _refusal(answer: Any) -> ServerError:
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {answer.status_code}, and not as emosym serve does."
    after = answer.headers.get("retry-after", "")
    return ServerError(sentence, answer.status_code, float(after) if after.isdigit() else None)


def _progress(found: Mapping[str, Any]) -> Progress:
    return Progress(found["id"], found["state"], found["done"], found["total"])


def _painting(row: Mapping[str, Any]) -> Painting:
    return Painting(
        index=row["request"]["index"],
        png=base64.b64decode(row["png"]),
        reading=row["reading"],
        request=row["request"],
        seed=row["seed"],
        withheld=row["withheld"],
        repaint=row["repaint"],
    )


def _bytes_of(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise UsageError(f"{str(picture)!r} cannot be read: {error.strerror}.") from error


def _name_of(picture: Picture, number: int) -> str:
    return f"picture {number}" if isinstance(picture, bytes) else str(picture)
