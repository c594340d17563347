"""Annotating by a real server on a real socket: refusals, nonsense, death, limits, secrets."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.annotate.loopback import (
    Answer,
    Asked,
    failed,
    free_port,
    loopback,
    rationale,
    said,
)
from tests.annotate.makers import PROMPT, annotate, picture, pictures

from emosym.annotate.knowledge import journal_path, read_knowledge
from emosym.annotate.pace import Pace
from emosym.annotate.prompts import prompt_version
from emosym.errors import EmoSymError
from emosym.types import only_picture

pytest.importorskip("openai")
GOOD = "A child stands beside kite number {} under a red sky."


def statuses(out: Path) -> dict[str, str]:
    return {row.id: row.status for row in read_knowledge(out).rows.values()}


def reasons(out: Path) -> str:
    return " ".join(str(row.reason) for row in read_knowledge(out).rows.values())


def test_every_picture_is_asked_about_once(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 9), tmp_path / "kb.parquet"
    with loopback(rationale) as server:
        tally = annotate(out, samples, server.url, plan={"prices": (1.0, 10.0)})
    assert sorted(server.pictures()) == list(range(9))
    assert tally.statuses == {"ok": 9} and not journal_path(out).exists()
    assert (tally.tokens_in, tally.tokens_out) == (900, 180)
    assert tally.cost == pytest.approx(9 * (100 * 1.0 + 20 * 10.0) / 1e6)
    rows = {row.id: row for row in read_knowledge(out).rows.values()}
    for number in range(9):
        row = rows[f"p{number:03d}"]
        assert row.rationale == GOOD.format(number)
        assert (row.annotator, row.model, row.label_blind) == ("server", "toy", True)
        assert row.cost == pytest.approx(3e-4) and row.tokens_in == 100
    assert read_knowledge(out).prompts == {prompt_version(PROMPT): PROMPT}


def test_only_what_is_missing_or_changed_is_asked_about(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 5), tmp_path / "kb.parquet"
    with loopback(rationale) as server:
        annotate(out, samples[:3], server.url)
        assert annotate(out, samples[:3], server.url).todo == 0
        picture(tmp_path / "in", 1, green=9)  # another content, the same id
        tally = annotate(out, samples, server.url)
        assert (tally.there, tally.todo) == (2, 3)
        assert sorted(server.pictures()[3:]) == [1, 3, 4]
        assert len(read_knowledge(out).rows) == 6  # what was said of the picture before stays
        tally = annotate(out, samples, server.url, prompt="Another question?")
        assert tally.todo == 5
    assert len(read_knowledge(out).rows) == 6
    assert len(read_knowledge(out).prompts) == 2


def test_emotion_words_and_nonsense_get_one_more_chance(tmp_path: Path) -> None:
    first = {
        0: said("A joyful child stands beside a kite."),
        1: said('{"rationale": "A child sta'),
        2: said("A sad child stands here."),
        3: said(""),
    }
    samples, out = pictures(tmp_path / "in", 4), tmp_path / "kb.parquet"

    def script(asked: Asked) -> Answer:
        again = "could not be used" in asked.prompt
        stubborn = asked.picture in (2, 3)
        return rationale(asked) if again and not stubborn else first[asked.picture]

    with loopback(script) as server:
        tally = annotate(out, samples, server.url)
        assert len(server.asked) == 8
        by_picture = {(one.picture, "could not" in one.prompt): one for one in server.asked}
        assert "joyful" in by_picture[0, True].prompt
        assert statuses(out) == {
            "p000": "ok", "p001": "ok", "p002": "emotion_word", "p003": "malformed"
        }  # fmt: skip
        assert tally.tokens_in == 800  # both requests count
        assert "sad" in reasons(out)
        assert annotate(out, samples, server.url).todo == 0
        tally = annotate(out, samples, server.url, plan={"retry_failed": True})
        assert (tally.todo, tally.failed_before, tally.tokens_in) == (2, 2, 400)
    spent = {row.id: row.tokens_in for row in read_knowledge(out).rows.values()}
    assert spent == {"p000": 200, "p001": 200, "p002": 400, "p003": 400}


def test_refusals_are_kept_and_not_repeated(tmp_path: Path) -> None:
    script = {
        0: rationale,
        1: lambda _: said(None, refusal="I will not."),
        2: lambda _: said("x", "content_filter"),
        3: lambda _: said("I'm sorry, but I can't help with that."),
        4: lambda _: failed(400, "policy", "content_policy_violation"),
        5: lambda _: failed(413, "too large"),
    }
    samples, out = pictures(tmp_path / "in", 6), tmp_path / "kb.parquet"
    with loopback(lambda asked: script[asked.picture](asked)) as server:
        annotate(out, samples, server.url, concurrency=1)
    assert statuses(out) == {"p000": "ok", **{f"p{n:03d}": "refused" for n in range(1, 6)}}
    assert sorted(server.pictures()) == list(range(6))
    assert "I will not" in reasons(out) and "413: too large" in reasons(out)
    with loopback(rationale) as server:
        annotate(out, samples, server.url, plan={"retry_failed": True})
        assert sorted(server.pictures()) == [1, 2, 3, 4, 5]
    assert set(statuses(out).values()) == {"ok"}


@pytest.mark.parametrize(
    "trouble",
    [
        failed(500),
        failed(503, retry_after="0.01"),
        failed(429, "slow down", retry_after="0.02"),
        failed(408),
        failed(503, retry_after=formatdate(0, usegmt=True)),
        Answer(b"<html>not JSON</html>"),
        Answer(b'{"choices": []}'),
        Answer(b'{"choices": [{"message": {"con', cut=20),
        Answer(b"", cut=0),
        Answer(b"x" * 100, after=0.6),
    ],
    ids=["500", "503", "429", "408", "date", "html", "empty", "half", "none", "slow"],
)
def test_passing_trouble_passes(tmp_path: Path, trouble: Answer) -> None:
    """Every picture's first request meets the trouble, the second one does not."""
    samples, out = pictures(tmp_path / "in", 3), tmp_path / "kb.parquet"
    seen: set[int] = set()

    def script(asked: Asked) -> Answer:
        if asked.picture in seen:
            return rationale(asked)
        seen.add(asked.picture)
        return trouble

    with loopback(script) as server:
        tally = annotate(out, samples, server.url, timeout=0.3)
    assert tally.statuses == {"ok": 3}
    assert sorted(server.pictures()) == [0, 0, 1, 1, 2, 2]


def test_lasting_nonsense_is_malformed_and_a_lasting_error_is_asked_again(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 4), tmp_path / "kb.parquet"
    script = {1: lambda _: Answer(b"nonsense"), 2: lambda _: failed(500, "it broke")}
    with loopback(lambda asked: script.get(asked.picture, rationale)(asked)) as server:
        tally = annotate(out, samples, server.url, concurrency=1, retries=2)
        assert tally.statuses == {"ok": 2, "malformed": 1, "failed": 1}
        assert server.pictures().count(1) == server.pictures().count(2) == 3
        assert statuses(out) == {"p000": "ok", "p001": "malformed", "p003": "ok"}
        assert annotate(out, samples, server.url, retries=0).todo == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (failed(401, "Incorrect API key provided: sk-very-secret."), "key is missing or wrong"),
        (failed(403), "the key may not do this"),
        (failed(404, "no model toy"), "no such address or model.*no model toy"),
        (failed(402), "payment"),
        (failed(429, "used up", "insufficient_quota"), "quota is used up"),
        (failed(429, retry_after="4000"), "asks to wait 4000 seconds"),
    ],
    ids=["401", "403", "404", "402", "quota", "long"],
)
def test_what_cannot_mend_stops_at_once(tmp_path: Path, answer: Answer, sentence: str) -> None:
    samples, out = pictures(tmp_path / "in", 30), tmp_path / "kb.parquet"
    with loopback(lambda asked: rationale(asked) if asked.number < 4 else answer) as server:
        with pytest.raises(EmoSymError, match=sentence) as caught:
            annotate(out, samples, server.url, key="sk-very-secret")
        assert len(server.asked) <= 4 + 2
    assert "secret" not in str(caught.value) and str(caught.value).count(". ") <= 3
    assert len(statuses(out)) == 4  # what was answered is kept


def test_a_dead_server_is_one_sentence(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 6), tmp_path / "kb.parquet"
    with pytest.raises(EmoSymError, match=r"no usable answer for 3 pictures.*refused"):
        annotate(out, samples, f"http://127.0.0.1:{free_port()}", retries=1)
    assert not out.exists() and not journal_path(out).exists()


def test_death_half_way_loses_nothing(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 20), tmp_path / "kb.parquet"
    with (
        loopback(lambda one: rationale(one) if one.number < 8 else Answer(b"{}", cut=1)) as server,
        pytest.raises(EmoSymError, match="run again when it is back"),
    ):
        annotate(out, samples, server.url, concurrency=3, retries=1)
    answered = set(statuses(out))
    assert len(answered) == 8
    with loopback(rationale) as server:
        annotate(out, samples, server.url)
        assert len(server.asked) == 12
        assert {f"p{n:03d}" for n in server.pictures()} == {s.id for s in samples} - answered
    assert list(statuses(out).values()) == ["ok"] * 20


def test_a_server_without_schemas_is_asked_in_plain_text(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 6), tmp_path / "kb.parquet"
    told: list[str] = []

    def script(asked: Asked) -> Answer:
        unknown = "response_format" in asked.body
        return failed(400, "unknown field response_format") if unknown else rationale(asked)

    with loopback(script) as server:
        tally = annotate(out, samples, server.url, say=told.append, concurrency=1)
    assert tally.statuses == {"ok": 6} and len(server.asked) == 7
    assert len(told) == 1 and "plain text" in told[0] and "response_format" in told[0]


def test_a_server_that_wants_the_other_name_of_the_limit(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        old = "max_tokens" in asked.body
        return failed(400, "use max_completion_tokens instead") if old else rationale(asked)

    with loopback(script) as server:
        tally = annotate(
            tmp_path / "kb.parquet", pictures(tmp_path / "in", 3), server.url, concurrency=1
        )
    assert tally.statuses == {"ok": 3} and len(server.asked) == 4
    assert "response_format" in server.asked[-1].body


def test_a_server_that_takes_nothing_stops_the_run(tmp_path: Path) -> None:
    """A wrong model is 400 on some servers: no picture is put down as refused."""
    out = tmp_path / "kb.parquet"
    with (
        loopback(lambda _: failed(400, "pinned to another model")) as server,
        pytest.raises(EmoSymError, match="pinned to another model"),
    ):
        annotate(out, pictures(tmp_path / "in", 20), server.url)
    assert not out.exists() and len(server.asked) <= 12


def test_limits_of_rate_and_concurrency_hold(tmp_path: Path) -> None:
    samples = pictures(tmp_path / "in", 12)

    def slow(asked: Asked) -> Answer:
        time.sleep(0.15)
        return rationale(asked)

    with loopback(slow) as server:
        annotate(tmp_path / "a.parquet", samples, server.url, concurrency=4)
        assert 2 <= server.open_most <= 4
    # twelve, one each 50 ms; a busy machine delays the first answers, and no later one is early
    for name, pace in (("b", Pace(1200, None)), ("c", Pace(None, 120 * 1200, guess=120.0))):
        with loopback(rationale) as server:  # an answer takes 120 tokens
            began = time.monotonic()
            annotate(tmp_path / f"{name}.parquet", samples, server.url, concurrency=8, pace=pace)
            assert server.asked[-1].time - began >= 11 * 0.05 - 0.03


def test_retry_after_holds_everybody(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return failed(429, retry_after="0.4") if asked.number == 3 else rationale(asked)

    with loopback(script) as server:
        tally = annotate(
            tmp_path / "kb.parquet", pictures(tmp_path / "in", 16), server.url, concurrency=3
        )
    assert tally.statuses == {"ok": 16}
    told = server.asked[3].time
    quiet = [one.time for one in server.asked if told + 0.1 < one.time < told + 0.4]
    assert quiet == []


def test_the_key_is_sent_and_kept_nowhere(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 3), tmp_path / "kb.parquet"
    key = "sk-very-secret"

    def script(asked: Asked) -> Answer:
        return said(None, refusal=f"not for {key}") if asked.picture else rationale(asked)

    with loopback(script) as server:
        annotate(out, samples, server.url, key=key)
    assert {one.headers["authorization"] for one in server.asked} == {f"Bearer {key}"}
    assert key not in reasons(out) and "not for ***" in reasons(out)
    assert key.encode() not in out.read_bytes()
    assert all(key not in json.dumps(one.body) for one in server.asked)


def test_unreadable_pictures_are_rows_and_never_sent(tmp_path: Path) -> None:
    samples, out = pictures(tmp_path / "in", 3), tmp_path / "kb.parquet"
    Path(only_picture(samples[1])).write_bytes(b"no picture")  # type: ignore[arg-type]
    Path(only_picture(samples[2])).unlink()  # type: ignore[arg-type]
    with loopback(rationale) as server:
        tally = annotate(out, samples, server.url)
        assert tally.statuses == {"ok": 1, "unreadable": 2}
        assert server.pictures() == [0]
        picture(tmp_path / "in", 1)
        assert annotate(out, samples, server.url).todo == 1
