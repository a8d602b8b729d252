"""The two models of a site's engines behind one face: tokens that flow, and single requests. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from controller.model.fleet import Site
from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.simulation.fluid import FluidSite
from controller.simulation.latency import Latencies
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from controller.study.site.make_site import SiteCase
from router.contract import ClassId, InstanceId


class SimSite(Protocol):
    """What both simulated sites answer; amounts are (R, 3) requests, prompt tokens and output tokens."""

    @property
    def asked(self) -> np.ndarray:
        """What came."""

    @property
    def served(self) -> np.ndarray:
        """What was answered."""

    @property
    def lost(self) -> np.ndarray:
        """What was cut off by a stopped engine."""

    @property
    def waiting(self) -> np.ndarray:
        """What is under way or waits."""

    @property
    def queued(self) -> np.ndarray:
        """What waits at the router."""

    @property
    def late_tokens(self) -> Mapping[ClassId, float]:
        """Output tokens that came later than their class is promised."""

    def observe(self, signals: Signals) -> Observation:
        """What a controller would read now."""

    def apply(self, commands: Commands, now_s: float) -> None:
        """Carry out the commands of a tick."""

    def energy_j(self) -> float:
        """Energy drawn at the metering point."""

    def energy_by_instance_j(self) -> dict[InstanceId, float]:
        """Energy of each instance."""


class When(StrEnum):
    """Times for which latencies are told apart."""

    CALLED = "during events"
    FREE = "outside of events"


@dataclass(frozen=True, slots=True)
class Waits:
    """Latencies of requests whose tokens came within some time.

    Attributes:
        ttft: arrival at the router to the first token.
        itl: gaps between the tokens of a request.
    """

    ttft: Latencies = field(default_factory=Latencies)
    itl: Latencies = field(default_factory=Latencies)


class Engines(Protocol):
    """A simulated site and what is asked of it."""

    @property
    def site(self) -> SimSite:
        """The site."""

    @property
    def waits(self) -> Mapping[When, Waits]:
        """Latencies seen so far; empty where there are no single requests."""

    def begin(self, tick: int) -> None:
        """Begin a tick, after its commands."""

    def advance(self, until_s: float) -> None:
        """Let time pass."""


class FlowingEngines:
    """Tokens flow at constant rates within a tick."""

    def __init__(self, case: SiteCase, site: Site) -> None:
        self.site = FluidSite(site, case.start_s, sleeping=_asleep(case, site), impatient=case.impatient)
        self.waits: Mapping[When, Waits] = {}
        self._asked_per_s = case.asked_per_s

    def begin(self, tick: int) -> None:
        """What is asked from now on."""
        self.site.ask(self._asked_per_s[tick])

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        self.site.advance(until_s)


class RequestEngines:
    """Single requests in engines that step from token to token."""

    def __init__(self, case: SiteCase, site: Site, requests: tuple[Request, ...]) -> None:
        self.site = SimulatedSite(site, case.start_s, sleeping=_asleep(case, site))
        self.waits: Mapping[When, Waits] = {when: Waits() for when in When}
        self._start_s, self._tick_s, self._called = case.start_s, case.tick_s, case.called_s
        self._coming = deque(requests)

    def begin(self, tick: int) -> None:
        """Count latencies where the tick belongs."""
        now_s = self._start_s + tick * self._tick_s
        called = any(start_s <= now_s < end_s for start_s, end_s in self._called)
        waits = self.waits[When.CALLED if called else When.FREE]
        self.site.ttft, self.site.itl = waits.ttft, waits.itl

    def advance(self, until_s: float) -> None:
        """Let time pass, and requests arrive at their times."""
        while self._coming and self._start_s + self._coming[0].time_s < until_s:
            request = self._coming.popleft()
            at_s = self._start_s + request.time_s
            self.site.advance(at_s)
            self.site.submit(request, at_s)
        self.site.advance(until_s)


def _asleep(case: SiteCase, site: Site) -> frozenset[InstanceId]:
    """Who sleeps at the start; all of the fixed fleet serve."""
    return case.asleep if site is case.site else frozenset()


def engines_of(case: SiteCase, site: Site) -> Engines:
    """The engines that the scenario asks for, at one of the case's sites."""
    return FlowingEngines(case, site) if case.requests is None else RequestEngines(case, site, case.requests)
