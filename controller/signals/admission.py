"""Whether a message is taken in: by its programme's terms, by what the book holds, and by how often it was changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from controller.errors import CallRefused
from controller.grid import admit
from controller.grid.admit import Known, Refusal
from controller.model.call import Call
from controller.model.programme import Programme
from controller.signals.kept_calls import KeptCalls
from controller.signals.refusals import Refusals


class Admission:
    """Judges messages; those that are refused are counted, recorded and told.

    Args:
        programmes: the terms, by name.
        kept: the calls that are held.
        refusals: where refusals go.
    """

    def __init__(self, programmes: Mapping[str, Programme], kept: KeptCalls, refusals: Refusals) -> None:
        self._programmes = programmes
        self._kept = kept
        self._refusals = refusals
        self._changes_s: dict[str, deque[float]] = {}

    def admitted(self, call: Call, now_s: float, raw: str) -> Programme:
        """The terms on which a message is taken in.

        Raises:
            CallRefused: it is not, and why; that is recorded with the message itself.
        """
        try:
            if len(raw) > admit.MAX_RAW_CHARS:
                raise CallRefused(f"the message has {len(raw)} characters, more than {admit.MAX_RAW_CHARS}")
            return self.terms(call, now_s)
        except CallRefused as error:
            self._refusals.take(call, error, now_s, raw)
            raise

    def terms(self, call: Call, now_s: float) -> Programme:
        """The same of a message that is only looked at: nothing is counted or recorded.

        Raises:
            CallRefused: it would not be taken in, and why.
        """
        key = (call.source, call.call_id)
        if self._kept.gone.bars(call):
            raise CallRefused(f"call {call.call_id!r:.80} is over", is_conflict=True, cause=Refusal.REPLAYED.value)
        others, before = self._kept.others(key, now_s), self._kept.get(*key)
        known = Known(
            calls=len(others),
            intervals=sum(len(kept.call.intervals) for kept in others),
            changes_s=tuple(self._changes_s.get(call.programme, ())),
            courses_s=() if before is None or before.is_over(now_s) else before.courses_s,
        )
        return admit.check(call, self._programmes.get(call.programme), known, now_s)

    def changed(self, programme: Programme, now_s: float) -> None:
        """A call on these terms was taken in or changed."""
        most = max(1, programme.changes_per_min)
        self._changes_s.setdefault(programme.name, deque(maxlen=most)).append(now_s)
