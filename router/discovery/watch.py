"""Follows the EndpointSlices of one pool: a list, and from its version on watches, for as long as the router runs.

A watch ends in its time, and the next goes on from the last version told. Where the server has forgotten that version
(410) everything is listed anew, and what the list does not name is gone. Everything else that fails is tried again,
later each time; what is known stays meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from router.backoff import backoff_s
from router.discovery.endpoint import FoundSink
from router.discovery.slices import find, read_slice
from router.discovery.watch_cache import GONE, WatchCache
from router.errors import DiscoveryError

log = logging.getLogger(__name__)

PAGE = 100
MAX_PAGES = 50
GRACE_S = 10.0
"""How long a watch may outlast the time it was asked for: the server or the way to it is then frozen."""
SHORT_S = 1.0
"""A watch that ends sooner by itself is not begun anew at once."""
RELIST_AFTER = 5
"""Failures in a row after which the version, too, is doubted: a cluster that was restored from a copy knows none that
is later."""


class Api(Protocol):
    """Reads of the Kubernetes API; `router.discovery.kube_api.KubeApi` is one."""

    async def get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """One answer; raises DiscoveryError."""

    async def watch(
        self,
        path: str,
        query: Mapping[str, str],
        take: Callable[[Mapping[str, Any]], None],
        *,
        begun: Callable[[], None],
        limit_s: float,
    ) -> None:
        """Events until the watch ends; raises DiscoveryError."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long watches last, and the pauses after failures.

    Attributes:
        watch_s: a watch lasts so long, up to a fifth more or less.
        first_s: pause after the first failure; it doubles with each.
        most_s: longest pause.
    """

    watch_s: float = 240.0
    first_s: float = 0.5
    most_s: float = 30.0


def pause_s(failures: int, pace: Pace, rng: random.Random, retry_after_s: float | None = None) -> float:
    """How long to wait after so many failures in a row: between half and the whole of what doubles with each.

    Where the server says when it wants to be asked again, not before that, and up to a quarter later.
    """
    own_s = backoff_s(failures, rng.random(), first_s=pace.first_s, longest_s=pace.most_s)
    return own_s if retry_after_s is None else max(own_s, retry_after_s * rng.uniform(1.0, 1.25))


class SliceWatch:
    """One pool's.

    Args:
        api: asks the API server.
        namespace: of the slices.
        selector: labels that the slices have.
        port: of the engines, by name or number; None for the only one.
        sink: takes what is found.
        pace: of watches and pauses.
        rng: spreads them.
        monotonic_s: the clock of durations.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        selector: Mapping[str, str],
        port: str | int | None,
        *,
        sink: FoundSink,
        pace: Pace,
        rng: random.Random,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._api = api
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._selector = ",".join(f"{key}={value}" for key, value in selector.items())
        self._port = port
        self._sink = sink
        self._pace = pace
        self._rng = rng
        self._monotonic_s = monotonic_s
        self._cache = WatchCache(self._path, read_slice)
        self._failures = 0
        self._has_port = False

    async def run(self) -> None:
        """Follow until cancelled; begun again, from a list on."""
        self._cache.version = None
        while True:
            began_s = self._monotonic_s()
            try:
                await self.step()
                if self._monotonic_s() - began_s < SHORT_S:
                    await asyncio.sleep(self._pace.first_s)
            except DiscoveryError as error:
                await asyncio.sleep(self._failed(error))

    async def step(self) -> None:
        """List where nothing is known, then watch until that ends.

        Raises:
            DiscoveryError: either failed.
        """
        if self._cache.version is None:
            await self._list()
        watch_s = max(1, round(self._pace.watch_s * self._rng.uniform(0.8, 1.2)))
        query = {
            "labelSelector": self._selector,
            "resourceVersion": self._cache.version or "",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(watch_s),
        }
        await self._api.watch(self._path, query, self._take, begun=self._heard, limit_s=watch_s + GRACE_S)
        self._failures = 0
        self._heard()

    def _failed(self, error: DiscoveryError) -> float:
        """Note a failure; gives the pause until the next try."""
        self._failures += 1
        if error.status == GONE or self._failures % RELIST_AFTER == 0:
            self._cache.version = None
        if error.status == GONE and self._failures == 1:
            log.info("discovery lists anew", extra={"reason": str(error)})
            return 0.0
        self._sink.failed(str(error))
        return pause_s(self._failures, self._pace, self._rng, error.retry_after_s)

    async def _list(self) -> None:
        query = {"labelSelector": self._selector, "limit": str(PAGE)}
        items: list[Mapping[str, Any]] = []
        for _ in range(MAX_PAGES):
            page = await self._api.get(self._path, query)
            metadata, found = page.get("metadata"), page.get("items") or []
            if not isinstance(metadata, Mapping) or not isinstance(found, list):
                raise DiscoveryError(self._path, "an answer that is no list of objects: this is no Kubernetes API")
            items += found
            if not metadata.get("continue"):
                break
            query["continue"] = str(metadata["continue"])
        else:
            raise DiscoveryError(self._path, f"more than {MAX_PAGES} pages; narrow the selector")
        version = metadata.get("resourceVersion")
        if not version:
            raise DiscoveryError(self._path, "a list without resourceVersion: this is no Kubernetes API")
        self._cache.replace(items, str(version))
        self._tell()

    def _take(self, event: Mapping[str, Any]) -> None:
        changed = self._cache.apply(event)
        # Not by a list alone: a server that answers each watch with 410 would be asked without pause.
        self._failures = 0
        if changed:
            self._tell()
        else:
            self._heard()

    def _tell(self) -> None:
        try:
            found = find(self._cache.objects.values(), self._port)
        except ValueError as error:
            self._has_port = False
            self._sink.failed(str(error))
        else:
            self._has_port = True
            self._sink.told(found)

    def _heard(self) -> None:
        if self._has_port:
            self._sink.heard()
