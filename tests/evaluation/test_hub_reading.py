"""A Hugging Face table goes through `emosym evaluate` as files do."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet
from tests.conftest import TinyPictures
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.emotions import MIKELS8


def test_a_table_is_read_and_its_pictures_are_named_by_their_bytes(
    tmp_path: Path, tiny_checkpoint: Path, tiny_pictures: TinyPictures
) -> None:
    datasets = pytest.importorskip("datasets")
    encoded = []
    for picture in tiny_pictures.pictures[:4]:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        encoded.append(stream.getvalue())
    labels = tiny_pictures.labels[:4].tolist()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(MIKELS8.labels))}
    )
    cells = [{"bytes": data, "path": None} for data in encoded]
    table = datasets.Dataset.from_dict({"image": cells, "label": labels}, features)
    table.save_to_disk(tmp_path / "set")
    out, rows = tmp_path / "r.json", tmp_path / "rows.parquet"
    asked = ["--data", str(tmp_path / "set"), "--source", "hub", "--split", "all"]
    asked += ["--out", str(out), "--predictions", str(rows), "--device", "cpu"]
    done = CliRunner().invoke(app, ["evaluate", "-m", str(tiny_checkpoint), *asked])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["n"] == 4
    found = parquet.read_table(rows).to_pydict()
    assert found["picture"] == [hashlib.sha256(data).hexdigest() for data in encoded]
    assert found["label"] == [MIKELS8.labels[label] for label in labels]
