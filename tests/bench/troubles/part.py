"""One process of ours that is killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.system import COMMANDS, ROOT

LOOK_S = 0.25
AGAIN_S = 2.0
"""As RestartSec of the units in deploy/systemd; Kubernetes takes 10 s."""
END_S = 40.0
"""After which a part that was told to end is killed."""


@dataclass
class Part:
    """A process with a folder, a configuration and a log of its own.

    Attributes:
        command: of `tests.fakes.system.COMMANDS`.
        environment: variables beside those that this process has.
        is_wanted: whether it is to run: it was started, and neither killed nor told to end since.
        ends: exit codes with which it ended by itself.
    """

    name: str
    command: str
    folder: Path
    document: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    is_wanted: bool = False
    ends: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start it; it is not waited for."""
        self.is_wanted = True
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "wattroute.yaml"
        path.write_text(yaml.safe_dump(self.document))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *COMMANDS[self.command], "--config", str(path)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )

    @property
    def log(self) -> Path:
        """What it says, over all its lives."""
        return self.folder / "log"

    @property
    def is_running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal, where it runs."""
        if self.process is not None and self.is_running:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self.is_wanted = False
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    async def keep_forever(self) -> None:
        """Start it again where it ends by itself, as whatever runs it in production does."""
        while True:
            if self.is_wanted and self.process is not None and not self.is_running:
                self.ends.append(self.process.returncode)
                await asyncio.sleep(AGAIN_S)
                if self.is_wanted and not self.is_running:
                    self.start()
            await asyncio.sleep(LOOK_S)

    async def end(self) -> int:
        """End it in an orderly way; returns its exit code."""
        assert self.process is not None
        self.is_wanted = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode
