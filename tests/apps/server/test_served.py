"""What is served beside trained readers of emotions: photographs, and stock models of words."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.apps.conftest import command
from tests.apps.server.plain import PlainPipeline, png, serving
from tests.models.photo.makers import small_reader
from tests.models.reader.test_text_models import SMALL, write_model
from transformers import LlamaConfig

from emosym.apps.cli.serve import open_models, wanted_models
from emosym.apps.server.app import Service, create_app
from emosym.apps.server.limits import Limits
from emosym.client import Client
from emosym.errors import UsageError
from emosym.service.session import Session

__all__ = ("command",)
LABELS = "joy,calm,dread"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a small reader of photographs; its encoder is in the cache of this module."""
    root = tmp_path_factory.mktemp("photo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOSYM_CACHE", str(root / "cache"))
        yield small_reader(root)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "llama"
    small = LlamaConfig(**{**SMALL, "max_position_embeddings": 1024})
    return Path(write_model(folder, small).reader)


@pytest.fixture(scope="module")
def client(photo: Path, words: Path) -> Iterator[TestClient]:
    wanted = wanted_models([str(photo)], [str(words)], LABELS, "cpu")
    opened = {"plain": Session(PlainPipeline()), **open_models(wanted)}
    made = Limits(deadline=300.0, decode_seconds=60.0)
    with TestClient(
        create_app(Service(opened, made, decoders=1)), base_url="http://localhost"
    ) as asked:
        yield asked


def sentence(answer: object) -> str:
    assert answer.status_code == 422, answer.text  # type: ignore[attr-defined]
    return str(answer.json()["error"])  # type: ignore[attr-defined]


def test_photographs_have_the_rows_of_the_shell(client, command, photo: Path, tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for place, picture in enumerate(sorted((photo.parent / "oasis" / "images").iterdir())[:3]):
        Image.open(picture).resize((90 + place, 60)).save(folder / f"{place}.png")
    (folder / "torn.png").write_bytes(b"\x89PNG torn")
    out = tmp_path / "rows.json"
    code, _, err = command("understand", folder, "-m", photo, "--json", out)
    assert code == 0, err
    shell = json.loads(out.read_text())
    files = [("pictures", (path.name, path.read_bytes())) for path in sorted(folder.iterdir())]
    answer = client.post("/v1/understand", files=files, data={"model": photo.name})
    assert answer.status_code == 200, answer.text
    assert answer.json()["models"] == {"pictures": photo.name}
    rows = answer.json()["rows"]
    for row, told in zip(rows, shell, strict=True):
        assert row["source"] == Path(told["source"]).name and list(row) == list(told)
        for key in told.keys() - {"source", "error"}:
            assert row[key] == (pytest.approx(told[key], abs=1e-4) if told[key] else told[key])
    assert rows[0]["nearest"] and "cannot be read" in rows[3]["error"]


def test_a_reader_of_photographs_says_what_it_cannot(client, photo: Path) -> None:
    files = [("pictures", ("a.png", png()))]
    asked = {"model": photo.name}
    told = sentence(client.post("/v1/understand", files=files, data={**asked, "explain": "true"}))
    assert told == (
        f"{photo.name} tells valence and arousal, without words for why: leave out 'explain'."
    )
    told = sentence(client.post("/v1/understand", json={**asked, "texts": ["Yes!"]}))
    assert "does not read texts" in told
    told = sentence(client.post("/v1/generate", json={**asked, "emotion": "joy"}))
    assert "paints nothing" in told
    # without a name, the first model that reads pictures does
    row = client.post("/v1/understand", files=files).json()["rows"][0]
    assert row["emotion"] == "joy"


def test_a_stock_model_reads_words(client, command, words: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    asked = ("--zero-shot", "--preset", words, "--labels", LABELS, "--json", out)
    code, _, err = command("understand", "--text", "You came back!", "--text", "No.", *asked)
    assert code == 0, err
    sent = {"texts": ["You came back!", "No."], "model": "llama"}
    rows = client.post("/v1/understand", json=sent).json()["rows"]
    for row, told in zip(rows, json.loads(out.read_text()), strict=True):
        assert row["emotion"] == told["emotion"] and set(row["probabilities"]) == {
            *LABELS.split(",")
        }
        assert row["probabilities"] == pytest.approx(told["probabilities"], abs=1e-5)
    dialogue = {"dialogues": [{"turns": ["You came back!"]}], "model": "llama"}
    assert "does not read dialogues: ask for plain" in sentence(
        client.post("/v1/understand", json=dialogue)
    )


def test_the_models_and_the_description_tell_what_each_is(client, photo: Path) -> None:
    told = {one["name"]: one for one in client.get("/v1/models").json()["models"]}
    assert list(told) == ["plain", photo.name, "llama"]
    of_photo, of_words = told[photo.name], told["llama"]
    assert of_photo["takes"] == ["image"] and not of_photo["paints"] and not of_photo["labels"]
    assert of_photo["tells"] == "valence and arousal" and told["plain"]["tells"] == "emotions"
    assert not of_words["trained"] and of_words["labels"] == LABELS.split(",")
    assert str(photo.parent) not in json.dumps(told)
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["AffectRow"]["examples"][0]["nearest"]


def test_the_client_reads_photographs(photo: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (50, 40), (90, 200, 90)).save(stream, "JPEG")
    opened = open_models(wanted_models([str(photo)], None, None, "cpu"))
    service = Service(opened, Limits(deadline=300.0, decode_seconds=60.0), decoders=1)
    with serving(service) as url, Client(url, timeout=300.0) as asked:
        rows = asked.understand({"green.jpg": stream.getvalue()}, model=photo.name)
    assert 1 <= rows[0]["valence_low"] <= rows[0]["valence"] <= rows[0]["valence_high"] <= 7


def test_what_does_not_go_together_is_refused(photo: Path, words: Path, monkeypatch) -> None:
    with pytest.raises(UsageError, match="--labels goes with --preset"):
        wanted_models(None, None, LABELS, "cpu")
    with pytest.raises(UsageError, match="Two models are called 'llama'"):
        wanted_models(None, [str(words)] * 2, None, "cpu")
    assert list(wanted_models(None, None, None, "cpu")) == ["storybook"]
    assert list(wanted_models(None, [str(words)], None, "cpu")) == ["llama"]
    monkeypatch.setenv("EMOSYM_CACHE", str(photo / "nothing"))
    with pytest.raises(UsageError, match="emosym models get photo"):
        open_models(wanted_models(["photo"], None, None, "cpu"))
    with pytest.raises(UsageError, match="emosym models get smollm2-135m"):
        open_models(wanted_models(None, ["smollm2-135m"], None, "cpu"))
