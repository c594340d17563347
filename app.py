"""The page as a hosted Space runs it, or `python app.py`: with what is shipped, open as asked.

In a Space (SPACE_ID is set) anyone may come in, and nobody can keep or prune anything. Elsewhere
it listens on this machine alone. EMOSYM_MODEL names another model, EMOSYM_TEXT_MODEL what reads
words.
"""

import os
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "src"
if SOURCE.is_dir():  # a clone runs what it holds, installed or not
    sys.path.insert(0, str(SOURCE))

from emosym.apps.cli.main import main  # noqa: E402


def arguments() -> list[str]:
    """Return the words of the command that this page is."""
    found = ["ui", "--no-browser", "--port", os.environ.get("GRADIO_SERVER_PORT", "7860")]
    for option, name in (("--model", "EMOSYM_MODEL"), ("--text-model", "EMOSYM_TEXT_MODEL")):
        if os.environ.get(name):
            found += [option, os.environ[name]]
    if os.environ.get("SPACE_ID"):
        found += ["--host", "0.0.0.0", "--let-anyone-in"]
    return found


if __name__ == "__main__":
    sys.argv[1:] = arguments()
    main()
