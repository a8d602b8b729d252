"""What the live re-fit of the curves changes where they are wrong: `make bench-refit`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from tests.bench.refit.cases import Case
from tests.bench.refit.table import convergence_table, limit_table

DOCUMENT = Path(__file__).parents[3] / "docs/reference/energy-refit.md"
BEGIN, END = "<!-- figures: make bench-refit ARGS=--doc -->\n", "<!-- end of figures -->"
FACTORS = (1.4, 1 / 1.4, 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-refit", description=__doc__)
    parser.add_argument("--doc", action="store_true", help=f"write the tables into {DOCUMENT.name}, too")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of a run under a limit")
    parser.add_argument("--minutes", type=int, default=15, help="length of a pool's convergence")
    options = parser.parse_args()
    base = Case(1.0, False, seconds=options.seconds, begins_s=options.seconds / 2)
    cases = [dataclasses.replace(base, factor=f, refit=refit) for f in FACTORS for refit in (False, True)]
    text = "\n".join(["", *limit_table(cases), "", *convergence_table(options.minutes), ""])
    sys.stdout.write(text + "\n")
    if options.doc:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(before + BEGIN + text + "\n" + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
