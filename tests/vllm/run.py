"""What `make test-vllm` runs: the environment and the models, then the tests in this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.vllm.environment import VENV_VARIABLE, UnavailableError, folders, prepare

ROOT = Path(__file__).parents[2]
TEST_LIMIT_S = 400
"""For one test, with a start of both servers on a busy machine within it."""


def main(arguments: list[str]) -> int:
    """Exit code of the tests; 0 where vLLM's CPU build cannot be had or run here, with the reason in one line."""
    folder, given = folders(ROOT)
    try:
        venv = prepare(folder, given=given, say=_say)
    except UnavailableError as error:
        _say(f"skipped: {error}")
        return 0
    command = [sys.executable, "-m", "pytest", "tests/vllm", "-m", "vllm", "-n", "0", "--timeout", str(TEST_LIMIT_S)]
    environment = {**os.environ, VENV_VARIABLE: str(venv)}
    return subprocess.run([*command, *arguments], check=False, cwd=ROOT, env=environment).returncode


def _say(text: str) -> None:
    sys.stdout.write(f"make test-vllm: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
