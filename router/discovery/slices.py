"""From EndpointSlices (discovery.k8s.io/v1) to the engines of a pool. Pure.

What conditions mean is as the API documents them: ready counts as true where it is not told, serving as ready, and
terminating as false. An endpoint that is terminating takes no new requests, whatever else it says (a Service with
publishNotReadyAddresses says ready of it, too). One endpoint may stand in several slices, while it is moved from one
to another, and once for each address family: it then counts once, by its IPv4 address, and as terminating if one of
them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from router.discovery.endpoint import Endpoint, Found

MAX_ENDPOINTS = 512
"""As many as a pool can list."""
_FAMILIES = ("IPv4", "IPv6")


class State(IntEnum):
    """Where an endpoint stands; a later one outweighs those before where slices differ."""

    UNREADY = 0
    READY = 1
    DRAINING = 2
    ENDED = 3
    """It is terminating and serves no more."""


@dataclass(frozen=True, slots=True)
class SlicePort:
    """One port of a slice; the name is empty for one that has none."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a slice.

    Attributes:
        pod: name of its pod; empty where it has none.
        identity: what is the same in all slices that it is in; empty where nothing is but its address.
    """

    pod: str
    identity: str
    host: str
    state: State


@dataclass(frozen=True, slots=True)
class Slice:
    """What is kept of one EndpointSlice."""

    name: str
    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[SliceEndpoint, ...]


def read_slice(found: Mapping[str, Any]) -> Slice:
    """What is needed of an EndpointSlice.

    Raises:
        ValueError: it is none.
    """
    try:
        return Slice(
            name=str(found["metadata"]["name"]),
            family=str(found.get("addressType", "")),
            ports=tuple(
                SlicePort(str(port.get("name") or ""), int(port["port"]))
                for port in found.get("ports") or ()
                if port.get("port") and port.get("protocol", "TCP") == "TCP"
            ),
            endpoints=tuple(_endpoint(item) for item in found.get("endpoints") or () if item.get("addresses")),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not an EndpointSlice: {type(error).__name__}: {error}") from error


def _endpoint(item: Mapping[str, Any]) -> SliceEndpoint:
    target = item.get("targetRef") or {}
    pod = str(target.get("name") or "") if target.get("kind") == "Pod" else ""
    # A StatefulSet's pods follow each other under one name, each with a uid of its own.
    identity = str(target.get("uid") or pod) if pod else ""
    # All addresses of an endpoint lead to the same; a consumer takes the first.
    return SliceEndpoint(pod, identity, str(item["addresses"][0]), _state(item.get("conditions") or {}))


def _state(conditions: Mapping[str, Any]) -> State:
    ready = conditions.get("ready")
    is_ready = ready is None or bool(ready)
    serving = conditions.get("serving")
    if conditions.get("terminating"):
        return State.DRAINING if (is_ready if serving is None else serving) else State.ENDED
    return State.READY if is_ready else State.UNREADY


def find(slices: Iterable[Slice], port: str | int | None) -> Found:
    """The engines that slices tell of.

    Args:
        slices: all those of one pool.
        port: name or number; None for the only one of each slice.

    Raises:
        ValueError: there are endpoints, but not one of them has the port; the text names those there are.
    """
    best: dict[str, tuple[State, int, Endpoint]] = {}
    problems: list[str] = []
    unusable: set[str] = set()
    is_any = False
    for each in sorted(slices, key=lambda item: item.name):
        if not each.endpoints:
            continue
        if each.family not in _FAMILIES:
            problems.append(f"EndpointSlice {each.name} has addresses of type {each.family!r}, which cannot be used")
            unusable |= _ready_keys(each)
            continue
        number = _number_of(each, port)
        if isinstance(number, str):
            problems.append(number)
            unusable |= _ready_keys(each)
            continue
        is_any = True
        for item in each.endpoints:
            _add(best, item, _FAMILIES.index(each.family), number)
    if problems and not is_any:
        raise ValueError(problems[0])
    return _found(best.values(), problems, len(unusable - best.keys()))


def _ready_keys(found: Slice) -> set[str]:
    return {each.identity or each.host for each in found.endpoints if each.state is State.READY}


def _add(best: dict[str, tuple[State, int, Endpoint]], item: SliceEndpoint, family: int, number: int) -> None:
    made = Endpoint(item.pod, item.host, number)
    key = item.identity or made.address
    known = best.get(key)
    if known is None:
        best[key] = (item.state, family, made)
        return
    state, known_family, known_made = known
    first = (family, made) < (known_family, known_made)
    best[key] = (max(state, item.state), *((family, made) if first else (known_family, known_made)))


def _found(best: Iterable[tuple[State, int, Endpoint]], problems: list[str], unusable: int) -> Found:
    states = list(best)
    by_address = {made.address: made for state, _, made in states if state is State.READY}
    ready = sorted(by_address.values())
    if len(ready) > MAX_ENDPOINTS:
        problems.append(f"{len(ready)} endpoints are ready; the first {MAX_ENDPOINTS} by name are used")
    return Found(
        ready=tuple(ready[:MAX_ENDPOINTS]),
        draining=sum(state is State.DRAINING for state, _, _ in states),
        unready=sum(state in (State.UNREADY, State.ENDED) for state, _, _ in states),
        problems=tuple(problems),
        left_out=unusable + len(ready[MAX_ENDPOINTS:]),
        starting=tuple(sorted(made for state, _, made in states if state is State.UNREADY))[:MAX_ENDPOINTS],
    )


def _number_of(found: Slice, port: str | int | None) -> int | str:
    """The port's number, or what is wrong with it."""
    if isinstance(port, int):
        return port
    told = ", ".join(f"{each.name or 'unnamed'} ({each.number})" for each in found.ports) or "none"
    if port is None:
        if len(found.ports) == 1:
            return found.ports[0].number
        return f"EndpointSlice {found.name} has not one TCP port, but {told}; write the one of the engines as port"
    number = next((each.number for each in found.ports if each.name == port), None)
    if number is None:
        return f"EndpointSlice {found.name} has no TCP port called {port!r}; it has {told}"
    return number
