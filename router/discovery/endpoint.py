"""What a source of instances tells of one pool. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from router.transport.addresses import shown


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One engine that may be given requests.

    Attributes:
        name: of its pod; empty where it has none.
        host: its address, a number.
        port: where it listens.
    """

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port as one text."""
        return shown(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Found:
    """The engines of one pool at one moment.

    Attributes:
        ready: those that take requests, in the order of their names; no address appears twice.
        draining: how many more are ending and serve what they have.
        unready: how many more neither take requests nor serve.
        problems: what is wrong with engines that had to be left out, for people.
        left_out: how many more are ready and cannot be used.
        starting: of the unready ones those that are not ending, in the order of their names.
    """

    ready: tuple[Endpoint, ...]
    draining: int = 0
    unready: int = 0
    problems: tuple[str, ...] = ()
    left_out: int = 0
    starting: tuple[Endpoint, ...] = ()


class FoundSink(Protocol):
    """What takes what one source tells of one pool."""

    def told(self, found: Found) -> None:
        """These are the engines as of now."""

    def heard(self) -> None:
        """What was told last holds as of now."""

    def failed(self, reason: str) -> None:
        """The engines cannot be found out; those told last stay."""
