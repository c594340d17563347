"""What every request to the page passes: its names, a policy for browsers, a page that asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from emosym.apps.listening import is_loopback
from emosym.evaluation.report.palette import ROLES
from emosym.extras import require

Headers: TypeAlias = "Sequence[tuple[bytes, bytes]]"

TITLE = "EmoSym"
LOCAL_NAMES = ("localhost", "127.0.0.1")
LOGIN = Path(__file__).parent / "templates" / "login.html"
ASKS = b'"auth_required":true'  # in gradio's page that asks for a password
# The browser loads nothing from elsewhere and sends nothing there. Gradio's own scripts are inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
TOLD = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def guards(host: str) -> list[Any]:
    """Return what every request passes: the policy, and on this machine alone only its names.

    A page elsewhere whose name was made to point at this machine is not answered.
    """
    middleware = require("starlette.middleware", "ui")
    trusted = require("starlette.middleware.trustedhost", "ui").TrustedHostMiddleware
    # that middleware cannot tell [::1] from its port
    local = is_loopback(host) and ":" not in host
    names = [*LOCAL_NAMES, host] if local else ["*"]
    policy = middleware.Middleware(policy_middleware())
    return [policy, middleware.Middleware(trusted, allowed_hosts=names)]


def policy_middleware() -> Any:
    """Return the middleware that tells browsers to load nothing from elsewhere.

    The page of gradio that asks for a password has no heading, landmark or title: `login_page`
    stands in its place, and asks the same address.
    """

    class Policy:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            begun: list[Any] = []  # the start of a page that is not sent yet
            parts: list[bytes] = []

            async def told(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), *TOLD]
                    if is_page(message["headers"]):
                        begun.append(message)
                        return
                elif begun:
                    parts.append(message.get("body", b""))
                    if message.get("more_body"):
                        return
                    start, body = begun.pop(), b"".join(parts)
                    if ASKS in body:
                        body = login_page()
                        start["headers"] = measured(start["headers"], len(body))
                    await send(start)
                    message = {"type": "http.response.body", "body": body}
                await send(message)

            await self.app(scope, receive, told if scope["type"] == "http" else send)

    return Policy


@cache
def login_page() -> bytes:
    """Return the page that asks for a name and a password, in the page's colours."""
    colours = [
        "".join(f"--{name}:{pair[dark]};" for name, pair in ROLES.items()) for dark in (0, 1)
    ]
    page = Template(LOGIN.read_text(encoding="utf-8"))
    return page.substitute(title=TITLE, light=colours[0], dark=colours[1]).encode()


def is_page(headers: Headers) -> bool:
    """Return whether a response is a page, not packed by anyone yet."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    packed = any(name.lower() == b"content-encoding" for name, _ in headers)
    return not packed and any(kind.startswith(b"text/html") for kind in kinds)


def measured(headers: Headers, length: int) -> Headers:
    """Return headers whose length, where they tell one, is another, and which nobody stores."""
    found = [
        (name, str(length).encode() if name.lower() == b"content-length" else value)
        for name, value in headers
    ]
    return [*found, (b"cache-control", b"no-store")]
