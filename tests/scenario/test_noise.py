"""Demand that is never twice the same: the controller's own loop, a virtual clock, engines that are simulated.

Each minute asks for its own share of 90 to 110 % of the mean, drawn anew, so that nothing can be learnt of it; and the
mean lies where one instance more or less is about as good, which is where a controller flaps. A day is played, a
decision a minute.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import yaml

from controller.clock import SystemClock
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.study.settings import parse
from controller.study.site.make_site import make_site
from controller.study.site.play import Played, TickDecider, play
from controller.study.site.settings import SiteStudySettings
from tests.fakes.site_cases import site_document

pytestmark = pytest.mark.timeout(400)
NOISE_FRAC = 0.1
MEAN_TOKENS_PER_S = 5500.0
HOURS = 24
TICK_S = 60
PER_HOUR = 3600 // TICK_S
MOST_SWITCHES = 2
SETTLED_HOURS = 3


@pytest.fixture(scope="module")
def played() -> Played:
    """Two pools with least times and costs of a start as in deploy/examples/production.yaml, at a steady price."""
    document = site_document(hours=HOURS, tick_s=TICK_S, interval_s=TICK_S, plan={"every_s": 300})
    for pool in document["site"]["pools"]:
        pool |= {"start_usd": 0.05, "min_up_s": 300, "lower_after_s": 3600}
    case = make_site(parse(yaml.safe_dump(document), SiteStudySettings, "noise"))
    drawn = np.random.default_rng(1).uniform(-NOISE_FRAC, NOISE_FRAC, len(case.asked_per_s))
    mean = MEAN_TOKENS_PER_S / case.asked_per_s[:, 0, 2].mean()
    case = dataclasses.replace(case, asked_per_s=case.asked_per_s * mean * (1.0 + drawn)[:, None, None])
    planner = CvxpyPlanner(SystemClock().monotonic_s, SolverOptions())
    return play(case, case.site, TickDecider(case, planner), (), lambda _: None)


def test_what_is_asked_for_is_served_in_time(played: Played) -> None:
    assert played.late_tokens == 0.0
    assert played.served[:, 2].sum() == pytest.approx(played.asked[:, 2].sum(), rel=0.01)


def most_switches(played: Played, begins: range) -> int:
    """Of one pool in one of the hours that begin at these ticks."""
    hours = [
        Counter(k for record in played.records[at : at + PER_HOUR] for k, _ in record.verbs)
        for at in begins
        if at + PER_HOUR <= len(played.records)
    ]
    assert len(hours) > HOURS / 2
    return max(count for hour in hours for count in hour.values())


def test_instances_of_a_pool_are_switched_twice_an_hour_at_most(played: Played) -> None:
    """A wake and a sleep are two; the first hour, in which the fleet finds its size, is left out."""
    assert most_switches(played, range(PER_HOUR, len(played.records), PER_HOUR)) <= MOST_SWITCHES


def test_nor_are_they_in_any_sixty_minutes_once_the_pools_have_found_their_shares(played: Played) -> None:
    """Instances of one pool give way to those of the other until the third hour."""
    assert most_switches(played, range(SETTLED_HOURS * PER_HOUR, len(played.records))) <= MOST_SWITCHES
