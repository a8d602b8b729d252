"""Measure the optimiser beside plain HiGHS on the core planning problem: `make bench-plan`."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

from tests.bench.about import host
from tests.bench.planning.cases import CASES
from tests.bench.planning.measure import measure
from tests.bench.planning.table import tables
from tests.bench.planning.week import SCENARIO, measure_week, week_table

DOCUMENT = Path(__file__).parents[3] / "docs/reference/planning.md"
WEEK = "week"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-plan", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="instances of each size (default: 2)")
    parser.add_argument("--only", choices=[*(case.name for case in CASES), WEEK], action="append", help="this alone")
    parser.add_argument("--doc", action="store_true", help=f"write the tables into {DOCUMENT.name}, too")
    options = parser.parse_args()
    measured = []
    for case in CASES:
        for seed in range(options.seeds):
            if options.only and case.name not in options.only:
                continue
            sys.stderr.write(f"{case.name}, seed {seed}: {case.about}\n")
            measured.append(measure(case, seed))
    text = tables(measured) if measured else ""
    if not options.only or WEEK in options.only:
        sys.stderr.write(f"{WEEK}: {SCENARIO} with every lever\n")
        text += ("\n" if text else "") + week_table(measure_week())
    sys.stdout.write(text)
    if options.doc:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        known = {**host(DOCUMENT.parent), "HiGHS": metadata.version("highspy"), "cvxpy": metadata.version("cvxpy")}
        facts = "".join(f"- {name}: {value}\n" for name, value in known.items())
        DOCUMENT.write_text(before + BEGIN + "\n" + facts + "\n" + text + "\n" + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
