"""A call as it is taken in: its chance is drawn once, and what an earlier form of it leaves to it is kept; pure."""

from __future__ import annotations

import dataclasses

from controller.grid import admit
from controller.grid.admit import Draws
from controller.grid.kept import Frozen, KeptCall
from controller.grid.load_target import SOURCE as LOAD_TARGET
from controller.model.call import OPERATOR, Call
from controller.model.programme import Programme

_BY_THIS_CLOCK = (OPERATOR, LOAD_TARGET)
"""What these say anew is timed by this machine's clock as it is."""


def taken(call: Call, before: KeptCall | None, programme: Programme, draws: Draws, now_s: float) -> KeptCall:
    """What is kept of a message.

    Args:
        call: as it was heard, and is admitted.
        before: what is held of the same call; None where nothing is.
        programme: on whose terms.
        draws: chance.
        now_s: wall clock.
    """
    going_on = before if before is not None and not before.is_over(now_s) else None
    received_s = min(call.received_s if going_on is None else going_on.call.received_s, now_s)
    if going_on is not None and going_on.randomize_s == call.randomize_s:
        offset_s = going_on.offset_s
        shifted = admit.put_off(call, offset_s)
    else:
        shifted, offset_s = admit.drawn(call, draws)
    opted_out = call.opted_out if going_on is None else call.opted_out or going_on.call.opted_out
    shifted = dataclasses.replace(shifted, received_s=received_s, opted_out=opted_out)
    opted_out_s = None if opted_out is None else now_s
    if going_on is None:
        restore_frac = draws.uniform(0.0, 1.0) if programme.restore_random_s > 0 else 0.0
        return KeptCall(shifted, offset_s, call.randomize_s, opted_out_s=opted_out_s, restore_frac=restore_frac)
    made = KeptCall(
        shifted,
        offset_s,
        call.randomize_s,
        opted_out_s=opted_out_s if going_on.opted_out_s is None else going_on.opted_out_s,
        restore_frac=going_on.restore_frac,
        easings=going_on.easings,
        courses_s=() if call.source in _BY_THIS_CLOCK else going_on.courses_s,
    )
    has_begun = going_on.span_at(now_s)[0] <= now_s and made.span_at(now_s)[0] <= now_s
    return dataclasses.replace(made, frozen=going_on.frozen if has_begun else Frozen())
