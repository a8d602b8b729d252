"""What an auditor needs of a decision's record, a tenth of it; pure.

The whole record stays in the rolling ledger for as long as that goes back; its digest is kept here, so that both can be
matched.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

MAX_BYTES = 64 << 10
MAX_LINES = 64
_MEASURED = ("power_rung", "margin_frac", "modelled_w", "charged_w", "planned_w", "bias_w", "price_usd_per_mwh",
             "carbon_kg_per_mwh")  # fmt: skip
_DECIDED = ("plan_origin", "dispatch_origin", "slow_reasons", "limit_w", "effective_limit_w", "holding", "slack",
            "fallbacks", "draining")  # fmt: skip
_DEMAND = ("requests", "finished", "refused", "queued", "in_flight", "output_tokens")
_CLASS = ("demand_tokens_per_s", "quality_burnt_frac", "quality_allowed_frac", "quality_left_frac", "unkept")


def tick_of(record: Mapping[str, Any], latency: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A tick's evidence without its samples.

    Args:
        record: of the decision, as it stands in the ledger.
        latency: quantiles of the last seconds, in s.
        before: the evidence before, whose `plan` and `table` are told once more only where they have changed.
    """
    observation, diagnostics = record["observation"], record["diagnostics"]
    commands = record["commands"]
    table = {name: commands["table"][name] for name in ("weights", "caps", "draining")}
    tick: dict[str, Any] = {
        "sha256": hashlib.sha256(_canonical(record).encode()).hexdigest(),
        "ages_s": {name: _rounded(age_s) for name, age_s in record["ages_s"].items()},
        "instances": _instances(observation["instances"]),
        "measured": {name: _rounded(diagnostics.get(name)) for name in _MEASURED},
        "decided": {name: value for name in _DECIDED if (value := diagnostics.get(name)) not in (None, [], ())},
        "is_published": record["publish"],
        "sequence": commands["table"]["sequence"],
        "commands": [f"{each['verb']} {each['instance_id']}: {each['reason']}" for each in commands["instances"]],
        "actions": list(record["actions"])[:MAX_LINES],
        "classes": _classes(observation["router"], diagnostics["classes"]),
        "latency": {name: _rounded(value) for name, value in latency.items()},
    }
    plan = _plan(record["plan"])
    for name, value in (("plan", plan), ("table", table)):
        if value is not None and value != before.get(name):
            tick[name] = value
    return _bounded(tick)


def carried(tick: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What the next tick is compared with."""
    return {name: tick.get(name, before.get(name)) for name in ("plan", "table")}


def _plan(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "horizon": plan["horizon"],
        "origin": plan["origin"],
        "pools": {pool["pool_id"]: {"on": pool["on"], "sleeping": pool["sleeping"]} for pool in plan["pools"]},
        "import_w": [[_rounded(watts) for watts in site["import_w"]] for site in plan["sites"]],
        "limit_w": [site["limit_w"] for site in plan["sites"]],
        "slack": plan["slack"],
    }


def _instances(instances: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for instance in instances:
        counts.setdefault(instance["pool_id"], Counter())[instance["state"]] += 1
    return {pool: dict(states) for pool, states in counts.items()}


def _classes(router: Mapping[str, Any], diagnostics: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Counters since the routers began, and the state of the quality budgets."""
    classes: dict[str, dict[str, Any]] = {}
    for demand in router.get("demand", ()):
        classes[demand["class_id"]] = {name: demand[name] for name in _DEMAND}
    for each in diagnostics:
        told = {name: _rounded(each.get(name)) for name in _CLASS if each.get(name) not in (None, [], ())}
        classes.setdefault(each["class_id"], {}).update(told)
    return classes


def _bounded(tick: dict[str, Any]) -> dict[str, Any]:
    """The same within `MAX_BYTES`: the largest parts are left out, and named."""
    left_out: list[str] = []
    for name in ("table", "plan", "commands", "actions", "classes"):
        if len(_canonical(tick)) <= MAX_BYTES:
            break
        if name in tick:
            del tick[name]
            left_out.append(name)
    return {**tick, "left_out": left_out} if left_out else tick


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
