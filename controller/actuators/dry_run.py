"""What would be done, without doing it: for the modes that only look."""

from __future__ import annotations

from collections import deque

from controller.model.plan import Commands

MAX_LINES = 1000


class DryRun:
    """Takes commands and keeps the lines that tell of them."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """Keep what would be done."""
        lines = (
            f"would publish table {commands.table.sequence}",
            *(f"would {c.verb.value} {c.instance_id}: {c.reason}" for c in commands.instances),
        )
        self._lines.extend(lines)
        return lines

    def lines(self) -> tuple[str, ...]:
        """The last `MAX_LINES` of them, oldest first."""
        return tuple(self._lines)
