"""What each lever gives of a cut, and how fast, on a simulated site: ``python -m tests.bench.levers``.

The site is simulated under the service's own decisions: its engines, power and times are those of curves that are
estimates for two pools of an H100's order (`tests.fakes.scenarios`). An event without notice asks for a cut that grows
from row to row; what the levers of the row deliver of it is read off the simulated meter, second by second.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass

from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Site, resting_awake
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation import scenario
from controller.simulation.replay import Outcome
from tests.fakes import scenarios

BEGINS_S, LASTS_S, SETTLED_S = 80, 120, 60
WINDOW_S = 5
"""A cut counts as reached once the mean of so many seconds has reached it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What came of an event.

    Attributes:
        reached_frac: cut of its last minute, as a share of what was drawn before.
        served_frac: requests of the whole run that were answered.
        to_90_s, to_100_s: time from the start until 90 %, all, of what was asked for; None where it never was.
    """

    asked_frac: float
    reached_frac: float
    served_frac: float
    to_90_s: int | None
    to_100_s: int | None


def fleets() -> dict[str, Site]:
    """The site with its levers: where every instance is kept serving, where none can sleep, and with sleep."""
    site = scenarios.site()
    kept = tuple(dataclasses.replace(pool, min_on=len(pool.instances)) for pool in site.pools)
    flexible = dataclasses.replace(site.classes[0], priority=-1)
    return {
        "every instance kept serving": dataclasses.replace(site, pools=kept),
        "engines that cannot sleep": dataclasses.replace(site, pools=tuple(resting_awake(pool) for pool in site.pools)),
        "engines that sleep": site,
        "engines that sleep, a class that may wait": dataclasses.replace(site, classes=(flexible, *site.classes[1:])),
    }


def event_of(asked_frac: float, drawn_w: float) -> GridEvent:
    """A call without notice or ramp."""
    start_s = scenarios.START_S + BEGINS_S
    return GridEvent("cut", drawn_w * (1 - asked_frac), start_s, start_s + LASTS_S, start_s, ramp_s=0.0)


def case_of(site: Site, events: tuple[GridEvent, ...]) -> scenario.Scenario:
    """The site's day, with the policy's own time to get to know the demand."""
    case = scenarios.mixed(seconds=float(BEGINS_S + LASTS_S), events=events)
    policy = dataclasses.replace(case.policy, warmup_s=TickPolicy().warmup_s)
    return dataclasses.replace(case, site=site, policy=policy)


def played(site: Site, events: tuple[GridEvent, ...]) -> Outcome:
    """What came of it."""
    return scenario.run(case_of(site, events), CvxpyPlanner(lambda: 0.0)).outcome


def before_w(site: Site) -> float:
    """What the site draws when it is called."""
    return mean(played(site, ()).power_w, BEGINS_S - 20, BEGINS_S)


def cut(site: Site, asked_frac: float, drawn_w: float) -> Cut:
    """Ask a site that draws so much for a cut at once."""
    outcome = played(site, (event_of(asked_frac, drawn_w),))
    power_w = outcome.power_w
    less = [1 - mean(power_w, second, second + WINDOW_S) / drawn_w for second in range(BEGINS_S, len(power_w))]

    def after_s(share: float) -> int | None:
        found = (n for n, reached in enumerate(less[: LASTS_S - WINDOW_S]) if reached >= share * asked_frac)
        return next((n + WINDOW_S for n in found), None)

    last = BEGINS_S + LASTS_S
    reached = 1 - mean(power_w, last - SETTLED_S, last) / drawn_w
    return Cut(asked_frac, reached, outcome.requests_finished / outcome.requests, after_s(0.9), after_s(1.0))


def mean(power_w: tuple[float, ...], from_s: int, until_s: int) -> float:
    """Mean of some seconds."""
    within = power_w[from_s:until_s]
    return sum(within) / len(within)


def main(asked: list[float]) -> None:
    """Print the table."""
    for name, site in fleets().items():
        drawn_w = before_w(site)
        sys.stdout.write(f"{name}: {drawn_w:.0f} W before\n")
        for frac in asked:
            found = cut(site, frac, drawn_w)
            sys.stdout.write(
                f"  asked {100 * frac:.0f} %: {100 * found.reached_frac:.1f} % in the last minute,"
                f" {100 * found.served_frac:.1f} % of the requests answered,"
                f" 90 % of it after {told(found.to_90_s)}, all after {told(found.to_100_s)}\n"
            )


def told(seconds: int | None) -> str:
    """A time for people."""
    return "never" if seconds is None else f"{seconds} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asked", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.3, 0.4])
    main(parser.parse_args().asked)
    sys.exit(0)
