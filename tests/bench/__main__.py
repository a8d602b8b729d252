"""Measure our router beside its peers: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import about, report, suite
from tests.bench.bench import Bench
from tests.bench.engines import LOAD_CORE
from tests.bench.ours import Ours
from tests.bench.peers import Peer, peers
from tests.bench.processes import Processes
from tests.bench.results import Results
from tests.bench.suite import Plan
from tests.bench.targets import evaluate

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/reference/performance.md"
PROGRAMS = {"nginx": "nginx", "wrk": "wrk", "gcc": "gcc libc6-dev", "taskset": "util-linux", "setpriv": "util-linux"}


def main() -> int:
    options = _options()
    if options.read is not None:
        results = Results.from_json(json.loads(options.read.read_text()))
    else:
        problem = _what_is_missing()
        if problem is not None:
            sys.stderr.write(f"bench: {problem}\n")
            return 2
        try:
            results = _measured(options)
        except KeyboardInterrupt:
            sys.stderr.write("bench: interrupted; nothing is left running\n")
            return 130
    if options.keep and options.json is not None:
        results = Results.from_json(json.loads(options.json.read_text())).overlaid(results)
    if options.json is not None:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    if options.doc:
        DOCUMENT.write_text(report.filled(DOCUMENT.read_text(), results))
    sys.stdout.write(report.whole(results))
    return 1 if any(verdict.met is False for verdict in evaluate(results)) and options.strict else 0


def _what_is_missing() -> str | None:
    absent = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if absent:
        return f"programs are missing: apt-get install {' '.join(absent)}"
    if (os.cpu_count() or 1) <= LOAD_CORE:
        return "two cores are needed, one for the proxy alone"
    return None


def _measured(options: argparse.Namespace) -> Results:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, {LOAD_CORE})
    if options.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Processes(Path(folder)) as processes:
        bench = Bench(processes, options.build.absolute(), results)
        names = options.only or (["basic"] if options.quick else list(suite.MEASURES))
        found = _peers(bench, options, names)
        results.about = about.run(ROOT, found, checkout=options.checkout)
        ours = Ours(checkout=options.checkout and options.checkout.absolute())
        wanted = frozenset(options.subject or ())
        plan = Plan(ours, found, options.rounds, options.quick, options.requests, wanted)
        suite.run(bench, plan, names)
        for name, count in processes.leaked.items():
            results.note(name, f"left {count} processes behind when it was stopped")
    results.about["seconds"] = f"{bench.elapsed_s():.0f}"
    return results


def _peers(bench: Bench, options: argparse.Namespace, names: list[str]) -> tuple[Peer, ...]:
    """The peers that this run measures, installed."""
    if not suite.BESIDE_PEERS & {*names}:
        return ()
    wanted = peers(bench.build)[: 1 if options.quick else None]
    if options.subject:
        wanted = [peer for peer in wanted if peer.name in options.subject]
    if options.peers_venv is not None:
        return tuple(replace(peer, venv=options.peers_venv.absolute()) for peer in wanted)
    suite.install_peers(bench, wanted)
    return tuple(wanted)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    names = [*suite.MEASURES, *suite.APART]
    parser.add_argument("--rounds", type=int, help="of each measure; medians count (default: 3, of --quick 1)")
    parser.add_argument("--quick", action="store_true", help="short rounds of the main loads, with the main peers")
    parser.add_argument("--only", action="append", choices=names, help="measure this alone; may be repeated")
    parser.add_argument("--subject", action="append", help="measure this proxy alone; may be repeated")
    parser.add_argument("--requests", type=int, default=1_000_000, help="length of the soak")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    parser.add_argument("--keep", action="store_true", help="keep what that file holds and this run does not measure")
    parser.add_argument("--read", type=Path, help="measure nothing, report on the values in this file")
    parser.add_argument("--doc", action="store_true", help="write the tables into docs/reference/performance.md")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--real-time", action="store_true", help="put all that runs before other work; needs root")
    parser.add_argument("--build", type=Path, default=ROOT / ".bench", help="where programs and peers are kept")
    parser.add_argument("--peers-venv", type=Path, help="one environment that holds the peers already")
    parser.add_argument("--checkout", type=Path, help="measure the router of this working tree instead of this one's")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    return options


if __name__ == "__main__":
    sys.exit(main())
