"""What checking and reporting cost on a long ledger: ``python -m tests.bench.records [--events N] [--folder F]``.

A made-up year of evidence: one event a day of four hours at a decision each five seconds, played once and written anew
under other names and times. Each command then runs in a process of its own, whose CPU time and largest resident memory
the kernel tells. ``--standing-days`` plays a limit that holds for so long besides.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from controller.store.chain import chain
from controller.store.ledger import Ledger, Retention
from tests.fakes.played_event import START_S, Player, event

DAY_S = 86_400.0
EVENT_S = 4 * 3600.0
_TIME = re.compile(r"17[89]\d{7}\.\d+")

_TELLING = """
import re, sys
from pathlib import Path
from controller.cli import main
place = sys.argv.pop(1)
try:
    main()
finally:
    Path(place).write_text(re.search("VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""

Row = tuple[float, str, str]
"""Time, kind and payload of a row."""


class Pattern(Ledger):
    """Keeps rows in memory instead of writing them; nothing of a whole year is to be played at real cost."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.rows: list[Row] = []

    def _append(self, kind: str, time_s: float, text: str) -> tuple[int, str]:
        self.rows.append((time_s, kind, text))
        return self._last


def pattern(length_s: float) -> list[Row]:
    """The rows of one event of that length, from a quarter of an hour before until an hour after it."""
    with tempfile.TemporaryDirectory() as folder:
        player = Player(Path(folder), START_S - 960.0)
        player.ledger.close()
        kept = player.file.ledger = Pattern(Path(folder) / "pattern.sqlite")
        player.play(START_S + length_s + 3700.0, event(end_s=START_S + length_s))
        player.close()
        kept.close()
        return kept.rows


def moved(rows: list[Row], by_s: float, name: str) -> Iterator[Row]:
    """The same, so much later and under another name."""

    def later(match: re.Match[str]) -> str:
        return str(round(float(match[0]) + by_s, 2))

    for time_s, kind, text in rows:
        yield (
            time_s + by_s,
            kind,
            _TIME.sub(later, text).replace('"evening"', f'"{name}"').replace(" evening", f" {name}"),
        )


def write(path: Path, rows: Iterator[Row]) -> None:
    """Append rows to a ledger as it would have done, but in one transaction."""
    ledger = Ledger(path, retention=Retention())
    head = ledger.head
    ledger.close()
    sequence, last = head.sequence, head.hash
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for time_s, kind, text in rows:
            sequence += 1
            last = chain(last, sequence, time_s, kind, text)
            db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (sequence, time_s, kind, text, last))


def cost(words: list[str]) -> tuple[int, float, float]:
    """Exit code, CPU time in s and largest resident memory in MB of a command.

    The kernel's own figure of a process that has ended holds what its parent took before it; the command tells its own.
    """
    with tempfile.NamedTemporaryFile("r") as told:
        process = subprocess.Popen([sys.executable, "-c", _TELLING, told.name, *words], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        most_mb = int(told.read() or 0) / 1024
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, most_mb


def main(folder: Path, events: int, standing_days: float) -> int:
    """Make the file where there is none yet, and tell what each command costs; 1 where one of them fails."""
    path = folder / "evidence.sqlite"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows = pattern(EVENT_S)
        for number in range(events):
            write(path, moved(rows, number * DAY_S, f"day-{number}"))
        if standing_days:
            write(path, moved(pattern(standing_days * DAY_S), events * DAY_S, "standing"))
    with contextlib.closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT count(*) FROM records").fetchone()
    print(f"{count} rows, {path.stat().st_size / 1e9:.2f} GB")  # noqa: T201
    failed = 0
    subjects = [f"day-{events - 1}", *(["standing"] if standing_days else [])]
    commands = [["ledger", "verify"], ["ledger", "list"]]
    for subject in subjects:
        commands.append(["report", subject, "--out", str(folder / "report")])
        commands.append(["ledger", "export", subject, "--out", str(folder / f"{subject}.jsonl")])
    for words in commands:
        code, cpu_s, most_mb = cost([*words, "--file", str(path)])
        failed |= code not in (0, 3)
        print(f"{' '.join(words[:3]):30} exit {code}  {cpu_s:7.1f} s of CPU  {most_mb:7.0f} MB")  # noqa: T201
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=365, help="one a day (default 365)")
    parser.add_argument("--standing-days", type=float, default=0.0, help="of a limit that holds for so long")
    parser.add_argument("--folder", type=Path, help="where to keep the file; a temporary one if none")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sys.exit(main(place, options.events, options.standing_days))
