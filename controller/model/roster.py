"""Which instances there are, where that changes while the site runs: pods come and go, with their names."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.fleet import Instance
from router.contract import PoolId


@dataclass(frozen=True, slots=True)
class PoolRoster:
    """The instances of one pool as they were last told.

    Attributes:
        instances: those that take requests or may do so again; one that is being taken away is none.
        told_s: wall clock at which they were told, or were still known to be so.
    """

    pool_id: PoolId
    instances: tuple[Instance, ...]
    told_s: float
