"""How the page is served: to this machine alone unless asked, and without a word to others."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.apps.listening import bind, is_loopback
from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import read_text

if TYPE_CHECKING:
    from emosym.apps.ui.home import Home

LOOPBACK = "127.0.0.1"
PORT = 7860
MOST_WAITING = 64
QUIET = {  # read when gradio is imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_RUN_HISTORY": "False",
}


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
    from emosym.apps.ui.guards import guards
    from emosym.apps.ui.page import TEMPLATES, build_page, style, theme
    from emosym.data.images import MAX_BYTES

    page = build_page(home)
    page.queue(max_size=MOST_WAITING)
    page.launch(
        server_name=at.host,
        server_port=at.port,
        inbrowser=open_browser,
        auth=None if at.passwords is None else lock(at.passwords),
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
        app_kwargs={"middleware": guards(at.host), "docs_url": None, "redoc_url": None},
    )
    return page
