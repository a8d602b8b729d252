"""The peers' environments: one for each peer, made where it is not yet there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INSTALLED = "requirement"
"""File in an environment that says for which requirement it was made."""


def ensure(requirement: str, venv: Path) -> str | None:
    """Make an environment that holds a package; gives why it could not be made, or None."""
    stamp = venv / INSTALLED
    if stamp.exists() and stamp.read_text() == requirement:
        return None
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(venv)], [*pip, requirement]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"code {done.returncode}"]
            return f"{requirement} cannot be installed: {lines[-1]}"
    stamp.write_text(requirement)
    return None
