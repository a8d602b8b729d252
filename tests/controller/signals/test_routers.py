import math

import aiohttp

from controller.model.observation import Missing
from controller.signals.router_askers import HttpRouters
from controller.signals.routers import FORGET_AFTER_S, RouterSource
from tests.fakes.controller_parts import NOW_S
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.router_states import state


async def test_demand_and_acknowledgement_of_one_router():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/state", state())
        seen = await RouterSource(HttpRouters(session, (stub.url,))).read(NOW_S)
    (demand,) = seen.demand
    assert (seen.acknowledged_sequence, seen.observed_at_s) == (5, NOW_S)
    assert (demand.class_id, demand.requests, demand.finished, demand.refused) == ("standard", 10, 9, 1)
    assert (demand.in_flight, demand.queued, demand.output_tokens_by_pool) == (3, 2, (("bf16", 1000.0),))


async def test_two_routers_are_summed_and_the_smallest_sequence_counts():
    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        one.set("/state", state(sequence=5))
        two.set("/state", state(sequence=4, requests=7, tokens=500.0))
        seen = await RouterSource(HttpRouters(session, (one.url, two.url))).read(NOW_S)
    assert (seen.acknowledged_sequence, seen.highest) == (4, (one.url, 5))
    assert (seen.demand[0].requests, seen.demand[0].output_tokens, seen.demand[0].in_flight) == (17, 1500.0, 6)


async def test_those_are_there_that_have_answered_and_are_not_gone():
    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        source = RouterSource(HttpRouters(session, (one.url, two.url, closed_url())))
        assert source.there == 0
        one.set("/state", state())
        two.set("/state", state())
        await source.read(NOW_S)
        assert source.there == 2
        two.set("/state", "no state")
        await source.read(NOW_S + 1)
        assert source.there == 2
        await source.read(NOW_S + FORGET_AFTER_S + 2)
        assert source.there == 1


async def test_requests_under_way_are_summed_by_instance():
    def on(**counts):
        instances = [{"instance_id": name, "in_flight": count} for name, count in counts.items()]
        return {**state(), "instances": instances}

    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        one.set("/state", on(a=2, b=0))
        two.set("/state", on(a=1, c=4))
        seen = await RouterSource(HttpRouters(session, (one.url, two.url))).read(NOW_S)
    assert seen.in_flight == (("a", 3), ("c", 4))


async def test_counters_grow_on_when_a_router_restarts():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = RouterSource(HttpRouters(session, (stub.url,)))
        totals = []
        for n, (requests, tokens) in enumerate([(10, 1000.0), (12, 1200.0), (2, 100.0), (5, 300.0)]):
            stub.set("/state", state(requests=requests, tokens=tokens))
            (demand,) = (await source.read(NOW_S + n)).demand
            totals.append((demand.requests, demand.output_tokens))
    assert totals == [(10, 1000), (12, 1200), (14, 1300), (17, 1500)]


async def test_a_worker_that_was_replaced_does_not_count_the_others_twice():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = RouterSource(HttpRouters(session, (stub.url,)))
        stub.set("/state", state(requests=100))
        await source.read(NOW_S)
        stub.set("/state", state(requests=75))
        assert (await source.read(NOW_S + 1)).demand[0].requests == 100
        stub.set("/state", state(requests=80))
        assert (await source.read(NOW_S + 2)).demand[0].requests == 105


async def test_what_classes_got_is_counted_from_the_first_look_on_and_over_restarts_of_routers():
    def served(requests, counts, outcomes):
        ttft = {"bounds": [0.1, 1.0], "counts": counts, "total": float(sum(counts))}
        return state(requests=requests, ttft_s=ttft, outcomes=outcomes)

    async with http_stub() as one, aiohttp.ClientSession() as session:
        source = RouterSource(HttpRouters(session, (one.url, closed_url())))
        for n, told in enumerate(
            (
                served(100, [90, 9, 1], {"ok": 100}),
                served(110, [95, 12, 3], {"ok": 107, "timed_out": 3}),
                served(4, [4, 0, 0], {"ok": 3, "timed_out": 1}),  # it restarted
            )
        ):
            one.set("/state", told)
            await source.read(NOW_S + n)
    assert not source.service.is_whole
    got = source.service.totals["standard"]
    assert (got.requests, got.outcomes, got.failed) == (14, {"ok": 10, "timed_out": 4}, 4)
    assert got.ttft.buckets == ((0.0, 0.1, 9), (0.1, 1.0, 3), (1.0, math.inf, 2))
    assert got.ttft.sum_s == 14.0


async def test_a_router_that_is_silent_holds_its_acknowledgement_for_a_while():
    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        source = RouterSource(HttpRouters(session, (one.url, two.url)))
        one.set("/state", state(sequence=5))
        two.set("/state", state(sequence=4))
        await source.read(NOW_S)
        two.answers.clear()
        one.set("/state", state(sequence=9))
        soon = await source.read(NOW_S + 1)
        later = await source.read(NOW_S + 2 + FORGET_AFTER_S)
        two.set("/state", state(sequence=7))
        back = await source.read(NOW_S + 3 + FORGET_AFTER_S)
    assert [seen.acknowledged_sequence for seen in (soon, later, back)] == [4, 9, 7]
    assert back.highest == (one.url, 9)
    assert soon.demand[0].requests == 20


async def test_a_router_never_heard_of_acknowledges_nothing():
    async with http_stub() as one, aiohttp.ClientSession() as session:
        one.set("/state", state(sequence=5))
        seen = await RouterSource(HttpRouters(session, (one.url, closed_url()))).read(NOW_S)
    assert seen.acknowledged_sequence == -1


async def test_no_router_is_missing_with_the_reason():
    async with aiohttp.ClientSession() as session:
        dead = await RouterSource(HttpRouters(session, (closed_url(),))).read(NOW_S)
        none = await RouterSource(HttpRouters(session, ())).read(NOW_S)
    assert isinstance(dead, Missing)
    assert "cannot connect" in dead.reason
    assert "signals.router_urls" in none.reason


async def test_a_malformed_state_makes_the_router_missing():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/state", {"table": {}})
        seen = await RouterSource(HttpRouters(session, (stub.url,))).read(NOW_S)
    assert "table.sequence" in seen.reason


async def test_a_new_process_goes_on_from_what_the_one_before_had_counted():
    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        urls = (one.url, two.url)
        first = RouterSource(HttpRouters(session, urls))
        for stub, requests in ((one, 10), (two, 100)):
            stub.set("/state", state(requests=requests, tokens=10.0 * requests))
        await first.read(NOW_S)
        two.set("/state", state(requests=2, tokens=20.0))  # it restarted
        before = await first.read(NOW_S + 1)
        again = RouterSource(HttpRouters(session, urls), counted=first.counted)
        assert again.counted == first.counted
        one.set("/state", state(requests=15, tokens=150.0))  # served while no controller ran
        after = await again.read(NOW_S + 60)
    (was,), (now,) = before.demand, after.demand
    assert was.requests == 112
    assert now.requests - was.requests == 5
    assert now.output_tokens_by_pool == (("bf16", was.output_tokens_by_pool[0][1] + 50.0),)


async def test_a_router_that_restarted_while_no_controller_ran_counts_from_zero():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/state", state(requests=100, tokens=1000.0))
        first = RouterSource(HttpRouters(session, (stub.url,)))
        await first.read(NOW_S)
        stub.set("/state", state(requests=7, tokens=70.0))
        seen = await RouterSource(HttpRouters(session, (stub.url,)), counted=first.counted).read(NOW_S + 60)
    assert (seen.demand[0].requests, seen.demand[0].output_tokens) == (107, 1070.0)


async def test_a_router_that_is_configured_no_more_is_not_kept():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/state", state())
        source = RouterSource(HttpRouters(session, (stub.url,)))
        await source.read(NOW_S)
        assert [url for url, _ in source.counted.routers] == [stub.url]
        moved = RouterSource(HttpRouters(session, ("http://elsewhere",)), counted=source.counted).counted
    assert moved.routers == ()
    assert moved.totals == source.counted.totals


async def test_routers_whose_names_others_have_are_told():
    async with http_stub() as one, http_stub() as two, http_stub() as third, aiohttp.ClientSession() as session:
        one.set("/state", state())
        two.set("/state", {**state(), "redis": {"name_taken": True}})
        third.set("/state", "no state")
        seen = await RouterSource(HttpRouters(session, (one.url, two.url, third.url))).read(NOW_S)
    assert seen.names_taken == (two.url,)
