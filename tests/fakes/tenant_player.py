"""A process that admits and ends requests of one tenant as fast as it can, and checks the bound on those at once.

Each request in flight is one of `most` further locks, which the kernel lifts when this process is killed (see
`tests.fakes.caps_player`). Each admission is a byte more in the file of admissions, whoever is killed afterwards.

Run as ``python tenant_player.py WORKER PER_MINUTE BURST MOST SECONDS ADMITTED_FD MEMORY_FD WITNESS_FD WAKE_FD...``; it
says that it is ready, begins when told a line, and prints how often it asked, or ends with an error.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
import time

from router.shared_memory import FileLocks, SharedMemory
from router.shared_tenants import SharedTenants
from router.tenants.limits import Allowance
from router.tenants.shared_limits import Sharing
from tests.fakes.caps_player import enter


def main() -> None:
    worker, per_minute, burst, most = map(int, sys.argv[1:5])
    admitted_fd, memory_fd, witness_fd, *wake_fds = map(int, sys.argv[6:])
    memory = SharedMemory(len(wake_fds), memory_fd, wake_fds)
    allowance = Allowance(requests_per_minute=per_minute, burst=burst, tokens_per_minute=10**9, max_in_flight=most)
    limits = Sharing(SharedTenants(memory, worker, FileLocks(memory_fd))).allow({"acme": allowance})["acme"]
    rng = random.Random(worker)
    mine: set[int] = set()
    asked = 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    end_s = time.monotonic() + float(sys.argv[5])
    while time.monotonic() < end_s:
        asked += 1
        if limits.admit(100.0, time.time()) is None:
            os.write(admitted_fd, b"x")
            mine.add(enter(witness_fd, most, mine))
        if mine and rng.random() < 0.5:
            fcntl.lockf(witness_fd, fcntl.LOCK_UN, 1, mine.pop())
            limits.leave(100.0, 50.0)
    sys.stdout.write(f"{asked}\n")


if __name__ == "__main__":
    main()
