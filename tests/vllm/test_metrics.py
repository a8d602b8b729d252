"""The metrics that router and controller read are those that a real engine shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.profile.facts import counters
from controller.signals.engines import engine_metrics
from controller.simulation.vllm_metrics import EngineGauges, EngineMetrics
from router.probes import read_load
from tests.fakes.system import ROOT, get
from tests.vllm.load import filled, long
from tests.vllm.router import Router
from tests.vllm.servers import Pair
from tests.vllm.wire import exchange, request

pytestmark = pytest.mark.vllm

SOURCES = [
    path
    for package in ("router", "controller")
    for path in (ROOT / package).rglob("*.py")
    if "simulation" not in path.parts
]
CACHE_BLOCK = 128
"""Tokens that vLLM keeps together on a processor."""
MAX_STEP_TOKENS = 2048
"""vLLM's own default for `--max-num-batched-tokens`."""
EMULATOR = ROOT / "controller" / "simulation"
IDLE = EngineGauges(
    running=0,
    waiting=0,
    kv_cache_usage_frac=0.0,
    kv_capacity_tokens=1000,
    sleep_level=None,
    prompt_tokens=0,
    generation_tokens=0,
    preemptions=0,
    precision="int8",
)


def names_in(paths: list[Path]) -> set[str]:
    """Names of engine metrics that source files mention; alternatives in a pattern count each."""
    found = set()
    for path in paths:
        text = path.read_text()
        found |= set(re.findall(r"vllm:([a-z0-9_]+)", text))
        for group in re.findall(r"vllm:\(([a-z0-9_|]+)\)", text):
            found |= set(group.split("|"))
    return found


def shown(text: str) -> set[str]:
    return set(re.findall(r"^vllm:([a-z0-9_]+)", text, re.MULTILINE))


def types(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE vllm:(.*)$", text, re.MULTILINE))


def series(text: str) -> set[tuple[str, frozenset[str]]]:
    """Names and labels, but for those whose values differ from engine to engine, and for the list of its settings."""
    found = set()
    for name, labels in re.findall(r"^vllm:(\w+)\{(.*)\} ", text, re.MULTILINE):
        if name != "cache_config_info":
            pairs = re.findall(r'\w+="[^"]*"', labels)
            found.add((name, frozenset(pair for pair in pairs if not pair.startswith(("model_name=", "engine=")))))
    return found


async def test_every_name_that_is_read_is_shown(pair: Pair) -> None:
    read = names_in(SOURCES)
    assert len(read) >= 8
    for server in (pair.bf16, pair.int8):
        assert read - shown(get(f"{server.url}/metrics")[1].decode()) == set()


async def test_every_series_the_emulator_shows_is_a_real_one(pair: Pair) -> None:
    """Name, type, labels and bounds of buckets; values and what only emulators show aside."""
    emulated = EngineMetrics("tiny", created_s=1.0).render(IDLE).decode()
    real = get(f"{pair.int8.url}/metrics")[1].decode()
    assert types(emulated) - types(real) == set()
    assert series(emulated) - series(real) == set()


async def test_load_as_the_router_reads_it(pair: Pair) -> None:
    async with filled(pair.bf16, 10):
        load = read_load(get(f"{pair.bf16.url}/metrics")[1])
    assert load is not None
    assert (load.running, load.waiting, load.awake) == (8, 2, True)
    assert 0 < load.kv_cache_usage_frac < 1


async def test_figures_as_the_controller_reads_them(pair: Pair) -> None:
    def figures() -> tuple[float, float, float, float]:
        found = engine_metrics(get(f"{pair.bf16.url}/metrics")[1].decode())
        assert found.is_sleeping is False
        return found.prompt_tokens, found.generation_tokens, found.ttft[-1][1], found.itl[-1][1]

    before = figures()
    answer = await exchange(pair.bf16.port, request("POST", "/v1/completions", long(20, prompt=[300] * 10)))
    assert answer.status == 200
    differences = [after - first for first, after in zip(before, figures(), strict=True)]
    assert differences[:3] == [10, 20, 1]
    # Tokens that vLLM joins in one event make one interval.
    assert 0 < differences[3] <= 19


async def test_prompts_that_a_cache_holds_are_among_the_prompt_tokens_and_told_apart(pair: Pair) -> None:
    def figures() -> tuple[float, ...]:
        text = get(f"{pair.bf16.url}/metrics")[1].decode()
        seen, counted = engine_metrics(text), counters(text, "x")
        return seen.prompt_tokens, seen.cached_tokens, counted.prompt_tokens, counted.cached_tokens

    pair.bf16.order("/reset_prefix_cache")
    body = long(2, prompt=[300 + n for n in range(2 * CACHE_BLOCK + 10)])
    grown = []
    for _ in range(2):
        before = figures()
        assert (await exchange(pair.bf16.port, request("POST", "/v1/completions", body))).status == 200
        grown.append([after - first for first, after in zip(before, figures(), strict=True)])
    prompt = float(2 * CACHE_BLOCK + 10)
    assert grown[0] == [prompt, 0.0, prompt, 0.0]
    cached = grown[1][1]
    assert cached % CACHE_BLOCK == 0.0
    assert 0.0 < cached < prompt
    assert grown[1] == [prompt, cached, prompt, cached]


async def test_steps_that_gave_a_token_are_counted_and_no_others(pair: Pair) -> None:
    """The prompt of the second request is longer than what vLLM computes in a step by itself."""
    for prompt_tokens, made in ((10, 20), (MAX_STEP_TOKENS + 1000, 1)):
        before = counters(get(f"{pair.int8.url}/metrics")[1].decode(), "x").steps
        prompt = [300 + n % 1500 for n in range(prompt_tokens)]
        answer = await exchange(pair.int8.port, request("POST", "/v1/completions", long(made, prompt=prompt)))
        assert answer.status == 200
        assert counters(get(f"{pair.int8.url}/metrics")[1].decode(), "x").steps - before == made


async def test_tokens_are_counted_as_the_engine_counts_them(pair: Pair, router: Router) -> None:
    def counted() -> tuple[float, float]:
        status, text = get(f"http://127.0.0.1:{router.admin_port}/metrics")
        assert status == 200
        totals = []
        for name in ("input_tokens_total", "output_tokens_total"):
            values = re.findall(rf"^wattroute_router_{name}\{{.*\}} (\S+)$", text.decode(), re.MULTILINE)
            totals.append(sum(map(float, values)))
        return totals[0], totals[1]

    before = counted()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for body in (long(20, prompt=[300] * 10), long(30, prompt=[300] * 5, **options)):
        assert (await exchange(router.port, request("POST", "/v1/completions", body))).status == 200
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (15, 50)
