"""A snapshot in which every metric of the router has a value."""

from __future__ import annotations

from router.contract import InstanceId
from router.dispatch import Dispatcher, Outcome
from router.histogram import Histogram
from router.metrics import COUNTERS, GAUGES, SUMS
from router.snapshot import ConfigView, DiscoveryView, LoadsView, RedisView, Snapshot
from router.tenants.counts import TenantCounts
from tests.fakes.routing import NOW_S, ask, choose, fail, finish, router_file, table


def full_snapshot() -> Snapshot:
    dispatcher = Dispatcher(router_file({"bf16": 1, "fp8": 1}))
    request = ask(dispatcher)
    finish(dispatcher, choose(dispatcher, request), request, output_tokens=50)
    fail(dispatcher, request, Outcome.RESET)
    dispatcher.count_retry(Outcome.RESET)
    dispatcher.apply_table(table({"standard": {"bf16": 1.0}}), NOW_S)
    dispatcher.refuse_table("malformed")
    dispatcher.count_refusal("bad_request")
    dispatcher.probed(InstanceId("bf16-0"), ok=True, load=None, now_s=NOW_S)
    snapshot = dispatcher.state(NOW_S)
    snapshot.counters = dict.fromkeys(COUNTERS, 1)
    snapshot.gauges = dict.fromkeys(GAUGES, 0.5)
    snapshot.sums = dict.fromkeys(SUMS, 2.0)
    snapshot.engine_connections = {"busy": 1, "idle": 1}
    snapshot.overhead = Histogram((0.001, 0.1), [1, 1, 0], 0.05)
    snapshot.config = ConfigView({"0123456789ab": 1}, NOW_S, {"taken": 1, "refused": 0, "unchanged": 0})
    snapshot.tenants = [TenantCounts("team-a", requests=1, refused={"rate_limited": 1})]
    snapshot.loads = LoadsView("shared", age_s=1.5, routers=3, agreed=2, refused=1)
    snapshot.redis = RedisView({"energy": "%R~wattroute:allocation:energy"}, name_taken=True)
    found = {"ready": 2, "draining": 1, "unready": 0, "left_out": 0}
    snapshot.discovery = [DiscoveryView("bf16", "kubernetes", told=True, age_s=3.0, endpoints=found, failures=4)]
    return snapshot
