"""Hold both models of `wattroute simulate` against the HTTP emulator: `make bench-agreement`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from controller.simulation.site_router import Request
from controller.simulation.trace import read_trace
from tests.bench.about import host
from tests.bench.agreement.case import TOLERANCE_FRAC, Window, requests_at, set_of, site_of
from tests.bench.agreement.emulated import play
from tests.bench.agreement.models import discrete, fluid
from tests.bench.agreement.table import Row, models_alone, with_emulator
from tests.fakes.system import laptop_on_free_ports, running

DOCUMENT = Path(__file__).parents[3] / "docs/reference/emulator.md"
BEGIN, END = "<!-- figures: make bench-agreement ARGS=--doc -->\n", "<!-- end of figures -->"
LOADS_PER_S = {"low": 1.0, "middle": 4.0, "high": 16.0}
WINDOW = Window(30.0, 120.0)
ALONE_PER_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 24.0)
ALONE_FROM_PER_S = 1.0
"""Of the loads above, those from here on must agree; below, instances of the flow stand empty too often."""
ALONE = Window(60.0, 660.0)
FROM_EMPTY = Window(0.0, 60.0)
"""A window in which the models need not agree: tokens that flow come later than those of the first requests."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-agreement", description=__doc__)
    parser.add_argument("--doc", action="store_true", help=f"write the tables into {DOCUMENT.name}, too")
    options = parser.parse_args()
    facts = "".join(f"- {name}: {value}\n" for name, value in host(DOCUMENT.parent).items())
    beside, alone = beside_emulator(), without_emulator(ALONE)
    text = "\n".join(
        (
            "",
            *with_emulator(beside),
            "",
            f"The two models alone, {ALONE.end_s - ALONE.start_s:.0f} s of simulated time at each load:",
            "",
            *models_alone(alone),
            "",
            f"The same, but the first {FROM_EMPTY.end_s:.0f} s, which begin with empty engines:",
            "",
            *models_alone(without_emulator(FROM_EMPTY)),
            "",
        )
    )
    sys.stdout.write(facts + text + "\n")
    if options.doc:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(before + BEGIN + "\n" + facts + text + "\n" + END + rest.partition(END)[2])
    bound = [row for per_s, row in zip(ALONE_PER_S, alone, strict=True) if per_s >= ALONE_FROM_PER_S]
    apart = [row for row in (*beside, *bound) if not row.agrees]
    for row in apart:
        told = f"at {row.per_s:.2f} requests/s a deviation is {row.largest_frac:.1%}, above {TOLERANCE_FRAC:.0%}"
        sys.stderr.write(f"{told}: {row.deviations()}\n")
    return 1 if apart else 0


def beside_emulator() -> list[Row]:
    """The emulator and both models, each load on instances of its own, all in one emulator at once."""
    trace = read_trace()
    requests = {name: requests_at(trace, per_s, WINDOW.end_s) for name, per_s in LOADS_PER_S.items()}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), "emulate", change=set_of([*LOADS_PER_S])) as system,
    ):
        sites = {name: site_of(system.document, name) for name in LOADS_PER_S}
        played = asyncio.run(play(system.emulator, system.document["model"], sites, requests, WINDOW))
    rows = []
    for name, of_set in played.items():
        models = (model(sites[name], of_set.sent, of_set.window) for model in (discrete, fluid))
        rows.append(Row(_per_s(of_set.sent, of_set.window), of_set.means, *models))
    return rows


def without_emulator(window: Window) -> list[Row]:
    """Both models at more loads, and for longer, than the emulator, which keeps real time, can be given."""
    trace = read_trace()
    with tempfile.TemporaryDirectory() as folder:
        site = site_of(laptop_on_free_ports(Path(folder), set_of(["alone"])), "alone")
    rows = []
    for per_s in ALONE_PER_S:
        requests = requests_at(trace, per_s, window.end_s)
        models = (model(site, requests, window) for model in (discrete, fluid))
        rows.append(Row(_per_s(requests, window), None, *models))
    return rows


def _per_s(requests: Sequence[Request], window: Window) -> float:
    within = sum(window.start_s <= request.time_s < window.end_s for request in requests)
    return within / (window.end_s - window.start_s)


if __name__ == "__main__":
    sys.exit(main())
