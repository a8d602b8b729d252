"""The table's JSON form: what is written is read back, and nothing malformed is obeyed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router import contract, contract_fields
from router.contract import (
    AllocationTable,
    ClassId,
    ClassWeights,
    EventNotice,
    EventState,
    InstanceCap,
    InstanceId,
    PoolId,
    PoolWeight,
    decode,
    encode,
)
from router.contract_fields import ContractError
from tests.fakes.routing import NOW_S, table

GOLDEN = Path(__file__).parents[1] / "golden" / "allocation_table_v1.json"


def golden() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(GOLDEN.read_text())
    return data


def golden_with(path: str, value: Any) -> bytes:
    data = golden()
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    target: Any = data
    for step in steps:
        target = target[step]
    target[last] = value
    return json.dumps(data).encode()


def test_the_form_of_schema_version_1_does_not_change() -> None:
    expected = table(
        {"standard": {"bf16": 0.7, "fp8": 0.3}, "flex": {"int4": 1.0}},
        sequence=42,
        caps={"bf16-0": 128},
        draining=("bf16-1",),
        event=EventNotice("e1", EventState.ACTIVE, NOW_S + 1800.0),
    )
    raw = GOLDEN.read_bytes().strip()
    assert decode(raw) == expected
    assert encode(expected) == raw


def test_a_table_without_optional_parts_is_read_back() -> None:
    plain = table({"standard": {"bf16": 1.0}})
    assert decode(encode(plain)) == plain


def test_unknown_keys_of_a_newer_controller_are_ignored() -> None:
    assert decode(golden_with("hint", {"x": 1})) == decode(GOLDEN.read_bytes())


def test_absent_lists_are_empty() -> None:
    raw = {"schema_version": 1, "sequence": 0, "issued_at_s": 1, "expires_at_s": 2, "issuer": "c"}
    assert decode(json.dumps(raw).encode()).weights == ()


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema_version", 2, "schema_version"),
        ("schema_version", None, "schema_version"),
        ("sequence", -1, "sequence"),
        ("sequence", 1.5, "sequence"),
        ("sequence", True, "sequence"),
        ("sequence", 1 << 80, "sequence"),
        ("expires_at_s", 10**400, "expires_at_s"),
        ("issued_at_s", "now", "issued_at_s"),
        ("expires_at_s", 1.0, "expires_at_s"),
        ("expires_at_s", float("nan"), "expires_at_s"),
        ("expires_at_s", float("inf"), "expires_at_s"),
        ("issuer", "", "issuer"),
        ("issuer", "x" * 257, "issuer"),
        ("weights", {}, "weights"),
        ("weights.0", 3, "weights[0]"),
        ("weights.0.class_id", 7, "weights[0].class_id"),
        ("weights.0.pools", None, "weights[0].pools"),
        ("weights.0.pools", [], "weights[0].pools"),
        ("weights.0.pools.1", "fp8", "weights[0].pools[1]"),
        ("weights.0.pools.1.pool_id", None, "weights[0].pools[1].pool_id"),
        ("weights.0.pools.1.pool_id", "bf16", "weights[0].pools"),
        ("weights.0.pools.1.weight", -0.1, "weights[0].pools[1].weight"),
        ("weights.0.pools.1.weight", float("nan"), "weights[0].pools[1].weight"),
        ("weights.0.pools.1.weight", "0.3", "weights[0].pools[1].weight"),
        ("weights.1.pools.0.weight", 0, "weights[1].pools"),
        ("caps.0", [], "caps[0]"),
        ("caps.0.max_in_flight", -1, "caps[0].max_in_flight"),
        ("caps.0.max_in_flight", 1e3, "caps[0].max_in_flight"),
        ("draining.0", None, "draining[0]"),
        ("event", "on", "event"),
        ("event.state", "over", "event.state"),
        ("event.ends_at_s", None, "event.ends_at_s"),
        ("event.event_id", "", "event.event_id"),
    ],
)
def test_a_malformed_table_is_refused_and_its_place_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(ContractError, match="the last good one stays") as caught:
        decode(golden_with(path, value))
    assert caught.value.path == named


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'"table"', b"1e999"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        decode(raw)
    assert caught.value.path == "$"


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_fields, "MAX_ENTRIES", 3)
    with pytest.raises(ContractError, match="4 entries, more than 3"):
        decode(golden_with("draining", ["a", "b", "c", "d"]))
    monkeypatch.setattr(contract, "MAX_ENCODED_BYTES", 100)
    with pytest.raises(ContractError, match="more than 100"):
        decode(GOLDEN.read_bytes())


def test_the_bytes_shown_of_a_wrong_value_are_bounded() -> None:
    with pytest.raises(ContractError) as caught:
        decode(golden_with("issuer", "y" * 1_000_000))
    assert len(str(caught.value)) < 400


def test_a_table_of_the_largest_fleet_has_at_most_64_kib() -> None:
    names = [InstanceId(f"{number:03}".rjust(63, "p")) for number in range(500)]
    pools = [PoolId(f"{number:02}".rjust(40, "p")) for number in range(50)]
    weights = tuple(
        ClassWeights(ClassId(cls), tuple(PoolWeight(pool, 0.0201) for pool in pools))
        for cls in ("standard", "premium", "flex")
    )
    caps = tuple(InstanceCap(name, 128) for name in names)
    event = EventNotice("e" * 128, EventState.ACTIVE, 1795424171.8126497)
    from_s, until_s = 1795424171.8126497, 1795424271.8126497
    every = AllocationTable(1795419948723, from_s, until_s, "c" * 63, weights, caps, (), event)
    assert 40_000 < len(encode(every)) <= 65_536
