"""`python -m emosym`: the same as the `emosym` command."""

from __future__ import annotations

from emosym.apps.cli.main import main

if __name__ == "__main__":  # spawned workers import this module again under another name
    main()
