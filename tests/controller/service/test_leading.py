import asyncio
import builtins
import contextlib
from random import Random
from types import SimpleNamespace

import pytest
from prometheus_client import Gauge

from controller.actuators.allocation_http import AllocationBoard
from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.loop.leadership import SoleLeader
from controller.loop.succession_parts import NoGpus
from controller.service.acting import Tables
from controller.service.leading import (
    Announcement,
    Charge,
    LeadersLoads,
    LeadersRates,
    lease_candidate,
    on_the_leader,
    opened_leadership,
)
from controller.service.options import ElectionSpec
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import kube_server, until
from tests.fakes.service_frame import framed

SPEC = ElectionSpec("lead", None, "a_1", "http://a:8090", lease_candidate)


class Leads:
    """Leads while it is told to."""

    def __init__(self):
        self.now, self.status = False, "several"

    def may_act(self):
        return self.now


class Clock(SystemClock):
    """Waits a hundredth of what it is asked to."""

    async def sleep(self, duration_s):
        await asyncio.sleep(duration_s / 100)


def charge(redis=None):
    return Charge(Tables(AllocationBoard(), redis), None, None, None, None, lambda sleepers: None, NoGpus())


async def test_a_service_without_election_leads_alone(tmp_path):
    async with framed(tmp_path) as (frame, _), opened_leadership(frame, charge(), Announcement()) as leadership:
        assert isinstance(leadership, SoleLeader)


async def test_what_runs_on_the_leader_begins_and_ends_with_the_lead_and_so_do_its_metrics(tmp_path):
    leads, runs, ended = Leads(), [], []

    @contextlib.asynccontextmanager
    async def begin(registry):
        Gauge("wattroute_test", "A metric that may be made once.", registry=registry).set(len(runs) + 1)
        runs.append("begun")
        yield
        runs.append("ended")

    async with framed(tmp_path, clock=Clock()) as (frame, _):

        def shown():
            return frame.telemetry.registry.get_sample_value("wattroute_test")

        async with on_the_leader(frame, leads, begin, lambda: ended.append(1)):
            await asyncio.sleep(0.05)
            assert (runs, shown()) == ([], None)
            for turn in (1, 2):
                leads.now = True
                await until(lambda turn=turn: len(runs) == 2 * turn - 1)
                assert shown() == 2 * turn - 1
                leads.now = False
                await until(lambda turn=turn: len(ended) == turn)
                assert shown() is None
        assert runs == ["begun", "ended"] * 2


async def test_what_fails_to_begin_on_the_leader_is_told_and_begun_again(tmp_path, caplog):
    leads, tries = Leads(), []
    leads.now = True

    @contextlib.asynccontextmanager
    async def begin(registry):
        tries.append(1)
        if len(tries) == 1:
            raise ConfigError("no such file")
        yield

    async with framed(tmp_path, clock=Clock()) as (frame, _), on_the_leader(frame, leads, begin, lambda: None):
        await until(lambda: len(tries) == 2)
    assert "background work has failed" in caplog.messages


async def test_without_an_election_a_fault_at_the_start_ends_the_start(tmp_path):
    @contextlib.asynccontextmanager
    async def begin(registry):
        raise ConfigError("no such file")
        yield

    async with framed(tmp_path) as (frame, _):
        with pytest.raises(ConfigError, match="no such file"):
            async with on_the_leader(frame, SoleLeader(), begin, lambda: None):
                pass


async def test_loads_are_written_by_the_leader_alone():
    leads, written = Leads(), []

    async def put_loads(body, ttl_s):
        written.append((body, ttl_s))

    loads = LeadersLoads(SimpleNamespace(put_loads=put_loads), leads)
    await loads.put_loads(b"1", 10.0)
    leads.now = True
    await loads.put_loads(b"2", 10.0)
    assert written == [(b"2", 10.0)]


async def test_rates_are_written_by_the_leader_alone():
    leads, written = Leads(), []

    async def put_rates(body, ttl_s):
        written.append((body, ttl_s))

    rates = LeadersRates(SimpleNamespace(put_rates=put_rates), leads)
    await rates.put_rates(b"1", 30.0)
    leads.now = True
    await rates.put_rates(b"2", 30.0)
    assert written == [(b"2", 30.0)]


async def test_a_candidate_leads_by_the_lease_and_what_changes_is_passed_on(tmp_path, monkeypatch):
    changed, told = Announcement(), []
    changed.tell(lambda: told.append(1))
    async with kube_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server)))
        async with lease_candidate(SPEC, SystemClock(), Works(Random(0)), changed) as candidate:
            assert candidate.may_act()
            assert candidate.leader == "a_1"
            assert told == [1]
            await candidate.release()
            assert not candidate.may_act()


async def test_without_the_extra_the_remedy_is_told(monkeypatch):
    load = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("controller.kubernetes"):
            raise ImportError(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'wattroute\[kubernetes\]'"):
        async with lease_candidate(SPEC, SystemClock(), Works(Random(0)), Announcement()):
            pass
