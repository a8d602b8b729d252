"""Whose turn it is to be read where many routers tell of many instances; pure.

Every router tells of every instance: what two hundred tell of five hundred takes seconds to read.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.errors import SignalError
from controller.signals.router_state import RouterState

INSTANCES_A_TURN = 12_500
"""Entries of instances that are read in one turn, some tenth of a second's work; fifty routers of 250 instances."""
_ASSUMED = 125
"""Entries of a router that was not read before."""


class Turns:
    """Goes round the routers, and keeps what each told last."""

    def __init__(self, most: int = INSTANCES_A_TURN) -> None:
        self._most = most
        self._order: list[str] = []
        self._answers: dict[str, RouterState | SignalError] = {}

    @property
    def answers(self) -> Mapping[str, RouterState | SignalError]:
        """What each told last, by name; those whose first turn is to come are left out."""
        return dict(self._answers)

    def take(self, names: list[str]) -> list[str]:
        """Those to read now: who could not be read last time, and of the others as many as there is room for."""
        there = set(names)
        self._answers = {name: answer for name, answer in self._answers.items() if name in there}
        waiting = set(self._order)
        self._order = [name for name in self._order if name in there] + [name for name in names if name not in waiting]
        due, room = [], self._most
        for name in self._order:
            if isinstance(self._answers.get(name), SignalError):
                due.append(name)
            elif room > 0:
                due.append(name)
                room -= self._entries(name)
        taken = set(due)
        self._order = [name for name in self._order if name not in taken] + due
        return due

    def told(self, answers: Mapping[str, RouterState | SignalError]) -> None:
        """Keep what was read."""
        self._answers.update(answers)

    def _entries(self, name: str) -> int:
        answer = self._answers.get(name)
        return max(1, len(answer.on_instance)) if isinstance(answer, RouterState) else _ASSUMED
