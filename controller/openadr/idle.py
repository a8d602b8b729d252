"""At what draw a site is idle: "no/insignificant energy consumption" (OpenADR 3.1.0 Definition, table 4)."""

from __future__ import annotations

from controller.model.fleet import Site


def idle_w(site: Site) -> float:
    """Draw at the meter up to which nothing counts as running, W.

    It is what the site draws by the configured curves with every instance asleep, and half of the least that one
    instance adds when it is awake and has nothing to do.
    """
    asleep_w = sum(pool.curves.sleeping_w * len(pool.instances) for pool in site.pools)
    spare = max(0, site.gpus - sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools))
    steps_w = (pool.curves.idle_w - pool.curves.sleeping_w for pool in site.pools if pool.instances)
    least_w = max(0.0, min(steps_w, default=0.0))
    return site.pue * (asleep_w + spare * site.spare_gpu_w + 0.5 * least_w) + site.aux_w
