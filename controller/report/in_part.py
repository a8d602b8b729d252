"""What a report says of an event that the operator followed in part; pure."""

from __future__ import annotations

from collections.abc import Iterator

from controller.grid.kept import KeptCall
from controller.utc_text import utc_text


def in_part_told(kept: KeptCall | None, start_s: float, end_s: float) -> Iterator[str]:
    """From when until when it was followed down to what, and why; how that is settled.

    Args:
        kept: the call as it was recorded last; None of a limit that has none.
        start_s: of the event, wall clock.
        end_s: likewise.
    """
    easings = () if kept is None else tuple(e for e in kept.easings if e.from_s < end_s and e.end_s > start_s)
    for each in easings:
        until = "until its end" if each.end_s >= end_s else f"until {utc_text(each.end_s)}"
        since = "from its start" if each.from_s <= start_s else f"from {utc_text(each.from_s)}"
        yield (
            f"FOLLOWED IN PART by the operator's choice {since} {until}: no lower than {each.floor_w / 1e3:.3f} kW. "
            f"Reason: {each.reason}."
        )
    if easings:
        yield (
            "Whether the limit was kept is judged by the one that held at the time; what was committed, and what is "
            "missing of it, is counted from what was asked for throughout."
        )
