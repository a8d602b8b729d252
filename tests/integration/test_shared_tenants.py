"""A tenant's limits hold exactly for processes that share them, whichever are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from router.shared_memory import SharedMemory

ROOT = Path(__file__).parents[2]
WORKERS = 3
SECONDS = 1.0
PER_MINUTE = 600
BURST = 8_000


class Players:
    """Processes that share one tenant."""

    def __init__(self, most: int) -> None:
        self.memory = SharedMemory.create(WORKERS)
        self.admitted_fd = os.memfd_create("admitted")
        self._witness_fd = os.memfd_create("witness")
        self._bounds = (PER_MINUTE, BURST, most)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, worker: int, seconds: float) -> subprocess.Popen[bytes]:
        fds = (self.admitted_fd, self.memory.fd, self._witness_fd, *self.memory.wake_fds)
        arguments = (worker, *self._bounds, seconds, *fds)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.tenant_player", *map(str, arguments)],
            pass_fds=fds,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    def admitted(self) -> int:
        return os.fstat(self.admitted_fd).st_size

    def close(self) -> None:
        for player in self.running:
            player.kill()
            player.communicate()
        self.memory.close()
        os.close(self.admitted_fd)
        os.close(self._witness_fd)


def begin(player: subprocess.Popen[bytes]) -> None:
    assert player.stdin is not None
    player.stdin.write(b"\n")
    player.stdin.flush()


@pytest.mark.parametrize(("most", "kills"), [(2, 0), (4, 8)])
def test_no_bound_is_passed_by_processes_that_hammer_one_tenant(most: int, kills: int) -> None:
    players = Players(most)
    rng = random.Random(most)
    began_s = time.time()
    try:
        players.running = [players.start(worker, SECONDS) for worker in range(WORKERS)]
        for player in players.running:
            assert player.stdout is not None
            assert player.stdout.readline() == b"ready\n"
        for player in players.running:
            begin(player)
        for _ in range(kills):
            time.sleep(rng.random() * 0.06)
            victim = rng.randrange(1, WORKERS)
            players.running[victim].send_signal(signal.SIGKILL)
            _, errors = players.running[victim].communicate()
            assert b"Error" not in errors, errors.decode()
            players.memory.forget(victim)
            players.running[victim] = players.start(victim, SECONDS / 2)
            begin(players.running[victim])
        for player in players.running:
            _, errors = player.communicate(timeout=30)
            assert player.returncode == 0, errors.decode()
        passed_s = time.time() - began_s
        assert 100 < players.admitted() <= BURST + PER_MINUTE / 60 * passed_s
    finally:
        players.close()
