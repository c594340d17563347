"""Training takes a rationale only where id and content fit, says the rest once, and falls back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from tests.annotate.makers import picture, pictures

from emosym.annotate.knowledge import Knowledge, Row, read_knowledge, write_knowledge
from emosym.annotate.lookup import rationales_of
from emosym.annotate.run import fill
from emosym.apps.cli.annotate_plans import plan_attributes
from emosym.errors import UsageError
from emosym.types import Sample


def change(path: Path, **changes: object) -> None:
    found = read_knowledge(path)
    rows = [replace(row, **changes) for row in found.rows.values()]  # type: ignore[arg-type]
    write_knowledge(path, Knowledge({row.key: row for row in rows}))


@pytest.fixture
def known(tmp_path: Path) -> tuple[Path, list[Sample]]:
    samples, out = pictures(tmp_path / "in", 4), tmp_path / "kb.parquet"
    fill(out, samples, plan_attributes())
    change(out, rationale="From the file.")
    return out, samples


def test_without_a_file_it_is_the_samples_own() -> None:
    samples = [
        Sample("a", rationale="Own."),
        Sample("b", attributes={"scene": "beach", "facial_expression": "happy"}),
    ]
    assert rationales_of(samples) == ["Own.", "The scene is beach."]


def test_all_known(known: tuple[Path, list[Sample]], caplog: pytest.LogCaptureFixture) -> None:
    out, samples = known
    assert rationales_of(samples, out) == ["From the file."] * 4
    assert caplog.records == []


def test_stale_missing_and_failed_fall_back_and_are_told_once(
    known: tuple[Path, list[Sample]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, samples = known
    samples[0] = replace(samples[0], rationale="Own.")
    picture(tmp_path / "in", 0, green=7)  # changed after it was annotated
    found = read_knowledge(out)
    gone = next(key for key in found.rows if key[0] == "p001")
    failed = next(key for key in found.rows if key[0] == "p002")
    rows: dict[tuple[str, str], Row] = {k: v for k, v in found.rows.items() if k != gone}
    rows[failed] = replace(rows[failed], rationale=None, status="refused", reason="no")
    write_knowledge(out, Knowledge(rows))
    with caplog.at_level(logging.WARNING):
        texts = rationales_of(samples, out)
    assert texts == ["Own.", "The scene is beach.", "The scene is beach.", "From the file."]
    assert len(caplog.records) == 1
    said = caplog.records[0].getMessage()
    assert "1 of 4 pictures (1 missing, 1 no answer, 1 stale)" in said


def test_a_file_of_another_data_set_is_refused(
    known: tuple[Path, list[Sample]], tmp_path: Path
) -> None:
    out, samples = known
    others = [replace(sample, id=f"other-{sample.id}") for sample in samples]
    with pytest.raises(UsageError, match="knows none of the 4 pictures"):
        rationales_of(others, out)
    with pytest.raises(UsageError, match="no knowledge base at"):
        rationales_of(samples, tmp_path / "absent.parquet")


def test_label_aware_rationales_are_not_taken_for_blind_ones(
    known: tuple[Path, list[Sample]],
) -> None:
    out, samples = known
    change(out, label_blind=False)
    with pytest.raises(UsageError, match="rationale=label_aware"):
        rationales_of(samples, out)
    assert rationales_of(samples, out, blind=False) == ["From the file."] * 4
