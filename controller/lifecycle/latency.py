"""Which of a class's latency targets no pool keeps.

A class goes to the pools that keep its time between tokens and its time to first token; where none keeps both, to those
that keep the time between tokens; where none keeps that, to every pool of its precisions, as fast as it goes
(`controller.lifecycle.problem.allowed_pools`). A class that no pool may serve is served nowhere. Each is told.
"""

from __future__ import annotations

from controller.lifecycle.diagnostics import Fallback
from controller.model.fleet import RequestClass, Site
from controller.optimizer.first_token import largest_share_frac
from controller.optimizer.workload import Lengths, slo_batch

POOL = "pool"
INTER_TOKEN = "inter_token"
FIRST_TOKEN = "first_token"
LATENCIES = (INTER_TOKEN, FIRST_TOKEN)
_STEPS = {
    POOL: "served nowhere",
    INTER_TOKEN: "no pool within the time between tokens",
    FIRST_TOKEN: "no pool within the time to first token",
}


def unkept(
    site: Site, request_class: RequestClass, lengths: Lengths, allowed: tuple[bool, ...], utilisation_frac: float
) -> tuple[str, ...]:
    """Targets that no pool of the class keeps at these lengths: `pool`, `inter_token`, `first_token`; empty if all are.

    Args:
        site: the fleet.
        request_class: of the site.
        lengths: of its requests now.
        allowed: pools that the plan gives it, in the site's order.
        utilisation_frac: share of an instance's engine time that is planned at most, η.
    """
    usable = [k for k, pool in enumerate(site.pools) if request_class.may_use(pool) and pool.instances]
    if not usable:
        return (POOL,)
    batches = {k: slo_batch(site.pools[k].curves, request_class, lengths) for k in usable}
    flows = [k for k in usable if batches[k] >= 1.0]
    if not flows:
        return LATENCIES
    if any(not allowed[k] for k in flows):
        return ()  # those left out do not keep the first token, so those that are allowed do
    curves = site.pools[flows[0]].curves
    kept_frac = largest_share_frac(curves, request_class, lengths, batches[flows[0]], utilisation_frac)
    return () if kept_frac > 0.0 else (FIRST_TOKEN,)


def fallback(request_class: RequestClass, lengths: Lengths, missed: tuple[str, ...]) -> tuple[Fallback, ...]:
    """The step down that a class stands on, with the remedy; none where its targets are kept."""
    if not missed:
        return ()
    name = request_class.class_id
    target = {
        POOL: f"class {name} may use no pool; allow it a precision that a pool with instances has",
        INTER_TOKEN: f"no pool of class {name} keeps {request_class.itl_slo_s:g} s between tokens even alone; "
        f"raise plan.classes.{name}.itl_slo_s or add a faster pool",
        FIRST_TOKEN: f"no pool of class {name} keeps {request_class.ttft_slo_s:g} s to first token at "
        f"{lengths.input_tokens:.0f} prompt tokens; raise plan.classes.{name}.ttft_slo_s or add a faster pool",
    }
    return (Fallback("latency", _STEPS[missed[0]], target[missed[0]], name),)
