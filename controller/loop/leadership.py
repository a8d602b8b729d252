"""Whether this controller is the one that acts: as the loop, the page and the API see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Memory


class Role(StrEnum):
    """What a controller is.

    Attributes:
        LEADER: it decides, publishes and commands.
        STANDBY: it reads, and keeps ready to lead.
    """

    LEADER = "leader"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class LeadershipStatus:
    """Who leads, as one controller knows it.

    Attributes:
        identity: of this controller.
        leader: None where nobody is known to lead.
        address: where the leader is reached; None where that is not known.
        has_standby: whether another could take over; None on a standby.
        failure: why the lease or what is shared could not be had; None while it can.
    """

    role: Role
    identity: str
    leader: str | None
    address: str | None = None
    has_standby: bool | None = None
    failure: str | None = None


class Leadership(Protocol):
    """Asked by the loop at each step; none of it raises."""

    @property
    def status(self) -> LeadershipStatus | None:
        """Who leads; None where there is no election."""

    @property
    def failure(self) -> str | None:
        """Why a standby would not know all it needs, or this standby does not; None while it does."""

    def may_act(self) -> bool:
        """Whether this controller leads at this moment."""

    async def follow(self, memory: Memory, now_s: float) -> Memory:
        """The memory to decide from: that of the leader, where it has handed over anything since."""

    async def hand_over(self, memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> bool:
        """Leave to a standby what it would need, before it is acted upon; whether this controller still leads."""

    async def share_asked(self, now_s: float) -> bool:
        """Leave at once what was asked just now; whether a later leader will know of it."""

    async def share_found(self) -> None:
        """Leave at once what GPUs were found to have, so that a later leader can give them back."""

    def superseded(self, reason: str) -> None:
        """Somebody refused what this controller told, because another leads."""

    async def find_heir(self) -> bool:
        """At the end: whether another controller takes over what this one leaves. A standby says that it goes."""

    async def resign(self) -> None:
        """Let another take over, now that nothing more is done."""

    @property
    def has_heir(self) -> bool:
        """Whether another controller was last seen to stand by."""


class SoleLeader:
    """A controller beside which there is no other."""

    status: LeadershipStatus | None = None
    failure: str | None = None
    has_heir = False

    def may_act(self) -> bool:
        """It always leads."""
        return True

    async def follow(self, memory: Memory, now_s: float) -> Memory:
        """Its own memory."""
        return memory

    async def hand_over(self, memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> bool:
        """There is nobody to hand over to."""
        return True

    async def share_asked(self, now_s: float) -> bool:
        """There is nobody to leave it to."""
        return False

    async def share_found(self) -> None:
        """There is nobody to leave it to."""

    def superseded(self, reason: str) -> None:
        """Cannot come about."""

    async def find_heir(self) -> bool:
        """There is none."""
        return False

    async def resign(self) -> None:
        """There is nothing to give up."""
