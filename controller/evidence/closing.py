"""The account of an event, made once it is over and recorded with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.evidence.account import SettledFold
from controller.evidence.flow import Flow
from controller.evidence.listing import of_span
from controller.evidence.read import read_listed
from controller.evidence.series import Sample
from controller.evidence.spans import Span
from controller.store.plain import to_plain


def accounted(path: Path, span: Span) -> dict[str, Any] | None:
    """What a record of the account holds: each interval with its settlement; None where there is nothing to settle.

    Raises:
        StoreError: the evidence cannot be read.
    """
    listed = of_span(path, span)
    evidence = None if listed is None else read_listed(path, listed)
    if evidence is None or not evidence.events:
        return None
    fold = SettledFold(evidence.events, evidence.programme, evidence.baseline, span.end_s)
    for each in Flow(path, evidence):
        if isinstance(each, Sample):
            fold.take(each)
    return {
        "intervals": [
            {
                "event_id": part.event.event_id,
                "limit_w": part.event.limit_w,
                "start_s": part.event.start_s,
                "end_s": part.event.end_s,
                "reason": part.reason,
                "settlement": None if part.account is None else to_plain(part.account.settlement),
                "response": None if part.account is None else to_plain(part.account.response),
                "performance": None if part.account is None else to_plain(part.account.performance),
            }
            for part in fold.settled()
        ]
    }
