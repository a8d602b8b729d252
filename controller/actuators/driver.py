"""What carries out one command on one instance."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from controller.model.plan import InstanceCommand, Verb


class InstanceDriver(Protocol):
    """Does what a command says and makes sure of it; doing it twice is harmless."""

    @property
    def verbs(self) -> Collection[Verb]:
        """What it can do."""

    async def carry_out(self, command: InstanceCommand) -> str:
        """Return when it is done, with one line of what was done.

        Raises:
            ActuationError: it could not be done in time.
        """
