from __future__ import annotations

import dataclasses

from controller.model.grid import GridEvent
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.simulation.fluid import FluidSite
from controller.study.events.raises import RaiseWatch
from controller.study.site.make_site import SiteCase, make_site
from router.contract import AllocationTable, InstanceId
from tests.fakes.site_cases import site_settings

TICK_S = 10.0


def watched(limit_w: float, commands: tuple[InstanceCommand, ...], *, acts: bool = True) -> RaiseWatch:
    """Three ticks in force; the commands come at the second."""
    case: SiteCase = make_site(site_settings())
    event = GridEvent("e", limit_w, case.start_s, case.start_s + 600.0, case.start_s, ramp_s=5.0)
    watch = RaiseWatch(case, lambda: (event,), lambda: acts)
    asleep = frozenset({InstanceId("bf16-2")})
    site = FluidSite(case.site, case.start_s, sleeping=asleep)
    table = AllocationTable(1, case.start_s, case.start_s + 600.0, "test", ())
    for n in range(3):
        now_s = case.start_s + n * TICK_S
        told = Commands(table, commands if n == 1 else ())
        watch.before(site, told, n)
        site.apply(told, now_s)
        site.ask(case.asked_per_s[n])
        site.advance(now_s + TICK_S)
    return watch


WAKE = (InstanceCommand(Verb.WAKE, InstanceId("bf16-2"), "test"),)


def test_a_wake_above_the_limit_is_found() -> None:
    watch = watched(5_000.0, WAKE)
    (found,) = watch.raises
    assert found.raised_w > 100.0
    assert found.over_w > 0.0
    assert not found.in_ramp
    assert watch.actions == 3


def test_a_wake_below_the_limit_is_none() -> None:
    assert not watched(50_000.0, WAKE).raises


def test_power_that_rises_with_the_load_alone_is_no_action() -> None:
    assert not watched(5_000.0, ()).raises


def test_a_table_that_was_left_standing_is_no_action() -> None:
    watch = watched(5_000.0, WAKE, acts=False)
    assert (watch.raises, watch.actions) == ([], 0)


def test_the_site_itself_is_not_changed_by_looking_on() -> None:
    case = make_site(site_settings())
    seen, alone = FluidSite(case.site, case.start_s), FluidSite(case.site, case.start_s)
    event = GridEvent("e", 1.0, case.start_s, case.start_s + 600.0, case.start_s)
    watch = RaiseWatch(case, lambda: (dataclasses.replace(event),), lambda: True)
    table = Commands(AllocationTable(1, case.start_s, case.start_s + 600.0, "test", ()))
    for site in (seen, alone):
        for n in range(3):
            if site is seen:
                watch.before(site, table, n)
            site.apply(table, case.start_s + n * TICK_S)
            site.ask(case.asked_per_s[n])
            site.advance(case.start_s + (n + 1) * TICK_S)
    assert seen.energy_j() == alone.energy_j()
