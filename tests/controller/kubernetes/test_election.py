"""The election on a fake API server that speaks HTTP, with leases of some seconds."""

import asyncio
import contextlib
import logging
from random import Random

import pytest

from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.kubernetes import election
from controller.kubernetes.client import opened_client
from controller.kubernetes.election import ASKED, LeaseElection, LeasePlace
from controller.kubernetes.lease import Election, LeaseTimes, Standing
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.kinds import LEASES
from tests.fakes.kube.server import kube_server, until

TIMES = LeaseTimes(duration_s=3.0, renew_every_s=0.2, deadline_s=2.1, answer_s=0.5)
PLACE = LeasePlace("wattroute", "default")


class Pausable(SystemClock):
    """A clock whose owner does nothing while paused, as a stopped process; it goes on meanwhile."""

    def __init__(self):
        self.goes = asyncio.Event()
        self.goes.set()

    async def sleep(self, duration_s):
        await super().sleep(duration_s)
        await self.goes.wait()


@pytest.fixture
async def server(tmp_path, monkeypatch):
    async with kube_server() as running:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, running)))
        yield running


@contextlib.asynccontextmanager
async def candidate(name):
    """One that stands until the end; released by the test alone."""
    clock = Pausable()
    async with opened_client() as client:
        one = LeaseElection(client, PLACE, Election(name, TIMES), clock, Random(name))
        await one.begin()
        task = asyncio.create_task(one.run())
        try:
            yield one, clock
            assert one.is_over or not task.done(), "the election has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def lease_of(server):
    return server.store.get(LEASES, "default", "wattroute")


async def test_the_first_leads_at_once_and_keeps_the_lease_while_the_other_stands_by(server):
    async with candidate("a") as (a, _), candidate("b") as (b, _):
        assert a.may_act()
        await asyncio.sleep(TIMES.duration_s + 0.5)
        assert a.may_act()
        assert not b.may_act()
        assert (a.leader, b.leader, b.standing) == ("a", "a", Standing.STANDBY)


async def test_who_does_not_fit_neither_takes_the_lease_nor_keeps_it(server):
    fits = {"a": True, "b": False}
    async with candidate("a") as (a, _), candidate("b") as (b, _):
        a.stand_by_terms(lambda is_asked: fits["a"], lambda: False)
        b.stand_by_terms(lambda is_asked: fits["b"], lambda: False)
        await a.release()
        await asyncio.sleep(TIMES.duration_s + 0.5)
        assert not b.may_act()
        assert lease_of(server)["spec"]["holderIdentity"] == ""
        fits["b"] = True
        await until(b.may_act)
        fits["b"] = False
        await until(lambda: lease_of(server)["spec"]["holderIdentity"] == "")
        assert not b.may_act()


async def test_a_standby_that_asks_is_given_the_lease_by_a_leader_that_fits_no_more_and_by_no_other(server):
    reaches, asks = {"a": True}, {"b": False}
    async with candidate("a") as (a, _), candidate("b") as (b, _):
        a.stand_by_terms(lambda is_asked: reaches["a"] or not is_asked, lambda: False)
        b.stand_by_terms(lambda is_asked: True, lambda: asks["b"])
        reaches["a"] = False
        await asyncio.sleep(1.0)
        assert a.may_act(), "nobody has asked"
        reaches["a"], asks["b"] = True, True
        await until(lambda: "b " in (lease_of(server)["metadata"].get("annotations") or {}).get(ASKED, ""))
        await asyncio.sleep(1.0)
        assert a.may_act(), "who asks is refused by a leader that is sound"
        reaches["a"] = False
        await until(b.may_act, limit_s=TIMES.duration_s)
        asks["b"] = False
        await until(lambda: a.leader == "b")
        await asyncio.sleep(TIMES.duration_s)
        assert b.may_act(), "what was asked of the leader before is not asked of this one"


async def test_a_lease_that_is_released_changes_hands_without_waiting_for_its_end_and_is_not_taken_back(server):
    async with candidate("a") as (a, _), candidate("b") as (b, _):
        began_s = asyncio.get_running_loop().time()
        await a.release()
        assert not a.may_act()
        await until(b.may_act)
        assert asyncio.get_running_loop().time() - began_s < TIMES.duration_s
        await asyncio.sleep(0.5)
        assert b.may_act()
        assert not a.may_act()


async def test_a_leader_that_stops_is_replaced_and_knows_it_before_it_wakes(server, caplog):
    caplog.set_level(logging.INFO)
    async with candidate("a") as (a, clock), candidate("b") as (b, _):
        clock.goes.clear()
        while not b.may_act():
            await asyncio.sleep(0.005)
            assert not (a.may_act() and b.may_act())
        assert a.standing is Standing.LOST
        clock.goes.set()
        await until(lambda: a.leader == "b")
        assert b.may_act()
        assert "this controller leads no more" in caplog.messages


async def test_a_frozen_api_server_ends_the_leader_s_time_and_it_leads_again_afterwards(server):
    async with candidate("a") as (a, _):
        server.faults.frozen = True
        await until(lambda: not a.may_act(), limit_s=5.0)
        assert "no answer within" in a.failure
        server.faults.clear()
        await until(a.may_act)
        assert a.failure is None


@pytest.mark.parametrize("code", [403, 429, 500])
async def test_refusals_that_pass_cost_no_lead(server, code):
    async with candidate("a") as (a, _):
        for _ in range(3):
            fault = server.faults.add(code, times=1)
            await until(lambda fault=fault: fault.befell == 1)
            assert a.may_act()
        await asyncio.sleep(0.5)
        assert a.may_act()


async def test_a_server_that_asks_to_be_left_alone_is_left_alone(server):
    async with candidate("a") as (a, _):
        server.faults.add(429, retry_after_s=1)
        await until(lambda: a.failure is not None)
        count = len(server.recorded)
        await asyncio.sleep(0.6)
        assert len(server.recorded) == count


async def test_writes_of_another_in_between_lose_the_lease(server):
    async with candidate("a") as (a, _):
        server.faults.add(409, lambda request: request.method == "PUT", times=2)
        await until(lambda: not a.may_act())
        await until(a.may_act)  # nobody else has taken it


async def test_a_write_in_between_that_changes_no_holder_costs_no_lead(server):
    async with candidate("a") as (a, _):
        for _ in range(3):
            fault = server.faults.add(409, lambda request: request.method == "PUT", times=1)
            await until(lambda fault=fault: fault.befell == 1)
            before = lease_of(server)["spec"]["renewTime"]
            await until(lambda before=before: lease_of(server)["spec"]["renewTime"] != before)
            assert a.may_act()
            assert a.failure is None


async def test_rights_that_are_missing_at_the_start_are_told_with_the_remedy(server, monkeypatch):
    monkeypatch.setattr(election, "_FIRST_PAUSE_S", 0.01)
    server.faults.add(403, times=None)
    with pytest.raises(ConfigError, match=r"lease default/wattroute.*verbs get, create and update on leases"):
        async with candidate("a"):
            pass


async def test_an_api_server_that_just_restarted_is_believed_on_second_thoughts(server, monkeypatch):
    monkeypatch.setattr(election, "_FIRST_PAUSE_S", 0.01)
    server.faults.add(403, times=2)
    async with candidate("a") as (a, _):
        assert a.may_act()


async def test_without_an_api_server_a_candidate_stands_by(server):
    await server.kill()
    async with candidate("a") as (a, _):
        assert not a.may_act()
        assert "ConnectError" in a.failure
        await server.start()
        await until(a.may_act)


async def test_labels_of_others_stay_on_the_lease(server):
    async with candidate("a") as (a, _):
        labelled = lease_of(server)
        labelled["metadata"]["labels"] = {"team": "grid"}
        server.store.replace(LEASES, "default", labelled)
        version = labelled["metadata"]["resourceVersion"]
        await asyncio.sleep(0.5)
        assert lease_of(server)["metadata"]["resourceVersion"] != version
        assert lease_of(server)["metadata"]["labels"] == {"team": "grid"}
        assert lease_of(server)["spec"]["holderIdentity"] == "a"
        assert a.may_act()
