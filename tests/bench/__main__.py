"""Measure our router beside its peers: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench import basic, install, report
from tests.bench.allocation import table_server
from tests.bench.basic import Subject
from tests.bench.bench import Bench
from tests.bench.engines import LOAD_CORE
from tests.bench.processes import Processes
from tests.bench.proxies import CLASS_NAMES, Nginx, Ours, Peer, peers, pool_names
from tests.bench.results import Results
from tests.bench.targets import OURS_2X4, evaluate

ROOT = Path(__file__).parents[2]
PROGRAMS = {"nginx": "nginx", "wrk": "wrk", "gcc": "gcc libc6-dev", "taskset": "util-linux", "setpriv": "util-linux"}


def main() -> int:
    options = _options()
    absent = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if absent or (os.cpu_count() or 1) <= LOAD_CORE:
        problem = f"apt-get install {' '.join(absent)}" if absent else "two cores are needed: one for the proxy alone"
        sys.stderr.write(f"bench: {problem}\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, {LOAD_CORE})
    results = Results()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, Processes(Path(folder)) as processes:
            _run(Bench(processes, options.build, results), options)
            for name, count in processes.leaked.items():
                results.note(name, f"left {count} processes behind when stopped")
    except KeyboardInterrupt:
        sys.stderr.write("bench: interrupted\n")
        return 130
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    sys.stdout.write(
        "\n".join([report.side_by_side(results), report.targets(evaluate(results)), report.notes(results)])
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each measure; medians count")
    parser.add_argument("--quick", action="store_true", help="one short round of the main loads")
    parser.add_argument("--peers-venv", type=Path, help="one environment that holds the peers already")
    parser.add_argument("--build", type=Path, default=ROOT / ".bench", help="where programs are compiled to")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    parser.add_argument("--checkout", type=Path, help="measure the router of this working tree instead of this one's")
    return parser.parse_args()


def _run(bench: Bench, options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        table_url = stack.enter_context(table_server(pool_names(2), CLASS_NAMES))
        ours = Ours(table_url=table_url, checkout=options.checkout)
        subjects = [Subject(ours)]
        if not options.quick:
            subjects.append(Subject(replace(ours, name=OURS_2X4, pools=2), addresses=8))
        subjects.append(Subject(Nginx()))
        subjects += [Subject(peer) for peer in _peers(bench, options)]
        for _ in range(1 if options.quick else options.rounds):
            basic.measure_round(bench, subjects, quick=options.quick)


def _peers(bench: Bench, options: argparse.Namespace) -> list[Peer]:
    """The peers to measure; one that cannot be installed is noted and stays in the list, to be reported as absent."""
    wanted = peers(options.build)[: 1 if options.quick else None]
    if options.peers_venv is not None:
        return [replace(peer, venv=options.peers_venv) for peer in wanted]
    for peer in wanted:
        problem = install.ensure(peer.requirement, peer.venv)
        if problem is not None:
            bench.unavailable.add(peer.name)
            bench.results.note(peer.name, problem)
    return wanted


if __name__ == "__main__":
    sys.exit(main())
