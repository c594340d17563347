"""Who may come in: refusals before anything is opened."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from emosym.apps.ui.guards import guards, is_page, login_page
from emosym.apps.ui.serving import door, lock, read_passwords
from emosym.errors import UsageError


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    path.write_text("# who\nann: a:b \n\nbo:c\n")
    return path


def test_other_machines_need_passwords_or_a_flag(passwords: Path) -> None:
    with pytest.raises(UsageError, match=r"--password-file FILE.* or --let-anyone-in"):
        door("0.0.0.0", 0, None, False)
    with pytest.raises(UsageError, match="not both"):
        door("0.0.0.0", 0, passwords, True)
    assert door("0.0.0.0", 0, passwords, False).passwords == {"ann": " a:b ", "bo": "c"}
    assert door("0.0.0.0", 0, None, True).anyone
    own = door("127.0.0.1", 0, None, False)
    assert (own.passwords, own.anyone) == (None, False)
    assert own.port > 0


def test_a_port_that_is_taken_is_one_sentence(command) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = command("ui", "--port", port, "--no-browser")
    assert (code, err.count("\n")) == (1, 1)
    assert f"Port {port}" in err and f"--port {port + 1}" in err


def test_passwords_open_for_their_own_names_only(passwords: Path, tmp_path: Path) -> None:
    opens = lock(read_passwords(passwords))
    assert opens("ann", " a:b ")
    assert not opens("bo", " a:b ")
    assert not opens("eve", "")
    assert not opens("ann", "")
    bad = tmp_path / "bad"
    bad.write_text("ann:a\nsecret without a name\n")
    with pytest.raises(UsageError, match=r"Line 2 of .* is not name:password") as caught:
        read_passwords(bad)
    assert "secret" not in str(caught.value)
    bad.write_text("# nobody\n")
    with pytest.raises(UsageError, match="holds no line"):
        read_passwords(bad)


def test_the_command_refuses_before_it_opens_a_model(command, monkeypatch) -> None:
    code, _, err = command("ui", "--host", "0.0.0.0", "--model", "nowhere", "--no-browser")
    assert (code, "--password-file" in err, err.count("\n")) == (2, True, 1)


def test_a_missing_library_is_named_with_its_command(command, monkeypatch) -> None:
    import importlib

    whole = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name == "gradio":
            raise ImportError("No module named 'gradio'")
        return whole(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    code, _, err = command("ui", "--no-browser")
    assert (code, "pip install 'emosym[ui]'" in err) == (1, True)


def test_a_page_of_this_machine_answers_to_its_names_only() -> None:
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    routes = [Route("/", lambda request: PlainTextResponse("here"))]
    app = Starlette(routes=routes, middleware=guards("127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        found = client.get("/")
        assert (found.status_code, found.text) == (200, "here")
        assert "connect-src 'self'" in found.headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_the_page_that_asks_is_ours_and_every_other_page_is_left_as_it_is() -> None:
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, StreamingResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    asks = '<html><body>window.gradio_config = {"auth_required":true};</body></html>'
    parts = ["<html>", "page ", "</html>"]
    routes = [
        Route("/", lambda request: HTMLResponse(asks)),
        Route("/long", lambda request: StreamingResponse(iter(parts), media_type="text/html")),
    ]
    app = Starlette(routes=routes, middleware=guards("127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        found = client.get("/")
        assert found.content == login_page() and "no-store" in found.headers["cache-control"]
        assert int(found.headers["content-length"]) == len(login_page())
        for part in ("<main>", "<h1>EmoSym</h1>", '<html lang="en">', 'action="login"'):
            assert part in found.text
        assert client.get("/long").text == "".join(parts)
        assert "content-security-policy" in client.get("/long").headers
    assert not is_page([(b"content-type", b"text/html"), (b"content-encoding", b"br")])


def test_a_hosted_space_lets_anyone_in_and_other_machines_nobody(monkeypatch) -> None:
    from app import arguments

    monkeypatch.delenv("SPACE_ID", raising=False)
    assert "--host" not in arguments()
    monkeypatch.setenv("SPACE_ID", "someone/emosym")
    monkeypatch.setenv("EMOSYM_TEXT_MODEL", "smollm2-135m")
    found = arguments()
    assert found[:4] == ["ui", "--no-browser", "--port", "7860"]
    assert found[4:] == ["--text-model", "smollm2-135m", "--host", "0.0.0.0", "--let-anyone-in"]
