"""The command `wattroute` as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAPTOP = ROOT / "deploy" / "examples" / "laptop.yaml"


def wattroute(*arguments: str, cwd: Path, hide: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a user would; `hide` makes a package impossible to import."""
    code = f"import sys; sys.modules.update(dict.fromkeys({hide.split()!r})); from controller.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def configuration(tmp_path: Path, **changes: str) -> Path:
    text = LAPTOP.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "wattroute.yaml"
    path.write_text(text)
    return path


def one_line_error(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
