from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.simulation.fluid import FluidSite
from controller.study.events.caller import CalledDecider
from controller.study.site.play import TickRecord
from router.contract import AllocationTable
from tests.fakes.event_parts import part


class Notes:
    """Decides nothing, and notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        self.seen.append(observation)
        table = AllocationTable(len(self.seen), observation.now_s, observation.now_s + 600.0, "notes", ())
        return Commands(table, ()), TickRecord((), (), (), None, None, frozenset())


def played(notes: Notes | None = None) -> tuple[CalledDecider, Notes]:
    one, notes = part(), notes or Notes()
    decider = CalledDecider(one, notes, calm_ticks=3)
    site = FluidSite(one.case.site, one.case.start_s)
    for n in range(len(one.case.asked_per_s)):
        decider.decide(site.observe(one.case.signals))
        site.ask(one.case.asked_per_s[n])
        site.advance(one.case.start_s + (n + 1) * one.case.tick_s)
    return decider, notes


def test_the_call_is_heard_at_its_notice_and_gone_at_its_end() -> None:
    decider, notes = played()
    one = part()
    told = [observation.now_s for observation in notes.seen if observation.events]
    assert one.notice_s <= told[0] < one.notice_s + one.case.tick_s
    assert told[-1] < one.end_s
    assert decider.events[0].notice_s == told[0]
    assert decider.events[0].limit_w > 0


def test_every_tick_of_a_ramp_is_decided_and_few_in_calm_times() -> None:
    decider, notes = played()
    one = part()
    times = [observation.now_s for observation in notes.seen]
    ramp = [at for at in times if one.start_s <= at < one.start_s + one.wanted.ramp_s]
    assert len(ramp) * one.case.tick_s >= one.wanted.ramp_s
    calm = [at for at in times if at < one.notice_s - 100.0]
    assert len(calm) * 5 < (one.notice_s - 100.0 - one.case.start_s) / one.case.tick_s
    assert [at for at, _ in decider.records] == times


def test_every_tick_is_decided_while_instances_change_what_they_do() -> None:
    class Moves(Notes):
        def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
            commands, record = super().decide(observation)
            assert record is not None
            return commands, dataclasses.replace(record, is_moving=1 < len(self.seen) < 5)

    one = part()
    _, notes = played(Moves())
    assert one.notice_s - one.case.start_s > 200.0
    gaps = np.diff([observation.now_s for observation in notes.seen[:7]]) / one.case.tick_s
    assert gaps.tolist() == pytest.approx([5.0, 1.0, 1.0, 1.0, 3.0, 6.0])


def test_a_table_that_stands_gives_no_command_twice() -> None:
    one = part()

    class Wakes(Notes):
        def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
            commands, record = super().decide(observation)
            return dataclasses.replace(commands, instances=("a command",)), record  # type: ignore[arg-type]

    decider = CalledDecider(one, Wakes(), calm_ticks=3)
    site = FluidSite(one.case.site, one.case.start_s)
    first, _ = decider.decide(site.observe(one.case.signals))
    site.advance(one.case.start_s + 10.0)
    second, _ = decider.decide(site.observe(one.case.signals))
    assert first.instances
    assert not second.instances
    assert second.table == first.table
