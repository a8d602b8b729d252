"""The supervisor over a real vLLM on the processor: started, adopted, started again after its engine was killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.fakes.supervised import document, no_engine_left, supervised
from tests.fakes.system import get
from tests.vllm.servers import ARGUMENTS, MODEL, SETTINGS, START_LIMIT_S, Pair

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
ADDED = ("--host", "127.0.0.1")
"""By the supervisor; the processor has no memory that sleep would free."""


def test_a_real_engine_is_started_adopted_and_started_again(pair: Pair, tmp_path: Path) -> None:
    arguments = [*ARGUMENTS[len(ADDED) :], "--shutdown-timeout", "20"]
    assert ARGUMENTS[: len(ADDED)] == ADDED
    settings = document(
        tmp_path,
        instances=1,
        serve={
            "command": [str(pair.bf16.venv / "bin" / "vllm"), "serve"],
            "model": str(pair.models / "tiny-bf16"),
            "arguments": arguments,
            "env": {name: value for name, value in SETTINGS.items() if name != "VLLM_SERVER_DEV_MODE"},
            "sleep": False,
        },
        stop_s=60.0,
    )
    settings["model"] = MODEL
    with no_engine_left(tmp_path / "engines"):
        with supervised(tmp_path, settings) as running:
            running.until(lambda found: found["bf16-0"]["state"] == "serving", START_LIMIT_S)
            before = running.instances()["bf16-0"]
            assert json.loads(get(f"{before['url']}/v1/models")[1])["data"][0]["id"] == MODEL
            running.end(signal.SIGKILL)
        with supervised(tmp_path, settings) as running:
            adopted = running.until_state("bf16-0", "serving")
            assert (adopted["pid"], adopted["is_adopted"]) == (before["pid"], True)
            os.kill(adopted["pid"], signal.SIGKILL)
            running.until(
                lambda found: found["bf16-0"]["restarts"] == 1 and found["bf16-0"]["state"] == "serving", START_LIMIT_S
            )
            running.order("bf16-0", "stop")
            assert running.until_state("bf16-0", "off")["pid"] is None
