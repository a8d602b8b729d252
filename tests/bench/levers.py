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
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation import scenario
from tests.fakes import scenarios

BEGINS_S, LASTS_S, SETTLED_S = 80, 120, 60
WINDOW_S = 5
"""A cut counts as reached once the mean of so many seconds has reached it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What came of an event.

    Attributes:
        reached_frac: cut of its last minute, as a share of what was drawn before.
        to_90_s, to_100_s: time from the start until 90 %, all, of what was asked for; None where it never was.
    """

    asked_frac: float
    reached_frac: float
    to_90_s: int | None
    to_100_s: int | None


def fleets() -> dict[str, Site]:
    """The site with its levers: weights and caps alone, and with sleep."""
    site = scenarios.site()
    awake = tuple(dataclasses.replace(pool, min_on=len(pool.instances)) for pool in site.pools)
    flexible = dataclasses.replace(site.classes[0], priority=-1)
    alone = dataclasses.replace(site, pools=awake)
    return {
        "weights and caps": alone,
        "weights and caps, a class that may wait": dataclasses.replace(alone, classes=(flexible, *site.classes[1:])),
        "weights, caps and sleep": site,
    }


def played(site: Site, events: tuple[GridEvent, ...]) -> tuple[float, ...]:
    """Power at the meter of each second, W."""
    case = scenarios.mixed(seconds=float(BEGINS_S + LASTS_S), events=events)
    policy = dataclasses.replace(case.policy, warmup_s=TickPolicy().warmup_s)
    case = dataclasses.replace(case, site=site, policy=policy)
    return scenario.run(case, CvxpyPlanner(lambda: 0.0)).outcome.power_w


def cut(site: Site, asked_frac: float, before_w: float) -> Cut:
    """Ask a site for a cut at once."""
    start_s = scenarios.START_S + BEGINS_S
    event = GridEvent("cut", before_w * (1 - asked_frac), start_s, start_s + LASTS_S, start_s, ramp_s=0.0)
    power_w = played(site, (event,))
    less = [1 - mean(power_w, second, second + WINDOW_S) / before_w for second in range(BEGINS_S, len(power_w))]

    def after_s(share: float) -> int | None:
        found = (n for n, reached in enumerate(less[: LASTS_S - WINDOW_S]) if reached >= share * asked_frac)
        return next((n + WINDOW_S for n in found), None)

    last = BEGINS_S + LASTS_S
    reached = 1 - mean(power_w, last - SETTLED_S, last) / before_w
    return Cut(asked_frac, reached, after_s(0.9), after_s(1.0))


def mean(power_w: tuple[float, ...], from_s: int, until_s: int) -> float:
    """Mean of some seconds."""
    within = power_w[from_s:until_s]
    return sum(within) / len(within)


def main(asked: list[float]) -> None:
    """Print the table."""
    for name, site in fleets().items():
        before_w = mean(played(site, ()), BEGINS_S - 20, BEGINS_S)
        sys.stdout.write(f"{name}: {before_w:.0f} W before\n")
        for frac in asked:
            found = cut(site, frac, before_w)
            sys.stdout.write(
                f"  asked {100 * frac:.0f} %: {100 * found.reached_frac:.1f} % in the last minute,"
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
