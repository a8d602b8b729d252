"""What of the control loop does not work: told once as it begins, once as it is over, and shown meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.errors import StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of the loop's own that does not work, shown on the ladder until it does.

    Attributes:
        step: ``read``, ``tick``, ``late``, ``publish``, ``record``, ``energy``, ``supervisor``, ``state``,
            ``handover``, or ``actuate`` with the instance's name, shown while the command is wanted, too.
    """

    step: str
    reason: str
    since_s: float


class Faults:
    """Those in force, one a step.

    Args:
        count: called with the step of every failure.
        wall_s: the wall clock.
    """

    def __init__(self, count: Callable[[str], None], wall_s: Callable[[], float]) -> None:
        self._count = count
        self._wall_s = wall_s
        self._in_force: dict[str, Fault] = {}

    def __contains__(self, step: str) -> bool:
        """Whether a step has failed and not worked since."""
        return step in self._in_force

    @property
    def in_force(self) -> tuple[Fault, ...]:
        """All of them."""
        return tuple(self._in_force.values())

    def fail(self, step: str, reason: BaseException | str) -> None:
        """A step has failed: counted each time, logged where it is another reason than before."""
        self._count(step)
        told = f"{type(reason).__name__}: {reason}" if isinstance(reason, BaseException) else reason
        trace = reason if isinstance(reason, BaseException) and not isinstance(reason, StoreError) else None
        before = self._in_force.get(step)
        if before is None or before.reason != told:
            log.error("loop step failed", extra={"step": step, "reason": told}, exc_info=trace)
        self._in_force[step] = Fault(step, told, self._wall_s() if before is None else before.since_s)

    def recover(self, step: str) -> None:
        """A step has worked; logged where it had failed."""
        if self.settle(step):
            log.info("loop step works again", extra={"step": step})

    def stand(self, fault: Fault) -> None:
        """Show a failure that was counted and logged where it came about."""
        self._in_force[fault.step] = fault

    def settle(self, step: str) -> bool:
        """Show a step's failure no more; whether there was one."""
        return self._in_force.pop(step, None) is not None
