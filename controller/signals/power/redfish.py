"""Power in what a Redfish service answers (DMTF DSP2046, Redfish Resource and Schema Guide); pure.

Three resources tell it, known by the properties they have:

- `EnvironmentMetrics` of a chassis, `PowerDistributionMetrics` of a PDU, a circuit or an outlet: `PowerWatts.Reading`;
- a `Sensor`: `Reading`, with `ReadingUnits` W;
- `Power` of a chassis, deprecated and still what most machines have: `PowerControl[0].PowerConsumedWatts`.

Null stands for what a service does not know at the moment (DSP0266, clause on nullable properties): no power, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_MACHINE_W = 1e7
"""No machine and no PDU draws ten megawatts."""
_LINKS = ("EnvironmentMetrics", "Metrics", "Power")
"""What a chassis or a PDU calls the resource that tells its power."""


def power_w(document: object) -> float:
    """The power that a resource tells, in W.

    Raises:
        ValueError: it tells none that can be believed, with what is wrong and what to do.
    """
    body = _object(document, "the answer")
    _refuse_status(body, "the resource")
    if "PowerWatts" in body:
        excerpt = _object(body["PowerWatts"], "PowerWatts")
        _refuse_status(excerpt, "PowerWatts")
        if excerpt.get("ReadingUnits") is not None:
            _refuse_unit(excerpt)
        return _watts(excerpt.get("Reading"), "PowerWatts.Reading")
    if "Reading" in body:
        _refuse_unit(body)
        return _watts(body["Reading"], "Reading")
    if "PowerControl" in body:
        return _of_control(body["PowerControl"])
    raise ValueError(_elsewhere(body))


def _of_control(controls: object) -> float:
    if not isinstance(controls, list) or not controls:
        raise ValueError("PowerControl is empty; look for EnvironmentMetrics or a Sensor of the machine")
    first = _object(controls[0], "PowerControl[0]")
    _refuse_status(first, "PowerControl[0]")
    return _watts(first.get("PowerConsumedWatts"), "PowerControl[0].PowerConsumedWatts")


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {_shown(value)} and no object; correct the address")
    return value


def _refuse_status(resource: Mapping[str, Any], name: str) -> None:
    """Refuse what is not enabled or in a critical state; many machines leave `Status` out, which says nothing."""
    status = resource.get("Status")
    if not isinstance(status, dict):
        return
    state, health = status.get("State"), status.get("Health")
    if state not in (None, "Enabled"):
        raise ValueError(f"{name} is in state {_shown(state)}, not 'Enabled'; see the machine's own log")
    if health == "Critical":
        raise ValueError(
            f"the health of {name} is 'Critical'; see the machine's own log, or raise a threshold that it exceeds"
        )


def _refuse_unit(resource: Mapping[str, Any]) -> None:
    unit = resource.get("ReadingUnits")
    if unit != "W":
        raise ValueError(f"ReadingUnits is {_shown(unit)}, not 'W'; name the sensor of the machine's power")


def _watts(value: object, name: str) -> float:
    if value is None:
        raise ValueError(f"{name} is null or absent: the machine does not know its power now")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {_shown(value)} and no number")
    if value == 0:
        raise ValueError(
            f"{name} is 0 W, which no machine draws that answers: its power supplies do not tell, or it is off; take "
            "it out of urls"
        )
    if not 0 < value <= MAX_MACHINE_W:  # NaN is not either
        raise ValueError(f"{name} is {_shown(value)} W, which no machine draws")
    return float(value)


def _elsewhere(body: Mapping[str, Any]) -> str:
    """What is said of a resource without power: where it leads to one, or what it is."""
    for name in _LINKS:
        link = body.get(name)
        if isinstance(link, dict) and isinstance(link.get("@odata.id"), str):
            return f"it tells no power itself; write {link['@odata.id']!r:.200}, its {name}"
    told = "it has neither PowerWatts, Reading nor PowerControl"
    return f"{told} ({_shown(body.get('@odata.type', 'no @odata.type'))}); name a resource that tells power"


def _shown(value: object) -> str:
    return f"{value!r:.60}" if not isinstance(value, dict | list) else type(value).__name__
