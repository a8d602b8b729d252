"""The same requests through the two models: one by one, and as a flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.model.fleet import Site
from controller.model.grid import Series
from controller.model.observation import Observation
from controller.simulation.fluid import FluidSite
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from tests.bench.agreement.case import Means, Reading, Window, edges, means

BIN_S = 10.0
"""Longest interval over which the flow's arrivals are taken as constant."""
_NOTHING = Series((0.0,), (0.0,), 1.0, "none", "not looked at")
SIGNALS = Signals(_NOTHING, _NOTHING)


def discrete(site: Site, requests: Sequence[Request], window: Window) -> Means:
    """Mean power and throughput of the discrete-event model over the window."""
    model = SimulatedSite(site, 0.0)
    readings = []
    left = list(requests)
    for until_s in (window.start_s, window.end_s):
        while left and left[0].time_s <= until_s:
            request = left.pop(0)
            model.advance(request.time_s)
            model.submit(request, request.time_s)
        model.advance(until_s)
        readings.append(_reading(until_s, model))
    return means(*readings)


def fluid(site: Site, requests: Sequence[Request], window: Window) -> Means:
    """Mean power and throughput of the fluid model over the window."""
    model = FluidSite(site, 0.0)
    times_s = np.array([request.time_s for request in requests])
    amounts = np.array([(1.0, request.input_tokens, request.output_tokens) for request in requests])
    readings = []
    for begin_s, end_s in edges(window, BIN_S):
        if begin_s == window.start_s:
            readings.append(_reading(begin_s, model))
        came = amounts[(times_s >= begin_s) & (times_s < end_s)].sum(axis=0)
        model.ask(came[None, :] / (end_s - begin_s))
        model.advance(end_s)
    return means(*readings, _reading(window.end_s, model))


def _reading(at_s: float, model: SimulatedSite | FluidSite) -> Reading:
    seen: Observation = model.observe(SIGNALS)
    tokens = sum(one.generation_tokens for one in seen.instances)
    return Reading(at_s, sum(model.energy_by_instance_j().values()), tokens)
