"""The rates' JSON form: what is written is read back, and nothing malformed is told to clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.contract import InstanceId
from router.contract_rates import MAX_RATES_BYTES, EnergyRate, EnergyRates, RatesError, decode_rates, encode_rates

RATES = EnergyRates(
    1.0,
    31.0,
    "shared",
    (EnergyRate(InstanceId("bf16-0"), 0.0213, 0.482, "direct"), EnergyRate(InstanceId("b"), 0.0, 1.0, "estimated")),
)


def test_energy_rates_are_read_back() -> None:
    assert decode_rates(encode_rates(RATES)) == RATES


def test_energy_rates_of_500_instances_stay_small() -> None:
    names = [InstanceId(f"qwen3-235b-fp8-{n}") for n in range(500)]
    rows = tuple(EnergyRate(name, 0.012345678, 0.98765432, "estimated") for name in names)
    assert len(encode_rates(EnergyRates(1.7e9, 1.7e9 + 30, "shared", rows))) < 32_000


def test_unknown_keys_and_further_figures_of_a_newer_controller_are_ignored() -> None:
    document = json.loads(encode_rates(RATES))
    document["more"] = 1
    document["rates"] = [[*row, "more"] for row in document["rates"]]
    assert decode_rates(json.dumps(document).encode()) == RATES


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema_version": 2}, "schema_version: 2"),
        ({"rates": 5}, "rates: a list is expected"),
        ({"rates": [["a", 1.0, 2.0]]}, r"rates\[0\]"),
        ({"rates": [["a", -1.0, 2.0, "direct"]]}, r"rates\[0\].prefill_j"),
        ({"rates": [["a", 1.0, 1e12, "direct"]]}, "J a token"),
        ({"rates": [["a", 1.0, None, "direct"]]}, r"rates\[0\].decode_j"),
        ({"rates": [["", 1.0, 1.0, "direct"]]}, r"rates\[0\]\[0\]"),
        ({"rates": [["a", 1.0, 1.0, "x\r\ny: z"]]}, "is no word"),
        ({"idle": "mine"}, "idle: 'mine'"),
        ({"issued_at_s": "now"}, "issued_at_s"),
    ],
)
def test_malformed_energy_rates_are_refused_by_place(change: dict[str, Any], named: str) -> None:
    document = {**json.loads(encode_rates(RATES)), **change}
    with pytest.raises(RatesError, match=named):
        decode_rates(json.dumps(document).encode())


def test_what_is_no_json_or_too_large_is_no_energy_rates() -> None:
    with pytest.raises(RatesError, match="not JSON"):
        decode_rates(b"\xff{")
    with pytest.raises(RatesError, match="bytes, more than"):
        decode_rates(b" " * (MAX_RATES_BYTES + 1))


def test_a_rate_of_an_older_controller_has_the_pace_of_all_others() -> None:
    old = {"schema_version": 1, "issued_at_s": 1.0, "expires_at_s": 31.0, "idle": "shared"}
    rows = [["a", 0.01, 0.5, "direct"], ["b", 0.01, 0.5, "direct", 12.5]]
    found = decode_rates(json.dumps({**old, "rates": rows}).encode())
    assert [rate.seq_tokens_per_s for rate in found.rates] == [1.0, 12.5]
    with pytest.raises(RatesError, match="seq_tokens_per_s"):
        decode_rates(json.dumps({**old, "rates": [["a", 0.01, 0.5, "direct", -1]]}).encode())
