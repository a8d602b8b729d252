import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from controller.model.observation import InstanceState
from controller.signals.engines import EngineSource, engine_metrics
from controller.signals.present import Present
from controller.signals.supervisor import SupervisorSource
from tests.fakes.controller_parts import NOW_S, pool, present, site
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.plain_engines import PlainEngines
from tests.fakes.rosters import Told, roster

LABELS = 'engine="{}",model_name="m"'


def metrics(*, running=(3,), waiting=(1,), tokens=100.0, awake=None, ttft=None) -> str:
    lines = []
    for engine, (run, wait) in enumerate(zip(running, waiting, strict=True)):
        labels = LABELS.format(engine)
        lines += [
            f"vllm:num_requests_running{{{labels}}} {run}",
            f"vllm:num_requests_waiting{{{labels}}} {wait}",
            f"vllm:kv_cache_usage_perc{{{labels}}} 0.5",
            f"vllm:prompt_tokens_total{{{labels}}} {2 * tokens}",
            f"vllm:generation_tokens_total{{{labels}}} {tokens}",
        ]
        if awake is not None:
            lines.append(f'vllm:engine_sleep_state{{{labels},sleep_state="awake"}} {float(awake)}')
            lines.append(f'vllm:engine_sleep_state{{{labels},sleep_state="weights_offloaded"}} {float(not awake)}')
        for edge, count in (ttft or {}).items():
            lines.append(f'vllm:time_to_first_token_seconds_bucket{{{labels},le="{edge}"}} {count}')
    return "\n".join(lines) + "\n"


def set_engine(stub, *, text=None, sleeping=False, health=200):
    stub.set("/metrics", metrics() if text is None else text)
    stub.set("/health", health)
    if sleeping is None:
        stub.answers.pop(("GET", "/is_sleeping"), None)
    else:
        stub.set("/is_sleeping", {"is_sleeping": sleeping})


async def observe(stub, session, supervisor_url=None):
    source = EngineSource(
        session,
        present(pool("a", (stub.url,))),
        engines=PlainEngines(session),
        supervisor=None if supervisor_url is None else SupervisorSource(session, supervisor_url),
        timeout_s=1.0,
    )
    (seen,) = await source.read(NOW_S)
    return seen


async def test_a_serving_engine():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub)
        seen = await observe(stub, session)
    assert (seen.instance_id, seen.pool_id, seen.state) == ("a-0", "a", InstanceState.SERVING)
    assert (seen.running, seen.waiting, seen.prompt_tokens, seen.generation_tokens) == (3, 1, 200.0, 100.0)
    assert seen.kv_cache_usage_frac == 0.5


def test_data_parallel_engines_are_summed():
    seen = engine_metrics(metrics(running=(2, 5), waiting=(0, 4), tokens=10.0))
    assert (seen.running, seen.waiting, seen.generation_tokens, seen.kv_cache_usage_frac) == (7, 4, 20.0, 0.5)


async def test_a_sleeping_engine_although_its_health_is_good():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub, sleeping=True)
        assert (await observe(stub, session)).state is InstanceState.SLEEPING


async def test_without_the_endpoint_the_sleep_gauge_tells():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub, sleeping=None, text=metrics(awake=False))
        assert (await observe(stub, session)).state is InstanceState.SLEEPING
        set_engine(stub, sleeping=None, text=metrics(awake=True))
        assert (await observe(stub, session)).state is InstanceState.SERVING
        set_engine(stub, sleeping=None)
        assert (await observe(stub, session)).state is InstanceState.SERVING


@pytest.mark.parametrize(
    "wrong", [{"health": 503}, {"text": "nothing of vllm 1\n"}, {"text": "vllm:num_requests_running{ 1\n"}]
)
async def test_an_engine_that_is_ill_is_unreachable(wrong):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub, **wrong)
        assert (await observe(stub, session)).state is InstanceState.UNREACHABLE


async def test_an_engine_that_hangs_is_unreachable():
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub)
        stub.set("/metrics", never)
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session), timeout_s=0.2)
        (seen,) = await source.read(NOW_S)
    assert seen.state is InstanceState.UNREACHABLE


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("off", InstanceState.OFF),
        ("starting", InstanceState.STARTING),
        ("serving", InstanceState.UNREACHABLE),
        (None, InstanceState.UNREACHABLE),
    ],
)
async def test_a_refused_connection_is_what_the_supervisor_says(told, state):
    async with http_stub() as supervisor, aiohttp.ClientSession() as session:
        supervisor.set("/instances", [{"instance_id": "a-0", "state": told}] if told else [])
        source = EngineSource(
            session,
            present(pool("a", (closed_url(),))),
            engines=PlainEngines(session),
            supervisor=SupervisorSource(session, supervisor.url),
        )
        (seen,) = await source.read(NOW_S)
    assert seen.state is state


async def test_a_supervisor_that_does_not_answer_leaves_the_engines_own_word():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub)
        assert (await observe(stub, session, closed_url())).state is InstanceState.SERVING


async def test_one_that_the_supervisor_is_ending_takes_no_more_although_it_says_that_it_is_healthy():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub)
        for told, state in (("stopping", InstanceState.UNREACHABLE), ("serving", InstanceState.SERVING)):
            stub.set("/instances", [{"instance_id": "a-0", "state": told}])
            assert (await observe(stub, session, stub.url)).state is state


async def test_waking_by_the_supervisor_goes_before_asleep_by_the_engine():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub, sleeping=True)
        stub.set("/instances", [{"instance_id": "a-0", "state": "waking"}])
        assert (await observe(stub, session, stub.url)).state is InstanceState.WAKING


async def test_since_when_and_counters_outlast_a_lost_connection():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        set_engine(stub)
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        (first,) = await source.read(NOW_S)
        (second,) = await source.read(NOW_S + 1)
        stub.set("/health", 503)
        (third,) = await source.read(NOW_S + 2)
        (fourth,) = await source.read(NOW_S + 3)
    assert [seen.since_s - NOW_S for seen in (first, second, third, fourth)] == [0, 0, 2, 2]
    assert third.generation_tokens == 100.0
    assert third.running == 0


async def test_while_its_tokens_grow_an_engine_is_asked_for_its_metrics_alone():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        asked = []
        for n, tokens in enumerate((100.0, 120.0, 140.0, 160.0)):
            set_engine(stub, text=metrics(tokens=tokens))
            stub.requests.clear()
            (seen,) = await source.read(NOW_S + n)
            assert seen.state is InstanceState.SERVING
            asked.append(len(stub.requests))
    assert asked == [3, 3, 1, 1]


@pytest.mark.parametrize(
    ("change", "state"),
    [({"sleeping": True}, InstanceState.SLEEPING), ({"health": 503}, InstanceState.UNREACHABLE)],
)
async def test_one_that_works_no_more_is_asked_again_at_the_same_look(change, state):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        for n, tokens in enumerate((100.0, 120.0, 140.0)):
            set_engine(stub, text=metrics(tokens=tokens))
            await source.read(NOW_S + n)
        set_engine(stub, text=metrics(tokens=140.0), **change)
        (seen,) = await source.read(NOW_S + 3)
        assert seen.state is state
        set_engine(stub, text=metrics(tokens=160.0), **change)
        stub.requests.clear()
        await source.read(NOW_S + 4)
    assert len(stub.requests) == 3


async def test_one_that_was_started_anew_is_no_engine_that_works():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        for n, tokens in enumerate((100.0, 120.0)):
            set_engine(stub, text=metrics(tokens=tokens))
            await source.read(NOW_S + n)
        set_engine(stub, text=metrics(tokens=5.0), health=503)
        (seen,) = await source.read(NOW_S + 2)
    assert seen.state is InstanceState.UNREACHABLE


async def test_latency_over_the_window():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        for now_s, count in ((NOW_S, 10), (NOW_S + 1, 30)):
            set_engine(stub, text=metrics(ttft={"0.1": 0, "0.2": count, "+Inf": count}))
            await source.read(now_s)
    assert source.latency.quantiles().ttft_p50_s == pytest.approx(0.15)
    assert source.latency.quantiles().itl_p50_s is None


CAPTURES = Path(__file__).parents[2] / "golden" / "vllm_metrics_busy.txt"


def test_the_exposition_of_a_real_vllm_is_read():
    seen = engine_metrics(CAPTURES.read_text())
    assert (seen.running, seen.waiting, seen.prompt_tokens, seen.generation_tokens) == (4, 2, 16.0, 2462.0)
    assert seen.is_sleeping is False
    assert seen.ttft[-1][1] == 16.0
    assert seen.itl[-1][1] == 2446.0


def test_steps_are_counted_once_however_many_engines_take_them():
    """Data parallel engines show one series each; where none is shown, steps are not known."""
    plain = metrics(running=(3, 2), waiting=(0, 0))
    counted = [f"vllm:iteration_tokens_total_count{{{LABELS.format(n)}}} {value}" for n, value in enumerate((90, 110))]
    assert engine_metrics(plain + "\n".join(counted)).steps == 100.0
    assert engine_metrics(plain).steps is None


def test_prompt_tokens_that_a_cache_held_are_told_apart_and_never_more_than_all():
    plain = metrics(running=(3, 2), waiting=(0, 0))
    cached = [f"vllm:prompt_tokens_cached_total{{{LABELS.format(n)}}} {value}" for n, value in enumerate((40, 24))]
    seen = engine_metrics(plain + "\n".join(cached))
    assert (seen.prompt_tokens, seen.cached_tokens) == (engine_metrics(plain).prompt_tokens, 64.0)
    assert engine_metrics(plain).cached_tokens is None
    many = engine_metrics(plain + f"vllm:prompt_tokens_cached_total{{{LABELS.format(0)}}} 1e9")
    assert many.cached_tokens == many.prompt_tokens


def test_an_older_engine_tells_cached_tokens_by_the_hits_of_its_cache():
    plain = metrics()
    hits = f"vllm:prefix_cache_hits_total{{{LABELS.format(0)}}} 48\n"
    assert engine_metrics(plain + hits).cached_tokens == 48.0
    newer = f"vllm:prompt_tokens_cached_total{{{LABELS.format(0)}}} 32\n"
    assert engine_metrics(plain + hits + newer).cached_tokens == 32.0


async def test_an_engine_that_tells_no_cached_tokens_is_said_so_once(caplog):
    cached = f"vllm:prompt_tokens_cached_total{{{LABELS.format(0)}}} 32\n"
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = EngineSource(session, present(pool("a", (stub.url,))), engines=PlainEngines(session))
        with caplog.at_level("INFO"):
            for n, text in enumerate((metrics(), metrics(), metrics() + cached, metrics() + cached)):
                set_engine(stub, text=text)
                await source.read(NOW_S + n)
    told = [
        (record.levelname, record.instance) for record in caplog.records if "cached prompt tokens" in record.message
    ]
    assert told == [("WARNING", "a-0"), ("INFO", "a-0")]


async def test_instances_are_asked_as_they_are_told_and_forgotten_when_they_are_gone():
    async with http_stub() as first, http_stub() as second, aiohttp.ClientSession() as session:
        set_engine(first)
        set_engine(second)
        told = Told(roster("a", pod1=first.url))
        present = Present(site(replace(pool("a", (first.url,)), instances=())), told)
        source = EngineSource(session, present.site, engines=PlainEngines(session))
        (seen,) = await source.read(NOW_S)
        assert (seen.instance_id, seen.state) == ("pod1", InstanceState.SERVING)
        told.rosters = (roster("a", pod1=second.url, pod2=first.url),)
        found = await source.read(NOW_S + 5.0)
        assert [(each.instance_id, each.since_s) for each in found] == [("pod1", NOW_S), ("pod2", NOW_S + 5.0)]
        told.rosters = (roster("a"),)
        assert await source.read(NOW_S + 10.0) == ()
        told.rosters = (roster("a", pod1=second.url),)
        (seen,) = await source.read(NOW_S + 15.0)
        assert seen.since_s == NOW_S + 15.0
