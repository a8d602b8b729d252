"""Every decision about a request, behind one object that the data path calls. Pure; time is an argument.

`now_s` is the **wall clock** (`router.clock.wall_s`) everywhere in this module, since tables expire by it. Durations
(`ttft_s`, `duration_s`) are measured by the caller on its monotonic clock.

Life of a request::

    ask -> choose -> Choice ---------------------> first_byte -> release
                  -> None -> enqueue -> grant(Choice | Refusal)
                  -> Refusal
    release(outcome) -> may_retry -> choose(tried=...) -> ...

Each `Choice`, whether returned by `choose` or given to `grant`, must be released exactly once.
"""

from __future__ import annotations

from collections.abc import Callable

from router.contract import AllocationTable, InstanceId
from router.exchange import Ask, Choice, Outcome, Refusal
from router.openai import RequestFacts, Usage
from router.settings import RouterFile

__all__ = ["Ask", "Choice", "Dispatcher", "Outcome", "Refusal"]


class Dispatcher:
    """Decides for one worker process.

    Args:
        settings: the router's sections of the configuration file.
        workers: how many workers share the port; in-flight caps are divided among them.
        worker: number of this one, from 0.
    """

    def __init__(self, settings: RouterFile, *, workers: int = 1, worker: int = 0) -> None:
        raise NotImplementedError

    def ask(self, header: Callable[[bytes], bytes | None], facts: RequestFacts) -> Ask | Refusal:
        """Classify a request. `header` looks a lower-case name up and gives its value or None."""
        raise NotImplementedError

    def choose(self, ask: Ask, now_s: float, tried: tuple[InstanceId, ...] = ()) -> Choice | Refusal | None:
        """Pick an instance that is not in `tried` and reserve a slot; None if all are at their caps: then `enqueue`."""
        raise NotImplementedError

    def enqueue(self, ask: Ask, now_s: float, grant: Callable[[Choice | Refusal], None]) -> object | Refusal:
        """Wait for a slot; gives a ticket, or a Refusal if the queue is full (then `grant` is never called).

        `grant` is called at most once, synchronously from within another method (`release`, `probed`,
        `apply_table`, `expire`), never from within `enqueue`.
        """
        raise NotImplementedError

    def cancel(self, ticket: object) -> None:
        """The waiting client left; its `grant` is not called any more. Harmless after the grant."""
        raise NotImplementedError

    def expire(self, now_s: float) -> None:
        """Refuse those who waited too long and drop an expired table. Call about four times a second."""
        raise NotImplementedError

    def may_retry(self, ask: Ask, outcome: Outcome, attempts: int, now_s: float) -> bool:
        """Whether a request of which no answer byte was passed on may be tried again after `attempts` attempts.

        True also counts the retry, so call it once per failed attempt and only when meaning to retry.
        """
        raise NotImplementedError

    def first_byte(self, choice: Choice, ttft_s: float) -> None:
        """The first bytes of the answer's body came `ttft_s` after the request."""
        raise NotImplementedError

    def release(
        self,
        choice: Choice,
        ask: Ask,
        outcome: Outcome,
        *,
        usage: Usage | None,
        chunks: int,
        duration_s: float,
        now_s: float,
        ttft_s: float | None = None,
    ) -> None:
        """Give the slot back and account the attempt; a second release of one choice does nothing.

        Args:
            choice: what `choose` or `grant` gave.
            ask: the request.
            outcome: how the attempt ended.
            usage: tokens as told by the engine, if it did.
            chunks: events of a stream that were passed on (0 for a plain answer).
            duration_s: from the request's arrival to the end of the attempt.
            now_s: wall clock.
            ttft_s: as given to `first_byte`, for the inter-token latency.
        """
        raise NotImplementedError

    def apply_table(self, table: AllocationTable, now_s: float) -> bool:
        """Obey a table, or note that the one obeyed is still the source's; True if the table is new."""
        raise NotImplementedError

    def has_usable(self) -> bool:
        """Whether any instance could take a request now, caps aside."""
        raise NotImplementedError
