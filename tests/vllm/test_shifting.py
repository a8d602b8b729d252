"""The shares move from one real pool to the other and back under load, and no request is lost."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from pathlib import Path

import pytest

from router.contract import AllocationTable, ClassId, ClassWeights, PoolId, PoolWeight, encode
from tests.fakes.http_stub import http_stub
from tests.vllm.load import COMPLETIONS, long
from tests.vllm.router import Router, running_router
from tests.vllm.servers import Pair
from tests.vllm.wire import exchange, request

pytestmark = pytest.mark.vllm

SHARES_INT8 = (0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0)
"""A new table each second, from all on BF16 to all on INT8 and back."""
TABLE_S = 1.0
CLIENTS = 6


def table(sequence: int, int8_frac: float) -> AllocationTable:
    now_s = time.time()
    weights = (PoolWeight(PoolId("bf16"), 1 - int8_frac), PoolWeight(PoolId("int8"), int8_frac))
    return AllocationTable(sequence, now_s, now_s + 60, "test", (ClassWeights(ClassId("standard"), weights),))


async def test_weights_move_under_load(pair: Pair, tmp_path: Path) -> None:
    served: dict[int, list[str]] = defaultdict(list)
    is_over = False

    async def client(router: Router, number: int) -> None:
        for turn in itertools.count(number):
            if is_over:
                return
            body = long(10 + turn % 30, stream=bool(turn % 2))
            answer = await exchange(router.port, request("POST", COMPLETIONS, body))
            assert answer.status == 200
            assert answer.is_whole
            assert answer.events()[-1:] == ([b"[DONE]"] if turn % 2 else [])
            assert b'"finish_reason":"length"' in answer.body
            sequence, pool = answer.get(b"x-wattroute-allocation"), answer.get(b"x-wattroute-pool")
            assert sequence is not None
            assert pool is not None
            served[int(sequence)].append(pool.decode())

    async with http_stub() as source:
        source.set("/v1/allocation", encode(table(1, SHARES_INT8[0])).decode())
        settings = {"url": f"{source.url}/v1/allocation", "poll_interval_s": 0.1}
        with running_router(tmp_path, pair, table=settings) as router:
            await obeyed(router, 1)
            clients = [asyncio.create_task(client(router, number)) for number in range(CLIENTS)]
            for sequence, share in enumerate(SHARES_INT8, start=1):
                source.set("/v1/allocation", encode(table(sequence, share)).decode())
                await obeyed(router, sequence)
                await asyncio.sleep(TABLE_S)
            is_over = True
            await asyncio.gather(*clients)
            state = await asyncio.to_thread(router.state)

    assert set(served) == set(range(1, len(SHARES_INT8) + 1))
    for sequence, share in enumerate(SHARES_INT8, start=1):
        pools = served[sequence]
        if share in (0.0, 1.0):
            assert set(pools) == {"int8" if share else "bf16"}
        # The shares are of tokens, and answers have 10 to 39 of them.
        assert abs(pools.count("int8") - share * len(pools)) <= 1 + 0.1 * len(pools)
    total = sum(map(len, served.values()))
    [counts] = state["classes"]
    assert counts["finished"] == total
    assert not counts["refused"]


async def obeyed(router: Router, sequence: int) -> None:
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(router.state))["table"]["sequence"] != sequence:
            await asyncio.sleep(0.02)
