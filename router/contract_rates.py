"""What the controller tells the routers of energy: the rates and their JSON form.

Beside the allocation table goes a document of its own that changes much more often and that nothing is decided by:
what a token costs on each instance, in J, so that a router can tell a client the energy of its request. ``idle`` says
whether the figures hold a part of the idle energy (``shared``) or none (``kept``), the last item of a row how they are
known (``direct``, ``estimated``, ``emulated``)::

    {"schema_version": 1, "issued_at_s": 1.0, "expires_at_s": 31.0, "idle": "shared",
     "rates": [["bf16-0", 0.0213, 0.482, "direct"], ...]}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from router.contract import SCHEMA_VERSION, InstanceId
from router.contract_fields import ContractError, items, mapping, number, string

RATES_SUFFIX = ":energy"
"""Of the Redis key of the energy rates, after the table's."""
MAX_RATES_BYTES = 8 * 1024 * 1024
MAX_SEQ_TOKENS_PER_S = 1e6
"""Output tokens a second of one sequence that are believed."""
MAX_J_PER_TOKEN = 1e9


class RatesError(ValueError):
    """Energy rates that cannot be used; the message names the place and the value."""


@dataclass(frozen=True, slots=True)
class EnergyRate:
    """What a prompt token and an output token cost on an instance, J; `quality` says how that is known.

    Attributes:
        seq_tokens_per_s: output tokens a second of one sequence while it was measured: a request has that much of its
            tokens at this rate. 0 where it was not measured just now.
    """

    instance_id: InstanceId
    prefill_j: float
    decode_j: float
    quality: str
    seq_tokens_per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class EnergyRates:
    """The rates of all instances that serve; after `expires_at_s` they say nothing any more.

    Attributes:
        idle: what the rates hold of idle energy: ``shared`` or ``kept``.
    """

    issued_at_s: float
    expires_at_s: float
    idle: str
    rates: tuple[EnergyRate, ...]


def encode_rates(rates: EnergyRates) -> bytes:
    """JSON form of energy rates, UTF-8; four digits of each, which is more than any meter has."""
    rows = [
        [
            rate.instance_id,
            float(f"{rate.prefill_j:.4g}"),
            float(f"{rate.decode_j:.4g}"),
            rate.quality,
            float(f"{rate.seq_tokens_per_s:.4g}"),
        ]
        for rate in rates.rates
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "issued_at_s": rates.issued_at_s,
        "expires_at_s": rates.expires_at_s,
        "idle": rates.idle,
        "rates": rows,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_rates(raw: bytes) -> EnergyRates:
    """Read and check energy rates.

    Raises:
        RatesError: naming the place and the value, for anything malformed, unbounded or of another schema version.
    """
    if len(raw) > MAX_RATES_BYTES:
        raise RatesError(f"energy rates: {len(raw)} bytes, more than {MAX_RATES_BYTES}")
    try:
        root = mapping(json.loads(raw), "$")
        if root.get("schema_version") != SCHEMA_VERSION:
            raise ContractError("schema_version", f"{root.get('schema_version')!r}, this reader knows {SCHEMA_VERSION}")
        return EnergyRates(
            issued_at_s=number(root, "issued_at_s", "$"),
            expires_at_s=number(root, "expires_at_s", "$"),
            idle=_idle(root.get("idle")),
            rates=tuple(_rate(item, f"rates[{i}]") for i, item in enumerate(items(root, "rates"))),
        )
    except ContractError as error:
        raise RatesError(f"energy rates: {error.path}: {error.problem}") from error
    except (ValueError, RecursionError) as error:
        raise RatesError(f"energy rates: not JSON ({error})") from error


def _rate(item: Any, path: str) -> EnergyRate:
    if not isinstance(item, list) or len(item) < 4:
        raise ContractError(path, f"[instance, J, J, quality, seq_tokens_per_s] is expected, not {item!r:.80}")
    figures = {"prefill_j": item[1], "decode_j": item[2], "seq_tokens_per_s": item[4] if len(item) > 4 else 1.0}
    prefill_j, decode_j, seq_tokens_per_s = (number(figures, name, path, minimum=0.0) for name in figures)
    speed = min(seq_tokens_per_s, MAX_SEQ_TOKENS_PER_S)
    if max(prefill_j, decode_j) > MAX_J_PER_TOKEN:
        raise ContractError(path, f"{max(prefill_j, decode_j)!r} J a token, more than {MAX_J_PER_TOKEN:g}")
    quality = string(item[3], f"{path}[3]")
    if not quality.isalpha() or not quality.isascii():
        raise ContractError(f"{path}[3]", f"{quality!r:.80} is no word")
    return EnergyRate(InstanceId(string(item[0], f"{path}[0]")), prefill_j, decode_j, quality, speed)


def _idle(value: Any) -> str:
    if value not in ("shared", "kept"):
        raise ContractError("idle", f"{value!r:.80}, 'shared' or 'kept' is expected")
    return str(value)
