"""Filling a knowledge base without a server: attributes, a speaking function, whose file it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.annotate.makers import picture, pictures

from emosym.annotate.hashing import file_hash, hashed
from emosym.annotate.knowledge import read_knowledge
from emosym.annotate.lookup import rationales_of
from emosym.annotate.prompts import fill_prompt
from emosym.annotate.run import Plan, Tally, fill
from emosym.annotate.writers import local_writer
from emosym.apps.cli.annotate_plans import plan_attributes
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION, Sample, picture_sample


def texts(out: Path) -> dict[str, str | None]:
    return {row.id: row.rationale for row in read_knowledge(out).rows.values()}


class Speaker:
    """A function that names what it was shown and asked, and remembers the calls."""

    def __init__(self, odd: dict[int, list[str]] | None = None) -> None:
        self.calls: list[tuple[list[int], str]] = []
        self.odd = odd or {}

    def __call__(self, images: Sequence[Image.Image], prompt: str) -> list[str]:
        reds = [image.getpixel((0, 0))[0] for image in images]  # type: ignore[index]
        self.calls.append((reds, prompt))
        return [
            self.odd[red].pop(0) if self.odd.get(red) else f"A kite and {red} red trees."
            for red in reds
        ]


def plan_of(speaker: Speaker, batch_size: int = 2, blind: bool = True, **rest: Any) -> Plan:
    writer = local_writer(speaker, batch_size, 1, blind)

    def prompt_of(sample: Sample) -> str:
        return fill_prompt("Why {label}?", sample.label_of(IMAGE_EMOTION))

    return Plan("vlm", "toy", writer, prompt_of, label_blind=blind, **rest)


def test_attributes_are_blind_and_follow_the_annotation(tmp_path: Path) -> None:
    out, sample = tmp_path / "kb.parquet", picture(tmp_path / "in", 1)
    odd = {"scene": "amusement_park", "facial_expression": "happy", "object": ["Sad dog", "Cat"]}
    samples = [sample, replace(picture(tmp_path / "in", 2), attributes=odd)]
    assert fill(out, samples, plan_attributes()).statuses == {"ok": 2}
    assert texts(out) == {
        "p001": "The scene is beach.", "p002": "The scene is fairground, there is Cat."
    }  # fmt: skip
    assert fill(out, samples, plan_attributes()).todo == 0
    samples[0] = replace(sample, attributes={"scene": "street"})
    assert fill(out, samples, plan_attributes()).todo == 1
    assert texts(out)["p001"] == "The scene is street."
    assert read_knowledge(out).prompts == {}


def test_a_picture_without_attributes_gets_no_rationale(tmp_path: Path) -> None:
    out, sample = tmp_path / "kb.parquet", picture(tmp_path / "in", 1)
    bare = replace(picture(tmp_path / "in", 2), attributes={})
    assert fill(out, [sample, bare], plan_attributes()).statuses == {"ok": 1, "refused": 1}
    assert texts(out) == {"p001": "The scene is beach.", "p002": None}


def test_names_that_are_no_utf8_are_annotated_once(tmp_path: Path) -> None:
    speaker, out = Speaker(), tmp_path / "kb.parquet"
    odd = [
        replace(picture(tmp_path / "in", n), id=name)
        for n, name in ((8, "caf\udce8"), (9, "caf\udce9"))
    ]
    assert fill(out, odd, plan_of(speaker)).statuses == {"ok": 2}
    assert fill(out, odd, plan_of(speaker)).todo == 0
    assert rationales_of(odd, out) == ["A kite and 8 red trees.", "A kite and 9 red trees."]


def test_a_local_model_is_asked_in_batches(tmp_path: Path) -> None:
    speaker, out = Speaker(), tmp_path / "kb.parquet"
    tally = fill(out, pictures(tmp_path / "in", 5), plan_of(speaker))
    assert [reds for reds, _ in speaker.calls] == [[0, 1], [2, 3], [4]]
    assert tally.statuses == {"ok": 5} and not tally.counted
    assert texts(out)["p003"] == "A kite and 3 red trees."
    row = next(iter(read_knowledge(out).rows.values()))
    assert row.tokens_in is None and row.cost is None


def test_a_local_model_gets_one_more_chance(tmp_path: Path) -> None:
    odd = {
        0: ["A sad tree."],
        1: ["A happy tree.", "A glad tree."],
        2: ["I'm sorry, I cannot."],
        3: ["A sad tree."],
    }
    speaker, out = Speaker(odd), tmp_path / "kb.parquet"
    tally = fill(out, pictures(tmp_path / "in", 4), plan_of(speaker, batch_size=4))
    assert tally.statuses == {"ok": 2, "emotion_word": 1, "refused": 1}
    again = speaker.calls[1:]
    assert [reds for reds, _ in again] == [[0, 3], [1]]  # one call for each reminder
    assert "sad" in again[0][1] and "happy" in again[1][1]
    reasons = {row.id: row.reason for row in read_knowledge(out).rows.values()}
    assert "glad" in str(reasons["p001"])


def test_label_aware_prompts_name_the_label(tmp_path: Path) -> None:
    speaker, out = Speaker({0: ["A joyful kite flies."]}), tmp_path / "kb.parquet"
    fill(out, pictures(tmp_path / "in", 1), plan_of(speaker, blind=False))
    assert speaker.calls == [([0], "Why awe?")]
    assert texts(out) == {"p000": "A joyful kite flies."}
    relabelled = [replace(s, targets={IMAGE_EMOTION: "fear"}) for s in pictures(tmp_path / "in", 1)]
    assert fill(out, relabelled, plan_of(speaker, blind=False)).todo == 1


def test_what_another_model_wrote_is_not_replaced(tmp_path: Path) -> None:
    out, samples = tmp_path / "kb.parquet", pictures(tmp_path / "in", 2)
    fill(out, samples, plan_of(Speaker()))
    before = out.read_bytes()
    for other in (
        plan_attributes(),
        replace(plan_of(Speaker()), model="other"),
        plan_of(Speaker(), blind=False),
    ):
        with pytest.raises(UsageError, match=r"holds label-blind rationales of vlm \(toy\)"):
            fill(out, samples, other)
    assert out.read_bytes() == before


def test_a_limit_ends_a_run_and_the_next_goes_on(tmp_path: Path) -> None:
    out, samples, speaker = tmp_path / "kb.parquet", pictures(tmp_path / "in", 5), Speaker()
    assert fill(out, samples, plan_of(speaker, limit=2)).todo == 2
    assert fill(out, samples, plan_of(speaker, limit=2)).there == 2
    assert fill(out, samples, plan_of(speaker)).todo == 1
    assert [reds for reds, _ in speaker.calls] == [[0, 1], [2, 3], [4]]


def test_a_picture_in_two_splits_is_asked_about_once(tmp_path: Path) -> None:
    speaker, samples = Speaker(), pictures(tmp_path / "in", 2)
    assert fill(tmp_path / "kb.parquet", [*samples, *samples], plan_of(speaker)).todo == 2


def test_an_error_half_way_keeps_the_answers(tmp_path: Path) -> None:
    out, samples = tmp_path / "kb.parquet", pictures(tmp_path / "in", 5)
    good = Speaker()

    def speak(images: Sequence[Image.Image], prompt: str) -> list[str]:
        if len(good.calls) == 2:
            raise MemoryError
        return good(images, prompt)

    plan = replace(plan_of(good), writer=local_writer(speak, 2, 1))
    tally = Tally()
    with pytest.raises(MemoryError):
        fill(out, samples, plan, tally=tally)
    assert len(texts(out)) == tally.done == 4


def test_hashes_are_of_the_file(tmp_path: Path) -> None:
    from hashlib import sha256

    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert (
        file_hash(path) == file_hash(str(path)) == file_hash(b"abc") == sha256(b"abc").hexdigest()
    )
    assert file_hash(tmp_path / "absent") == file_hash(Image.new("RGB", (1, 1))) == ""
    many = [picture_sample(str(i), str(i).encode()) for i in range(1200)] + [Sample("none")]
    found = list(hashed(many, 3))
    assert [sample.id for sample, _ in found] == [sample.id for sample in many]
    assert found[700][1] == sha256(b"700").hexdigest() and found[-1][1] == ""
