"""A process that takes and gives shared slots as fast as it can, and checks the cap by other means.

Each slot in use is one of `cap` further locks, which the kernel lifts when this process is killed. Whoever has got a
slot must find one of them free; if none is for many looks, more than `cap` slots are in use.

Run as ``python caps_player.py WORKER CAP SECONDS MEMORY_FD WITNESS_FD WAKE_FD...``; prints the slots taken, or ends
with an error.
"""

from __future__ import annotations

import fcntl
import random
import sys
import time

from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory

LOOKS = 60


def enter(witness_fd: int, cap: int, mine: set[int]) -> int:
    """One of the witness's locks, not one of `mine`."""
    for _ in range(LOOKS):
        for number in range(cap):
            if number not in mine:
                try:
                    fcntl.lockf(witness_fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                except BlockingIOError:
                    continue
                return number
    raise AssertionError(f"more than {cap} slots are in use")


def main() -> None:
    worker, cap = int(sys.argv[1]), int(sys.argv[2])
    end_s = time.monotonic() + float(sys.argv[3])
    memory_fd, witness_fd, *wake_fds = map(int, sys.argv[4:])
    caps = SharedCaps(SharedMemory(len(wake_fds), memory_fd, wake_fds), worker, FileLocks(memory_fd))
    (row,) = caps.claim(["engine"])
    rng = random.Random(worker)
    mine: set[int] = set()
    taken = 0
    while time.monotonic() < end_s:
        if caps.take(row, cap):
            mine.add(enter(witness_fd, cap, mine))
            taken += 1
        if mine and rng.random() < 0.5:
            number = mine.pop()
            fcntl.lockf(witness_fd, fcntl.LOCK_UN, 1, number)
            caps.give(row)
        if rng.random() < 0.05:
            time.sleep(rng.random() * 2e-3)
    sys.stdout.write(f"{taken}\n")


if __name__ == "__main__":
    main()
