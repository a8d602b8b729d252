"""Calls that are held no more: what must be remembered of them, so that no older message revives one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.call import Call

MAX_GONE = 1024


@dataclass(frozen=True, slots=True)
class Gone:
    """A call that is held no more.

    Attributes:
        modified_s: time of its sender's last change of it.
        is_cancelled: whether it was taken back. One whose time was over may come once more, where the clock says so.
    """

    source: str
    call_id: str
    modified_s: float
    is_cancelled: bool = True


class GoneCalls:
    """A bounded number of them; where there are too many, the source that has most forgets its oldest."""

    def __init__(self) -> None:
        self._gone: dict[tuple[str, str], Gone] = {}

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._gone

    def add(self, gone: Gone) -> None:
        """Remember one; of what is known already the later change counts."""
        key = (gone.source, gone.call_id)
        before = self._gone.pop(key, gone)
        self._gone[key] = max(gone, before, key=lambda each: (each.modified_s, each.is_cancelled))
        if len(self._gone) > MAX_GONE:
            ((fullest, _),) = Counter(source for source, _ in self._gone).most_common(1)
            self._gone.pop(next(key for key in self._gone if key[0] == fullest))

    def forget(self, key: tuple[str, str]) -> None:
        """This one is held again."""
        self._gone.pop(key, None)

    def bars(self, call: Call) -> bool:
        """Whether a message is of before what is known to be over."""
        gone = self._gone.get((call.source, call.call_id))
        if gone is None:
            return False
        return call.modified_s < gone.modified_s or (gone.is_cancelled and call.modified_s == gone.modified_s)

    def kept(self) -> tuple[Gone, ...]:
        """What the next process must know."""
        return tuple(self._gone.values())

    def resume(self, gone: Iterable[Gone]) -> None:
        """Go on from a former process."""
        for each in gone:
            self.add(each)
