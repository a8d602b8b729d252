"""Sites of which the controller leaves pools as they are."""

from __future__ import annotations

from dataclasses import replace

from controller.model.fleet import Site
from controller.model.mode import Mode


def with_modes(site: Site, **modes: Mode) -> Site:
    """The site with these modes of its pools."""
    pools = (replace(pool, mode=modes.get(pool.pool_id, pool.mode)) for pool in site.pools)
    return replace(site, pools=tuple(pools))
