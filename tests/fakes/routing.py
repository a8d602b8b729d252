"""Short ways to a router's settings, its dispatcher and its requests, for tests of the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.contract import (
    AllocationTable,
    ClassId,
    ClassWeights,
    EventNotice,
    InstanceCap,
    InstanceId,
    PoolId,
    PoolWeight,
)
from router.dispatch import Ask, Choice, Dispatcher, Outcome
from router.openai import RequestFacts, Usage
from router.settings import RouterFile

NOW_S = 1_800_000_000.0


def router_file(
    pools: Mapping[str, int] | None = None,
    *,
    classes: list[dict[str, Any]] | None = None,
    cap: int = 4,
    weights: Mapping[str, float] | None = None,
    **sections: Any,
) -> RouterFile:
    """Settings with one pool per name, which is also its precision, and that many instances."""
    numbers = pools or {"bf16": 1, "fp8": 1, "int4": 1}
    port = iter(range(9000, 65000))
    return RouterFile.model_validate(
        {
            "pools": [
                {
                    "name": name,
                    "precision": name,
                    "instances": [f"http://127.0.0.1:{next(port)}" for _ in range(number)],
                    "static_weight": (weights or {}).get(name, 1.0),
                    "max_in_flight": cap,
                }
                for name, number in numbers.items()
            ],
            **({"classes": classes} if classes else {}),
            **sections,
        }
    )


def table(
    weights: Mapping[str, Mapping[str, float]] | None = None,
    *,
    sequence: int = 1,
    issuer: str = "controller-a",
    issued_at_s: float = NOW_S,
    ttl_s: float = 30.0,
    caps: Mapping[str, int] | Mapping[InstanceId, int] | None = None,
    draining: tuple[str, ...] = (),
    event: EventNotice | None = None,
) -> AllocationTable:
    """A table; weights by class and pool."""
    return AllocationTable(
        sequence=sequence,
        issued_at_s=issued_at_s,
        expires_at_s=issued_at_s + ttl_s,
        issuer=issuer,
        weights=tuple(
            ClassWeights(ClassId(name), tuple(PoolWeight(PoolId(pool), share) for pool, share in pools.items()))
            for name, pools in (weights or {}).items()
        ),
        caps=tuple(InstanceCap(InstanceId(name), cap) for name, cap in (caps or {}).items()),
        draining=tuple(InstanceId(name) for name in draining),
        event=event,
    )


def ask(dispatcher: Dispatcher, facts: RequestFacts | None = None, **headers: str) -> Ask:
    """An accepted request; headers with ``_`` for ``-``."""
    values = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    found = dispatcher.ask(
        dispatcher.hints(values), facts or RequestFacts(stream=True, valid=True, body_bytes=400), NOW_S
    )
    assert isinstance(found, Ask), found
    return found


def choose(dispatcher: Dispatcher, request: Ask, now_s: float = NOW_S, tried: tuple[str, ...] = ()) -> Choice:
    """A choice that must succeed."""
    found = dispatcher.choose(request, now_s, tuple(InstanceId(name) for name in tried))
    assert isinstance(found, Choice), found
    return found


def finish(
    dispatcher: Dispatcher,
    choice: Choice,
    request: Ask,
    *,
    outcome: Outcome = Outcome.OK,
    output_tokens: int | None = 100,
    chunks: int = 0,
    now_s: float = NOW_S,
    duration_s: float = 1.0,
    ttft_s: float | None = None,
) -> None:
    """Release a choice; `output_tokens` None means the engine told no usage."""
    dispatcher.release(
        choice,
        request,
        outcome,
        usage=None if output_tokens is None else Usage(10, output_tokens),
        chunks=chunks,
        duration_s=duration_s,
        now_s=now_s,
        ttft_s=ttft_s,
    )


def fail(
    dispatcher: Dispatcher, request: Ask, outcome: Outcome, *, times: int = 1, tried: tuple[str, ...] = ()
) -> None:
    """Let that many attempts fail."""
    for _ in range(times):
        finish(dispatcher, choose(dispatcher, request, tried=tried), request, outcome=outcome, output_tokens=None)
