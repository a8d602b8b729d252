"""What levels ask for: those of SIMPLE and CONTROL_LEVEL_OFFSET by their number, offsets in percent by a table.

The specification leaves open what an offset in percent comes to: it "does not refer to specific load consumption
values", less is consumed "the lower the percentage", and "negative values indicate higher load consumption"
(OpenADR 3.1.0 Definition, table 1). So the programme's operator must say it, the sign included.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.errors import MessageError
from controller.model.call import Asked, Commitment
from controller.openadr.fields import shown

LEVELS = {"SIMPLE": (0, 3), "CONTROL_LEVEL_OFFSET": (-10, 10)}
PERCENT = "CONTROL_LEVEL_OFFSET_PERCENT"
_ROUNDING = 1e-9


def level(kind: str, value: float, at: str) -> Commitment:
    """What a level asks for; 0 is normal operation, and less asks to draw more, which nobody is held to.

    Args:
        kind: of `LEVELS`.
        value: as it was sent.
        at: its place.

    Raises:
        MessageError: it is no level of that kind.
    """
    least, most = LEVELS[kind]
    if value != int(value) or not least <= value <= most:
        raise MessageError(at, f"{shown(value)} is not a level of {kind}: a whole number from {least} to {most}")
    return Commitment(Asked.LEVEL, value) if value > 0 else Commitment(Asked.NOTHING)


def level_of_share(value: float, percent_levels: Mapping[int, int] | None, at: str) -> Commitment:
    """What an offset in percent asks for: the level of the least percentage of the table that is as far from 0.

    Args:
        value: share from -1 to 1, as the specification's PERCENT.
        percent_levels: level by percentage; the sign of the percentages is the one that asks for less. None where
            nobody said so.
        at: its place.

    Raises:
        MessageError: it is no share, the table does not reach so far, or there is none.
    """
    if not -1.0 <= value <= 1.0:
        raise MessageError(at, f"{shown(value)} is no share from -1 to 1; 25 % is 0.25")
    if value == 0.0:
        return Commitment(Asked.NOTHING)
    if percent_levels is None:
        raise MessageError(
            at,
            f"the specification does not say what {PERCENT} comes to, nor which sign is less; set percent_levels",
        )
    sign = 1 if next(iter(percent_levels)) > 0 else -1
    if value * sign < 0:
        return Commitment(Asked.NOTHING)
    enough = [percent for percent in percent_levels if abs(percent) >= 100.0 * abs(value) - _ROUNDING]
    if not enough:
        raise MessageError(at, f"{100.0 * value:g} % is further than percent_levels tells; add a level for it")
    return Commitment(Asked.LEVEL, percent_levels[min(enough, key=abs)])
