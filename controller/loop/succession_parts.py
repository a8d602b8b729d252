"""What a controller among several works with: who elects it, where the leader leaves things, and what it is told by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from controller.lifecycle.handback import Sleeper
from controller.model.fleet import Site
from controller.model.gpu_limit import Found as GpuFound
from controller.signals.asked import Asked
from router.contract import InstanceId


class Candidate(Protocol):
    """Stands for election."""

    @property
    def identity(self) -> str:
        """Who stands."""

    @property
    def leader(self) -> str | None:
        """Who leads; None where nobody does."""

    @property
    def failure(self) -> str | None:
        """Why nothing is known; None while the lease can be read."""

    def may_act(self) -> bool:
        """Whether it leads, and nobody else can have taken over yet."""

    def stand_by_terms(self, fits: Callable[[bool], bool], asks: Callable[[], bool]) -> None:
        """Take the lead, and keep it, only where it `fits`, told whether another asks; ask for it where it `asks`."""

    async def release(self) -> None:
        """Give the lead up."""


class Found(Protocol):
    """What a leader left; see `controller.actuators.shared_redis`."""

    @property
    def sequence(self) -> int:
        """Of the last table published; -1 where none is known."""

    @property
    def handover(self) -> bytes | None:
        """As written."""

    @property
    def asked(self) -> bytes | None:
        """As written."""


class Shared(Protocol):
    """Where it is left; each call raises `ActuationError` where that cannot be reached."""

    async def claim(self) -> Found:
        """Be the one whose writes are taken from now on."""

    async def look(self) -> Found:
        """Be seen as a standby."""

    async def hand_over(self, handover: bytes = b"", asked: bytes = b"") -> bool:
        """Leave it; raises `Superseded` where another leads. Returns whether a standby is there."""

    async def withdraw(self) -> None:
        """Be seen as a standby no more."""


class Gpus(Protocol):
    """GPUs that the leader limits."""

    @property
    def found(self) -> tuple[GpuFound, ...]:
        """What those had that are limited, or are to be at once."""

    def take_up(self, theirs: tuple[GpuFound, ...]) -> None:
        """Answer for all, and go on from what the leader before had found."""

    def stand_by(self, theirs: tuple[GpuFound, ...] | None) -> None:
        """Keep off those that the leader answers for; None where it is not known which they are."""


class NoGpus:
    """None are ever limited."""

    found: tuple[GpuFound, ...] = ()

    def take_up(self, theirs: tuple[GpuFound, ...]) -> None:
        """There is none to answer for."""

    def stand_by(self, theirs: tuple[GpuFound, ...] | None) -> None:
        """There is none to keep off."""


@dataclass(frozen=True, slots=True)
class SuccessionParts:
    """What it works with.

    Attributes:
        address: where this controller is reached, for operators.
        asked: what was asked of this controller; called with the wall clock.
        adopt_asked: takes up what was asked of the leader: (it, wall clock, whether this controller leads now).
        sleep: waits so many seconds.
        take_charge: called with the instances that sleep by the controllers' command, on taking over and on a standby,
            where there are none.
        gpus: that are limited.
        let_go: called with the instances that the leader has let go, whenever that is looked at.
        on_followed: called where what is gone on from was left by another controller, with the instances that it has
            told to wake and that have not answered.
        on_lead, on_lost: called as this controller begins to lead, and as soon as it does no more.
    """

    site: Site
    candidate: Candidate
    shared: Shared
    address: str
    asked: Callable[[float], Asked]
    adopt_asked: Callable[[Asked, float, bool], int]
    sleep: Callable[[float], Awaitable[None]]
    take_charge: Callable[[tuple[Sleeper, ...]], None]
    gpus: Gpus
    let_go: Callable[[tuple[InstanceId, ...]], None] = lambda names: None
    on_followed: Callable[[tuple[InstanceId, ...]], None] = lambda woken: None
    on_lead: Callable[[], None] = lambda: None
    on_lost: Callable[[], None] = lambda: None
