"""Judge the forecasters by recorded and made-up series: `make bench-forecast`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.forecasts.cases import demand_cases, signal_cases
from tests.bench.forecasts.replay import of_demand, of_signal
from tests.bench.forecasts.table import demand_table, signal_table

DOCUMENT = Path(__file__).parents[3] / "docs/reference/forecasts.md"
BEGIN, END = "<!-- figures: make bench-forecast ARGS=--doc -->\n", "<!-- end of figures -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-forecast", description=__doc__)
    parser.add_argument("--doc", action="store_true", help=f"write the tables into {DOCUMENT.name}, too")
    options = parser.parse_args()
    lines = []
    for line in _lines():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        lines.append(line)
    if options.doc:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])
    return 0


def _lines() -> Iterator[str]:
    for case in demand_cases():
        yield from ("", f"### {case.name}: {case.steps} intervals of {case.step_s:.0f} s", "")
        yield from demand_table(of_demand(case, 0.5), of_demand(case, 0.9), case.skip)
    for signal in signal_cases():
        yield from ("", f"### {signal.name}: {signal.steps} intervals of {signal.step_s:.0f} s, MASE", "")
        yield from signal_table(of_signal(signal), signal.skip)
    yield ""


if __name__ == "__main__":
    sys.exit(main())
