"""Lists, watches, and what follows what, by a scripted API; and by the fake API server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from router.discovery.endpoint import Found
from router.discovery.kube_api import KubeApi
from router.discovery.service_account import ServiceAccount
from router.discovery.watch import MAX_PAGES, RELIST_AFTER, Pace, SliceWatch, pause_s
from router.errors import DiscoveryError
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import kube_server, until

PATH = "/apis/discovery.k8s.io/v1/namespaces/llm/endpointslices"


@dataclass
class Sink:
    found: list[Found] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    heard_times: int = 0

    def told(self, found: Found) -> None:
        self.found.append(found)

    def heard(self) -> None:
        self.heard_times += 1

    def failed(self, reason: str) -> None:
        self.reasons.append(reason)

    def pods(self) -> list[list[str]]:
        return [[each.name for each in found.ready] for found in self.found]


@dataclass
class Api:
    """Answers from two scripts: pages, and what each watch does."""

    pages: list[Any] = field(default_factory=list)
    watches: list[Any] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    limits_s: list[float] = field(default_factory=list)

    async def get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        assert path == PATH
        self.asked.append({"verb": "list", **query})
        page = self.pages.pop(0)
        if isinstance(page, DiscoveryError):
            raise page
        return page

    async def watch(
        self,
        path: str,
        query: Mapping[str, str],
        take: Callable[[Mapping[str, Any]], None],
        *,
        begun: Callable[[], None],
        limit_s: float,
    ) -> None:
        assert path == PATH
        self.asked.append({"verb": "watch", **query})
        self.limits_s.append(limit_s)
        if not self.watches:
            await asyncio.Event().wait()
        script = self.watches.pop(0)
        if not isinstance(script, DiscoveryError):
            begun()
            for event in script:
                if isinstance(event, DiscoveryError):
                    raise event
                take(event)
        else:
            raise script

    def verbs(self) -> str:
        return " ".join(one["verb"] + ":" + one.get("resourceVersion", "") for one in self.asked)


def page(*pods: str, version: str = "10", more: str = "") -> dict[str, Any]:
    items = [made(pod) for pod in pods]
    return {"metadata": {"resourceVersion": version, **({"continue": more} if more else {})}, "items": items}


def made(pod: str, version: str = "1", **over: Any) -> dict[str, Any]:
    some = endpoint_slice(f"s-{pod}", endpoint(f"10.0.0.{ord(pod[0])}", pod), **over)
    some["metadata"]["resourceVersion"] = version
    return some


def event(kind: str, pod: str, version: str) -> dict[str, Any]:
    return {"type": kind, "object": made(pod, version)}


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "99"}}}
GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}


def following(api: Any, sink: Sink, *, port: str | int | None = None, watch_s: float = 240.0) -> SliceWatch:
    pace = Pace(watch_s, first_s=0.001, most_s=0.002)
    labels = {"kubernetes.io/service-name": "vllm"}
    clock = asyncio.get_running_loop().time
    return SliceWatch(api, "llm", labels, port, sink=sink, pace=pace, rng=random.Random(3), monotonic_s=clock)


async def run(api: Any, sink: Sink, is_done: Callable[[], bool]) -> None:
    task = asyncio.create_task(following(api, sink).run())
    try:
        await until(is_done)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_pages_are_put_together_and_watched_from_their_version() -> None:
    api, sink = Api([page("a", more="t1"), page("b")], [[event("ADDED", "c", "11"), BOOKMARK]]), Sink()
    await following(api, sink).step()
    assert sink.pods() == [["a", "b"], ["a", "b", "c"]]
    first, second, watch = api.asked
    assert (first["limit"], first["labelSelector"]) == ("100", "kubernetes.io/service-name=vllm")
    assert "continue" not in first
    assert second["continue"] == "t1"
    assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("10", "true")
    assert 192 <= int(watch["timeoutSeconds"]) <= 288
    assert api.limits_s == [int(watch["timeoutSeconds"]) + 10]


async def test_a_watch_that_ends_in_its_time_goes_on_from_the_last_version() -> None:
    api, sink = Api([page("a")], [[event("ADDED", "b", "11")], [BOOKMARK], []]), Sink()
    some = following(api, sink)
    for _ in range(3):
        await some.step()
    assert api.verbs() == "list: watch:10 watch:11 watch:99"


async def test_a_version_that_is_too_old_is_followed_by_a_list_that_replaces_everything() -> None:
    api, sink = Api([page("a", "b"), page("c", version="50")], [[GONE]]), Sink()
    await run(api, sink, lambda: len(api.asked) == 4)
    assert api.verbs() == "list: watch:10 list: watch:50"
    assert sink.pods() == [["a", "b"], ["c"]]
    assert sink.reasons == [], "it is part of the ordinary"


async def test_a_status_410_is_too_old_as_well() -> None:
    gone = DiscoveryError("h", "answered 410", status=410)
    api, sink = Api([page("a"), page("b", version="50")], [gone]), Sink()
    await run(api, sink, lambda: len(api.asked) == 4)
    assert api.verbs() == "list: watch:10 list: watch:50"


async def test_a_server_that_always_says_too_old_is_not_asked_without_pause() -> None:
    api, sink = Api([page("a")] * 9, [[GONE]] * 9), Sink()
    await run(api, sink, lambda: len(sink.reasons) >= 3)
    assert len(api.asked) <= 2 * (len(sink.reasons) + 2), "each time but the first is a failure, with its pause"


async def test_what_fails_is_tried_again_from_where_it_was() -> None:
    cut = DiscoveryError("h", "connection reset")
    api, sink = Api([page("a")], [[event("ADDED", "b", "11"), cut], cut]), Sink()
    await run(api, sink, lambda: len(api.asked) == 4)
    assert api.verbs() == "list: watch:10 watch:11 watch:11"
    assert sink.pods()[-1] == ["a", "b"]
    assert sink.reasons == ["h: connection reset"] * 2


async def test_one_that_has_failed_of_what_nobody_foresaw_lists_anew_when_it_is_begun_again() -> None:
    class Failing(Sink):
        def told(self, found: Found) -> None:
            super().told(found)
            if len(self.found) == 2:
                raise RuntimeError("boom")

    api, sink = Api([page("a"), page("b", version="20")], [[event("ADDED", "c", "11")]]), Failing()
    watch = following(api, sink)
    with pytest.raises(RuntimeError):
        await watch.run()
    task = asyncio.create_task(watch.run())
    try:
        await until(lambda: sink.pods() == [["a"], ["a", "c"], ["b"]])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_list_that_fails_is_no_empty_list() -> None:
    refused = DiscoveryError("h", "answered 403", status=403)
    api, sink = Api([refused, refused, page("a")]), Sink()
    await run(api, sink, lambda: bool(sink.found))
    assert (sink.pods(), len(sink.reasons)) == ([["a"]], 2)


async def test_after_many_failures_the_version_is_doubted() -> None:
    unknown = DiscoveryError("h", "Too large resource version", status=504)
    api, sink = Api([page("a"), page("b", version="3")], [unknown] * RELIST_AFTER), Sink()
    await run(api, sink, lambda: len(sink.found) == 2)
    assert api.verbs().startswith("list: " + "watch:10 " * RELIST_AFTER + "list:")


async def test_failures_with_events_between_them_are_not_in_a_row() -> None:
    cut = DiscoveryError("h", "connection reset")
    watches = [[event("MODIFIED", "a", str(11 + n)), cut] for n in range(2 * RELIST_AFTER)]
    api, sink = Api([page("a")], list(watches)), Sink()
    await run(api, sink, lambda: len(sink.reasons) == len(watches))
    assert [one["verb"] for one in api.asked].count("list") == 1


async def test_an_empty_list_is_obeyed() -> None:
    api, sink = Api([page()], [[]]), Sink()
    await following(api, sink).step()
    assert sink.pods() == [[]]


async def test_a_port_that_is_not_there_is_told_and_what_is_known_stays() -> None:
    renamed = {"type": "MODIFIED", "object": made("a", "11", ports={"api": 8000})}
    api, sink = Api([page("a")], [[renamed, BOOKMARK], []]), Sink()
    some = following(api, sink, port="http")
    await some.step()
    heard = sink.heard_times
    await some.step()
    assert sink.pods() == [["a"]]
    assert "no TCP port called 'http'" in sink.reasons[0]
    assert sink.heard_times == heard, "what is known is not confirmed by a server that merely answers"


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ([{"items": []}], "no list of objects"),
        ([{"metadata": {}, "items": {}}], "without resourceVersion"),
        ([{"metadata": {}, "items": {"a": 1}}], "no list of objects"),
        ([page(more="t")] * MAX_PAGES, "more than 50 pages"),
        ([{"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {}}]}], "not an EndpointSlice"),
    ],
)
async def test_a_list_that_cannot_be_used_is_a_failure(pages: list[Any], reason: str) -> None:
    sink = Sink()
    with pytest.raises(DiscoveryError, match=reason):
        await following(Api(pages), sink).step()
    assert sink.found == []


def test_pauses_double_with_each_failure_up_to_a_most() -> None:
    rng, pace = random.Random(1), Pace(first_s=0.5, most_s=30.0)
    for failures, most_s in ((1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (5000, 30.0)):
        pauses = [pause_s(failures, pace, rng) for _ in range(50)]
        assert most_s / 2 <= min(pauses) < max(pauses) <= most_s


def test_a_server_that_says_when_to_come_again_is_not_asked_before() -> None:
    rng, pace = random.Random(1), Pace()
    pauses = [pause_s(1, pace, rng, 20.0) for _ in range(50)]
    assert 20.0 <= min(pauses) < max(pauses) <= 25.0


async def test_it_follows_a_server() -> None:
    async with kube_server() as server:
        server.watches.bookmark_every_s = 0.05
        server.store.create(ENDPOINT_SLICES, "llm", made_new("a"))
        server.store.create(ENDPOINT_SLICES, "other", made_new("x"))
        server.store.create(ENDPOINT_SLICES, "llm", made_new("y", service="another"))
        api, sink = KubeApi(ServiceAccount(server.url, None, None, None)), Sink()
        task = asyncio.create_task(following(api, sink, watch_s=1).run())
        await until(lambda: bool(server.watches.open))
        server.store.create(ENDPOINT_SLICES, "llm", made_new("b"))
        await until(lambda: sink.pods()[-1:] == [["a", "b"]])
        await server.kill()
        await until(lambda: len(sink.reasons) >= 2)
        server.store.delete(ENDPOINT_SLICES, "llm", "s-a")
        server.store.compact()
        await server.start()
        await until(lambda: sink.pods()[-1:] == [["b"]])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()
    assert sink.pods() == [["a"], ["a", "b"], ["b"]]


def made_new(pod: str, **over: Any) -> dict[str, Any]:
    some = made(pod, **({"service": "vllm"} | over))
    del some["metadata"]["resourceVersion"]
    return some
