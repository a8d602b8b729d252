"""Records outlive a process that is killed at any instant, and a disk that is full.

WATTROUTE_KILLS=5000 kills for longer than the 120 times of the suite.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.evidence.series import Sample
from controller.store import witness
from controller.store.ledger import Ledger
from controller.store.ledger_check import check_file
from tests.fakes.played_event import START_S, flowing

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("WATTROUTE_KILLS", "120"))
A_FOLDER = 300
"""Kills after which another folder is begun, since each kill checks the whole of its files."""
NAMES = ("ledger.sqlite", "evidence.sqlite")
MOTHER = """
import os, signal, sys
from pathlib import Path
from tests.fakes.evidence_writer import main
for folder in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        main(Path(folder.strip()))
    sys.stdout.write(f"born {child}\\n")
    sys.stdout.flush()
    os.waitpid(child, 0)
    sys.stdout.write("died\\n")
    sys.stdout.flush()
"""


def python(*words: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def checked(folder: Path) -> list[int]:
    """Both files verify, and fit the heads that the state file keeps; the numbers of their last rows."""
    kept = witness.of_state(folder / "state.json")
    found = [check_file(folder / name, [each for each in kept if each.ledger == name]) for name in NAMES]
    assert all(len(each.compared) == 1 for each in found)
    return [each.head.sequence for each in found]


@pytest.mark.timeout(60 + 2 * KILLS)
def test_killed_at_any_instant_the_records_verify_and_lose_at_most_the_last_tick(tmp_path: Path) -> None:
    draws = random.Random(7)
    mother = python("-c", MOTHER)
    assert mother.stdin is not None
    assert mother.stdout is not None
    told, ticks = [0, 0], 0
    try:
        for kill in range(KILLS):
            folder = tmp_path / str(kill // A_FOLDER)
            told = [0, 0] if kill % A_FOLDER == 0 else told
            mother.stdin.write(f"{folder}\n")
            mother.stdin.flush()
            child, least = None, 1 if kill % A_FOLDER == 0 else draws.randint(0, 3)
            while child is None or least > 0:
                words = mother.stdout.readline().split()
                if words[0] == "born":
                    child = int(words[1])
                elif words[0] == "tick":
                    told, ticks, least = [int(words[2]), int(words[3])], ticks + 1, least - 1
            time.sleep(draws.uniform(0.0, 0.03))
            os.kill(child, signal.SIGKILL)
            while (words := mother.stdout.readline().split())[0] != "died":
                told, ticks = [int(words[2]), int(words[3])], ticks + 1
            if (folder / "state.json").is_file():
                rows = checked(folder)
                assert all(has >= had for has, had in zip(rows, told, strict=True)), "a committed tick was lost"
    finally:
        mother.kill()
        mother.communicate()
    assert ticks > KILLS
    samples = [len(flowing(each / "evidence.sqlite", "evening", Sample)) for each in tmp_path.iterdir()]
    assert sum(samples) > KILLS


def test_a_disk_that_is_full_is_told_and_the_gap_is_recorded_once_there_is_room(tmp_path: Path) -> None:
    writer = python("-m", "tests.fakes.evidence_writer", str(tmp_path), "200000")
    assert writer.stdout is not None
    try:
        failures: list[str] = []
        while len(failures) < 12:
            line = writer.stdout.readline()
            failures += [line] if line.startswith("failed") else []
        assert any("not written" in line for line in failures)
        rows = checked(tmp_path)
        resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        went_on = 0
        while went_on < 20:
            went_on = 0 if (line := writer.stdout.readline()).startswith("failed") else went_on + 1
    finally:
        writer.kill()
        writer.communicate()
    assert all(now > then for now, then in zip(checked(tmp_path), rows, strict=True))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.records("gap")[0].payload["lost"] >= 1
    ledger.close()
    samples = flowing(tmp_path / "evidence.sqlite", "evening", Sample)
    steps_s = {b.time_s - a.time_s for a, b in itertools.pairwise(samples)}
    assert max(steps_s) <= 5.0  # what waited was written; where a sample failed its tick went on to the next


def test_a_file_that_another_process_holds_is_told_and_the_gap_recorded_afterwards(tmp_path: Path) -> None:
    writer = python("-m", "tests.fakes.evidence_writer", str(tmp_path))
    assert writer.stdout is not None
    try:
        while not writer.stdout.readline().startswith("tick"):
            pass
        holder = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None, timeout=30.0)
        holder.execute("BEGIN IMMEDIATE")
        while not (line := writer.stdout.readline()).startswith("failed"):
            pass
        assert "locked" in line
        holder.execute("ROLLBACK")
        holder.close()
        went_on = 0
        while went_on < 3:
            went_on += writer.stdout.readline().startswith("tick")
    finally:
        writer.kill()
        writer.communicate()
    checked(tmp_path)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    (gap, *_) = ledger.records("gap")
    assert gap.payload["lost"] >= 1
    assert gap.payload["from_s"] >= START_S
    ledger.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights for a moment")
def test_a_folder_that_is_read_only_is_told_with_the_remedy(tmp_path: Path) -> None:
    writer = python("-m", "tests.fakes.evidence_writer", str(tmp_path))
    assert writer.stdout is not None
    while not writer.stdout.readline().startswith("tick"):
        pass
    writer.kill()
    writer.communicate()
    code = (
        "import os, sys; from pathlib import Path; from controller.store.ledger import Ledger; os.seteuid(65534)\n"
        "try: Ledger(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__, error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ledger.sqlite")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout.startswith("StoreError"), told.stderr
    assert "choose another controller.data_dir" in told.stdout
