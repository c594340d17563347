"""How the page is served: to this machine alone unless asked, and without a word to others."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from emosym.apps.listening import bind, is_loopback
from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emosym.apps.ui.home import Home

    Headers: TypeAlias = "Sequence[tuple[bytes, bytes]]"

TITLE = "EmoSym"
ASKS = f"<strong>{TITLE}</strong> asks for the name and the password that you were given."
LOGIN = (  # of the box that asks: gradio draws it as wide as the page
    ".wrap:has(>.column.panel),.column.panel{background:none!important;border:0!important;"
    "box-shadow:none!important}.column.panel{padding-top:6vh!important}"
)
LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", "127.0.0.1")
PORT = 7860
MOST_WAITING = 64
QUIET = {  # read when gradio is imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_RUN_HISTORY": "False",
}
# The browser loads nothing from elsewhere and sends nothing there. Gradio's own scripts are inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in: the address and port to listen at, and passwords by name, if any.

    `anyone`: other machines as well, without a password.
    """

    host: str = LOOPBACK
    port: int = PORT
    passwords: Mapping[str, str] | None = None
    anyone: bool = False


def door(host: str, port: int, password_file: Path | None, let_anyone_in: bool) -> Door:
    """Return a checked door.

    Raises:
        UsageError: for an address of other machines without passwords, a password file that holds
            none, or both; says what to do. Else as `bind`.
        EmoSymError: when the port is in use.
    """
    if password_file is not None and let_anyone_in:
        raise UsageError("Give --password-file or --let-anyone-in, not both.")
    passwords = None if password_file is None else read_passwords(password_file)
    if not is_loopback(host) and passwords is None and not let_anyone_in:
        raise UsageError(
            f"--host {host} lets other machines in: add --password-file FILE, with a line "
            "name:password for each person, or --let-anyone-in."
        )
    with bind(host, port) as tried:  # gradio binds by itself: what it would say is no sentence
        port = int(tried.getsockname()[1])
    return Door(host, port, passwords, let_anyone_in)


def read_passwords(path: Path) -> dict[str, str]:
    """Return passwords by name, from lines name:password; lines that begin with # are passed over.

    Raises:
        UsageError: when the file is missing, or a line is none of these; the line is not shown.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path, "password file").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not colon or not name.strip() or not password:
            raise UsageError(f"Line {number} of {path} is not name:password.")
        found[name.strip()] = password
    if not found:
        raise UsageError(f"{path} holds no line name:password.")
    return found


def lock(passwords: Mapping[str, str]) -> Callable[[str, str], bool]:
    """Return what tells whether a name and a password belong together, in constant time."""

    def digest(text: str) -> bytes:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def opens(name: str, password: str) -> bool:
        known = passwords.get(name)
        same = hmac.compare_digest(digest(known or ""), digest(password))
        return same and known is not None

    return opens


def serve(home: Home, at: Door, open_browser: bool, wait: bool = True) -> Any:
    """Serve the page until it is stopped; without `wait`, return gradio's Blocks at once.

    Raises:
        EmoSymError: when gradio is not installed; names the command.
    """
    os.environ.update(QUIET)
    os.environ["GRADIO_TEMP_DIR"] = str(home.scratch / "uploads")
    require("gradio", "ui")
    from emosym.apps.ui.page import TEMPLATES, build_page, style, theme
    from emosym.data.images import MAX_BYTES

    page = build_page(home)
    page.queue(max_size=MOST_WAITING)
    page.launch(
        server_name=at.host,
        server_port=at.port,
        inbrowser=open_browser,
        auth=None if at.passwords is None else lock(at.passwords),
        auth_message=ASKS,
        prevent_thread_lock=not wait,
        max_file_size=MAX_BYTES,
        share=False,
        quiet=True,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=style(home.session.of_pictures().space.labels),
        js=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
        app_kwargs={"middleware": guards(at), "docs_url": None, "redoc_url": None},
    )
    return page


def guards(at: Door) -> list[Any]:
    """Return what every request passes: the policy, and on this machine alone only its names.

    A page elsewhere whose name was made to point at this machine is not answered.
    """
    middleware = require("starlette.middleware", "ui")
    trusted = require("starlette.middleware.trustedhost", "ui").TrustedHostMiddleware
    # that middleware cannot tell [::1] from its port
    local = is_loopback(at.host) and ":" not in at.host
    names = [*LOCAL_NAMES, at.host] if local else ["*"]
    policy = middleware.Middleware(policy_middleware())
    return [policy, middleware.Middleware(trusted, allowed_hosts=names)]


def policy_middleware() -> Any:
    """Return the middleware that tells browsers to load nothing from elsewhere.

    It also gives pages a title and the look of `LOGIN`, where gradio has none: when it asks for a
    password.
    """

    class Policy:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            begun: list[Any] = []

            async def told(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [
                        *message.get("headers", ()),
                        (b"content-security-policy", POLICY.encode()),
                        (b"x-content-type-options", b"nosniff"),
                        (b"referrer-policy", b"no-referrer"),
                    ]
                    if is_page(message["headers"]):
                        begun.append(message)  # its length may change
                        return
                elif begun:
                    start = begun.pop()
                    body = headed(message.get("body", b""))
                    await send({**start, "headers": measured(start["headers"], message, body)})
                    message = {**message, "body": body}
                await send(message)

            await self.app(scope, receive, told if scope["type"] == "http" else send)

    return Policy


def is_page(headers: Headers) -> bool:
    """Return whether a response is a page, not packed by anyone yet."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    packed = any(name.lower() == b"content-encoding" for name, _ in headers)
    return not packed and any(kind.startswith(b"text/html") for kind in kinds)


def headed(page: bytes) -> bytes:
    """Return a page with a title and the look of `LOGIN`, unless it has a title."""
    head = f"<head><title>{TITLE}</title><style>{LOGIN}</style>".encode()
    return page if b"<title" in page else page.replace(b"<head>", head, 1)


def measured(headers: Headers, message: Mapping[str, Any], body: bytes) -> Headers:
    """Return headers whose length, where they tell one, is that of a changed first body."""
    more = len(body) - len(message.get("body", b""))
    return [
        (name, str(int(value) + more).encode() if name.lower() == b"content-length" else value)
        for name, value in headers
    ]
