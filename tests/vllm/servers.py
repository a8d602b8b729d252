"""Real vLLM servers on this machine's processor, each started again at its address after a test has ended it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.system import get, post

MODEL = "tiny"
"""The name that both pools serve."""
MAX_SEQUENCES = 8
"""Requests that a server works on at once; further ones wait in it."""
MAX_LENGTH = 4096
START_LIMIT_S = 180.0
WAIT_S = 60.0
"""How long a condition may take to come true: no measure of speed, but the end of a test that would hang."""
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_SERVER_DEV_MODE": "1",
    # The first request with logprobs would compile for 24 s, even with --enforce-eager.
    "TORCHDYNAMO_DISABLE": "1",
    # With threads pinned to cores, everything else on the same cores stalls for up to a second.
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
ARGUMENTS = (
    *("--host", "127.0.0.1", "--max-model-len", str(MAX_LENGTH), "--max-num-seqs", str(MAX_SEQUENCES)),
    *("--kv-cache-memory-bytes", str(64 << 20), "--enforce-eager", "--enable-request-id-headers"),
    # A model with random weights would fill a JSON answer with spaces until its end.
    *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
)


@dataclass
class Server:
    """One server.

    Attributes:
        name: of its pool, which is its precision too.
        arguments: beyond those that all servers have.
        is_spoilt: a test has ended it, or is about to.
    """

    name: str
    venv: Path
    folder: Path
    port: int
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    is_spoilt: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, models: Path) -> None:
        """Begin to start; `wait_ready` waits for the end of it."""
        self.is_spoilt = False
        names = (MODEL, f"{MODEL}-{self.name}")
        command = [self.venv / "bin" / "vllm", "serve", models / f"tiny-{self.name}", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--served-model-name", *names, *ARGUMENTS, *self.arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **SETTINGS, "VLLM_CACHE_ROOT": str(self.folder / "cache")},
            )

    def wait_ready(self) -> None:
        self.until(lambda: not self.is_running() or get(f"{self.url}/health")[0] == 200, "it starts", START_LIMIT_S)
        assert self.is_running(), f"the server ended: {self.log.read_text()[-3000:]}"

    def until(self, holds: Callable[[], bool], what: str, limit_s: float = WAIT_S) -> None:
        """Wait until something holds; the server's log is in the error when it never does."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError):
                if holds():
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: never came true: {what}\n{self.log.read_text()[-3000:]}")

    def gauge(self, name: str) -> float:
        """Sum of one metric's series."""
        status, text = get(f"{self.url}/metrics")
        assert status == 200
        values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text.decode(), re.MULTILINE)
        assert values, f"no {name} among the metrics"
        return sum(map(float, values))

    def running(self) -> float:
        return self.gauge("vllm:num_requests_running")

    def waiting(self) -> float:
        return self.gauge("vllm:num_requests_waiting")

    def becomes_idle(self) -> None:
        self.until(lambda: self.running() + self.waiting() == 0, "no request is left")

    def order(self, path: str, body: dict[str, Any] | None = None) -> None:
        """An operator's verb, on the server's own port."""
        status, answer = post(f"{self.url}{path}", body or {})
        assert status == 200, f"{path}: {status} {answer!r}"

    def awaken(self) -> None:
        """Undo whatever pauses and sleep a test left behind."""
        if json.loads(get(f"{self.url}/is_sleeping")[1])["is_sleeping"]:
            self.order("/wake_up")
        if json.loads(get(f"{self.url}/is_paused")[1])["is_paused"]:
            self.order("/resume")

    def descendants(self) -> list[int]:
        """Processes that the server started, its engine among them."""
        assert self.process is not None
        found, ask = [], [self.process.pid]
        while ask:
            children = _children(ask.pop())
            found += children
            ask += children
        return found

    def signal_worker(self, number: signal.Signals) -> None:
        """Signal the process that computes; the server's other processes find out by themselves."""
        self.is_spoilt = True
        [worker] = [pid for pid in self.descendants() if b"VLLM::Worker" in _title(pid)]
        os.kill(worker, number)

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        assert self.process is not None
        self.is_spoilt = True
        self.process.send_signal(signal.SIGTERM)

    def ends(self) -> None:
        """Wait until the server has ended by itself."""
        self.until(lambda: not self.is_running(), "the server ends")

    def end(self) -> None:
        """Stop for good, or kill what does not stop; harmless when it has ended."""
        if self.process is None:
            return
        left = self.descendants()
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        for pid in left:
            if Path(f"/proc/{pid}").exists() and b"VLLM" in _title(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process = None


@dataclass(frozen=True)
class Pair:
    """The two servers, one at each precision."""

    bf16: Server
    int8: Server
    models: Path

    def make_ready(self) -> None:
        """Both run, neither is paused nor sleeps, and nothing is left of earlier requests."""
        both = (self.bf16, self.int8)
        for server in both:
            if server.is_spoilt or not server.is_running():
                server.end()
                server.start(self.models)
        for server in both:
            server.wait_ready()
            server.awaken()
            server.becomes_idle()

    def end(self) -> None:
        for server in (self.bf16, self.int8):
            if server.is_running():
                server.ask_to_stop()
        for server in (self.bf16, self.int8):
            server.end()


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
