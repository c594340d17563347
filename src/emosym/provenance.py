"""What a number or a file was made with: library versions, and the commit of this package."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "transformers", "diffusers", "accelerate", "peft", "numpy", "lancedb")


def package_versions() -> dict[str, str]:
    """Return the versions of emosym, Python and the libraries that move numbers."""
    from emosym import __version__

    found = {"emosym": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_hash() -> str | None:
    """Return the commit this package runs from ("-dirty" if edited), None outside its repository.

    None as well when the package merely lies in some other repository's virtual environment.
    """
    here = Path(__file__)
    steps = (
        ("git", "ls-files", "--error-unmatch", here.name),
        ("git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"),
    )
    try:
        for step in steps:
            done = subprocess.run(
                step, cwd=here.parent, capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
