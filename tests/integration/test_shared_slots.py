"""Slots shared by real processes, some of which are killed at any moment."""

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
WORKERS = 4
SECONDS = 1.5


def start(memory: SharedMemory, witness_fd: int, worker: int, cap: int, seconds: float) -> subprocess.Popen[bytes]:
    fds = (memory.fd, witness_fd, *memory.wake_fds)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.caps_player", *map(str, (worker, cap, seconds, *fds))],
        pass_fds=fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


@pytest.mark.parametrize("cap", [2, 5])
def test_no_cap_is_exceeded_by_processes_that_are_killed_and_replaced(cap: int) -> None:
    memory = SharedMemory.create(WORKERS)
    witness_fd = os.memfd_create("witness")
    rng = random.Random(cap)
    began_s = time.monotonic()
    players = [start(memory, witness_fd, worker, cap, SECONDS) for worker in range(WORKERS)]
    try:
        for _ in range(8):
            time.sleep(SECONDS / 10)
            victim = rng.randrange(1, WORKERS)
            players[victim].send_signal(signal.SIGKILL)
            _, errors = players[victim].communicate()
            assert b"Error" not in errors, errors.decode()
            memory.forget(victim)
            left_s = max(0.1, SECONDS - (time.monotonic() - began_s))
            players[victim] = start(memory, witness_fd, victim, cap, left_s)
        taken = []
        for player in players:
            out, errors = player.communicate(timeout=30)
            assert player.returncode == 0, errors.decode()
            taken.append(int(out))
        assert sum(taken) > 100
    finally:
        for player in players:
            player.kill()
            player.wait()
        memory.close()
        os.close(witness_fd)
