"""Capabilities as a controller would tell them."""

from __future__ import annotations

from typing import Any

from controller.model.capability import Capability, Offer, QosCost
from tests.fakes.controller_parts import NOW_S


def offer(lead_s: float, cost: QosCost, achievable_w: float, **more: Any) -> Offer:
    """A reduction from 12 kW."""
    given = {"expected_w": 0.95 * achievable_w, "shed_w": max(0.0, 12_000.0 - achievable_w), "duration_s": None}
    return Offer(lead_s, cost, achievable_w, **{**given, **more})


def told(now_s: float = NOW_S, **more: Any) -> Capability:
    """1 kW at once, 4 kW in ten minutes, 6 kW in an hour; the deeper the dearer."""
    offers = []
    for lead_s, at_once_w in ((30.0, 11_000.0), (600.0, 8000.0), (3600.0, 6000.0)):
        offers += [
            offer(lead_s, QosCost.NONE, at_once_w),
            offer(lead_s, QosCost.QUALITY, at_once_w - 500.0, duration_s=3600.0, recovery_s=7200.0, events_per_day=8.0),
            offer(
                lead_s, QosCost.WAITING, at_once_w - 1000.0, duration_s=3600.0, recovery_s=7200.0, events_per_day=8.0
            ),
            offer(lead_s, QosCost.HELD, at_once_w - 1500.0, duration_s=3600.0, recovery_s=None, events_per_day=0.0),
        ]
    return Capability(**{"now_s": now_s, "drawn_w": 12_000.0, "offers": tuple(offers), **more})
