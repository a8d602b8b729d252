"""What the controller tells of the engines: nothing malformed or unbounded is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.contract import InstanceId
from router.contract_loads import (
    MAX_LOADS_BYTES,
    MAX_REQUESTS,
    EngineState,
    InstanceLoad,
    Loads,
    LoadsError,
    decode_loads,
    encode_loads,
)
from router.contract_presence import pack_state

LOADS = Loads(
    7,
    3,
    (
        InstanceLoad(InstanceId("bf16-0"), EngineState.SERVING, 8, 2, 0.412),
        InstanceLoad(InstanceId("fp8-0"), EngineState.SLEEPING),
        InstanceLoad(InstanceId("int4-0"), EngineState.AWAY),
    ),
)


def test_what_is_told_is_what_is_read() -> None:
    assert decode_loads(encode_loads(LOADS)) == LOADS
    assert decode_loads(encode_loads(Loads(0, 0, ()))) == Loads(0, 0, ())


def test_a_cache_that_is_more_than_full_is_full() -> None:
    told = Loads(1, 1, (InstanceLoad(InstanceId("a"), EngineState.SERVING, kv_cache_usage_frac=1.7),))
    assert decode_loads(encode_loads(told)).instances[0].kv_cache_usage_frac == 1.0


def test_a_large_fleet_is_a_small_document() -> None:
    every = [
        InstanceLoad(InstanceId(f"bf16-{n % 50}-{n}"), EngineState.SERVING, n % 97, n % 7, n / 500) for n in range(500)
    ]
    assert len(pack_state(encode_loads(Loads(1_700_000_000_000, 200, tuple(every))))) < 6_000


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(encode_loads(LOADS)), **fields}).encode()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "an object is expected"),
        (b" " * (MAX_LOADS_BYTES + 1), "more than"),
        (changed(schema_version=2), "schema_version"),
        (changed(sequence=-1), "sequence"),
        (changed(sequence=1.5), "sequence"),
        (changed(routers=4097), "routers"),
        (changed(routers=True), "routers"),
        (changed(instances=None), "instances: a list"),
        (changed(instances=["a", "a", "b"]), "more than once"),
        (changed(instances=["a", "", "b"]), r"instances\[1\]"),
        (changed(instances=["a", "b"]), "states"),
        (changed(states="ss"), "states"),
        (changed(states="ssx"), "states"),
        (changed(states=["s", "s", "s"]), "states"),
        (changed(running=[1, 2]), "running: 2 entries for 3"),
        (changed(running=[1, 2, -1]), r"running\[2\]"),
        (changed(waiting=[1, 2, MAX_REQUESTS + 1]), r"waiting\[2\]"),
        (changed(waiting=[1, 2, 1.0]), r"waiting\[2\]"),
        (changed(waiting=[1, True, 1]), r"waiting\[1\]"),
        (changed(kv_permille=[0, 0, 1001]), r"kv_permille\[2\]"),
        (changed(kv_permille="000"), "kv_permille"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(raw: bytes, problem: str) -> None:
    with pytest.raises(LoadsError, match=problem):
        decode_loads(raw)
