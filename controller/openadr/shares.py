"""Divides the slot of an interval among the values of one of its payloads (User Guide 7.3)."""

from __future__ import annotations

from dataclasses import dataclass

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.fields import number
from controller.openadr.messages import ValuesMap
from controller.openadr.schedule import Slot


@dataclass(frozen=True, slots=True)
class Share:
    """A value with its share of a slot, and where it stands."""

    start_s: float
    end_s: float
    value: float
    at: str


def divided(slot: Slot, payload: ValuesMap, place: str, *, may_be_open: bool) -> list[Share]:
    """The values of a payload, each with its share of the slot.

    Args:
        slot: of the interval.
        payload: of numbers.
        place: what errors call it.
        may_be_open: whether a slot of which nobody says how long it is goes on for ever.

    Raises:
        MessageError: there is no value, one is no number, or they cannot share the slot.
    """
    count = len(payload.values)
    if not count:
        raise MessageError(f"{place}.values", f"{payload.type} has no value")
    end_s = slot.end_s
    if slot.is_open:
        if not may_be_open:
            raise MessageError(f"{place}.intervalPeriod.duration", f"nobody says how long this {payload.type} is")
        end_s = FOREVER_S
    if count > 1 and end_s >= FOREVER_S:
        raise MessageError(f"{place}.values", f"{count} values cannot share what has no end")
    step_s = (end_s - slot.start_s) / count
    edges_s = [slot.start_s + n * step_s for n in range(count)] + [end_s]
    values = [number(value, f"{place}.values[{n}]") for n, value in enumerate(payload.values)]
    return [Share(edges_s[n], edges_s[n + 1], value, f"{place}.values[{n}]") for n, value in enumerate(values)]
