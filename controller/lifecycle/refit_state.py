"""What the live re-fit hands from tick to tick, and from one process to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.energy.pool_fit import PoolFit
from controller.lifecycle.meters import Anchor
from controller.model.fleet import Site
from router.contract import PoolId


@dataclass(frozen=True, slots=True)
class KeptFit:
    """A pool by name with what is known of it."""

    pool_id: PoolId
    fit: PoolFit


@dataclass(frozen=True, slots=True)
class RefitState:
    """All of it; of bounded size, one entry a pool and an instance.

    Attributes:
        anchors: where each instance's next interval begins.
        learnt_at_s: when something was last learnt; None before.
    """

    pools: tuple[KeptFit, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    learnt_at_s: float | None = None

    @classmethod
    def of(cls, site: Site, anchors: tuple[Anchor, ...], fits: tuple[PoolFit, ...], now_s: float) -> RefitState:
        """The state after a tick."""
        kept = tuple(KeptFit(pool.pool_id, fit) for pool, fit in zip(site.pools, fits, strict=True))
        return cls(kept, anchors, now_s)

    @property
    def outlasting(self) -> RefitState:
        """What is worth keeping beyond the process: not where intervals began, as nobody looked in between."""
        return replace(self, anchors=())
