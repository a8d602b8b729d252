"""The section `clock`: how far this machine's clock may be off, and who is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from controller.loop.clock_judge import ClockWatch
from controller.signals.sntp import address_of
from router.settings import Group


def _is_server(server: str) -> str:
    address_of(server)
    return server


class ClockSettings(Group):
    """How this machine's clock is watched; it is kept by the machine's own time service."""

    servers: Annotated[tuple[Annotated[str, AfterValidator(_is_server)], ...], Field(max_length=8)] = ()
    """Time servers (NTP) that are asked how far this clock is off: HOST, HOST:PORT or [IPV6]:PORT. None: nobody is
    asked, the offset is unknown, and the kernel alone says whether a time service keeps the clock."""
    poll_s: Annotated[float, Field(ge=16, le=86_400)] = 64.0
    """How often they are asked."""
    timeout_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    """Longest wait for an answer."""
    most_off_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """The clock is off, which is told, where its offset or the bound of its error is larger."""

    def watch(self) -> ClockWatch:
        """The same as the controller has it."""
        return ClockWatch(self.servers, self.poll_s, self.timeout_s, self.most_off_s)
