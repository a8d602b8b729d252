"""Whether routers obey the tables of this controller, or those of another that nobody elected; pure.

Tables are numbered on over restarts and takeovers, so that none of this site has a number above that of the last one
issued, but for one that a former life has left, which is not obeyed for longer than it is valid. A router that obeys a
higher number follows somebody else: what it reports acknowledges nothing, and where that lasts it is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.diagnostics import Fallback
from controller.model.observation import Missing, RouterObservation

_REMEDY = (
    "another controller tells it tables: of two of one site end one, or let controller.election choose; two sites need "
    "a table.redis_key, and routers, of their own"
)


@dataclass(frozen=True, slots=True)
class Astray:
    """Routers that obey a table which this controller has not issued, seen until they were not for a table's validity.

    Attributes:
        first_s, last_s: wall clock at the first and the last look that saw it.
        router: the one of the highest number, as it was seen last.
        obeys: that number.
        issued: that of this controller's last table then.
        is_fault: whether it has lasted for longer than what a former life has left is valid.
    """

    first_s: float
    last_s: float
    router: str
    obeys: int
    issued: int
    is_fault: bool = False

    @property
    def fallback(self) -> Fallback | None:
        """What is told of it; None while it may pass by itself."""
        if not self.is_fault:
            return None
        reason = (
            f"router {self.router} obeys table {self.obeys}, and the last one issued here is {self.issued}: {_REMEDY}"
        )
        return Fallback("table", "another's", reason)


def watch(
    before: Astray | None, router: RouterObservation | Missing, *, issued: int, now_s: float, ttl_s: float
) -> Astray | None:
    """What is known after a look.

    Args:
        before: what was known.
        router: what the routers report.
        issued: number of the last table that this controller has issued.
        now_s: wall clock.
        ttl_s: how long a table is valid.
    """
    if before is not None and abs(now_s - before.last_s) >= ttl_s:
        before = None
    if isinstance(router, Missing) or router.highest is None or router.highest[1] <= issued:
        return before
    first_s = now_s if before is None else before.first_s
    return Astray(first_s, now_s, *router.highest, issued, is_fault=now_s - first_s >= ttl_s)
