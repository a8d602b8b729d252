"""What the data path and the decisions tell each other about one request. Pure.

The records are msgspec structs: they are made once or more per request, and cost a quarter of a frozen dataclass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import final

import msgspec

from router.contract import ClassId, InstanceId, PoolId, Precision
from router.openai import RequestFacts
from router.tenants.charge import Charge
from router.tenants.keys import Key
from router.tenants.tenant import Tenant


class Outcome(StrEnum):
    """How one attempt at an engine ended."""

    OK = "ok"
    """The answer was passed on to its end."""
    CLIENT_ERROR = "client_error"
    """The engine answered 4xx other than 429: the request is at fault, not the engine."""
    ENGINE_BUSY = "engine_busy"
    """The engine answered 429 or 503: it works, but takes no more now."""
    ENGINE_ERROR = "engine_error"
    """The engine answered 5xx other than 503, or something that is not HTTP."""
    CONNECT_FAILED = "connect_failed"
    """No connection within the time allowed: the request was never sent."""
    TIMED_OUT = "timed_out"
    """The engine stayed silent for too long."""
    RESET = "reset"
    """The engine closed the connection before its answer was complete."""
    CLIENT_GONE = "client_gone"
    """The client left first."""


class InstanceSpec(msgspec.Struct, frozen=True):
    """An engine and where it listens.

    Attributes:
        address: host and port.
        max_in_flight: cap where the allocation says nothing.
        is_named: it was given its name; else that is its place in the list, which others may take.
    """

    instance_id: InstanceId
    pool_id: PoolId
    precision: Precision
    address: tuple[str, int]
    url: str
    max_in_flight: int
    is_named: bool = False

    def may_be(self, other: InstanceSpec) -> bool:
        """Whether the engine at this address is the one that was known by `other` there, and not its successor."""
        return not (self.is_named and other.is_named) or self.instance_id == other.instance_id


@final
class Hints(msgspec.Struct, frozen=True, gc=False):
    """What a request's head says to routing; the same for every request with that head.

    Attributes:
        class_id: class named by x-wattroute-class, or None.
        precision: precision pinned by x-wattroute-precision, or None.
        session_key: x-session-id, or None.
        key: the tenant's key that it carries, or None where there are no tenants.
        wants_energy: whether the client asks for the energy of its request.
    """

    class_id: ClassId | None = None
    precision: Precision | None = None
    session_key: str | None = None
    key: Key[Tenant] | None = None
    wants_energy: bool = False


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One request, classified.

    Attributes:
        facts: what was read of its body.
        class_id: its class.
        precision: precision it is pinned to, or None.
        engine_model: model name to send to the engine in place of ``name@precision`` (see `openai.with_model`), or
            None where the body goes on unchanged.
        expected_tokens: output tokens expected of it.
        position: requests with one position belong together (see `affinity`), None for one that belongs to none.
        is_session: they are of one session and keep their precision, too; else their prompts begin alike.
        charge: what it costs its tenant, or None where there are no tenants.
        wants_energy: whether its energy is to be told.
    """

    facts: RequestFacts
    class_id: ClassId
    precision: Precision | None
    engine_model: str | None
    expected_tokens: float
    position: int | None = None
    is_session: bool = False
    charge: Charge | None = None
    wants_energy: bool = False


class Choice(msgspec.Struct, frozen=True, gc=False):
    """An instance with a slot reserved on it; the slot is held until `Dispatcher.release`.

    Attributes:
        spec: the instance.
        sequence: sequence of the allocation table obeyed, -1 for static weights.
        degraded: served at a lower precision than the best the request may have.
        serial: number of this reservation within its worker.
        charged_tokens: output tokens counted for its pool in advance; 0 where the pool has no weight.
    """

    spec: InstanceSpec
    class_id: ClassId
    sequence: int
    degraded: bool
    serial: int
    charged_tokens: float


@final
class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not served.

    Attributes:
        status: HTTP status to answer with.
        reason: machine-readable, from a fixed list (see docs/reference/router.md), for x-wattroute-reason.
        message: for a human; names the value and the remedy.
        retry_after_s: for Retry-After, or None to send none.
        code: the error body's ``code`` where it is a word of OpenAI's; None for the status, as vLLM has it.
        fields: further lines of the answer's head, each ended by CRLF.
    """

    status: int
    reason: str
    message: str
    retry_after_s: float | None = None
    code: str | None = None
    fields: bytes = b""
