import math

from prometheus_client import CollectorRegistry

from controller.grid.loss import LinkState
from controller.grid.site_limit import site_limit
from controller.metrics.grid import MAX_SOURCES, GridMetrics
from controller.model.grid import GridEvent
from controller.signals.calls import CallBook
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

PREFIX = "wattroute_controller_grid_"


def metrics():
    registry = CollectorRegistry()
    return GridMetrics(registry), lambda name, **labels: registry.get_sample_value(PREFIX + name, labels)


def test_what_is_not_known_is_not_zero():
    _, value = metrics()
    assert all(math.isnan(value(name)) for name in ("limit_watts", "next_limit_watts", "baseline_watts", "unresolved"))


def test_sources_and_their_default_limits():
    shown, value = metrics()
    default = GridEvent("lost:vtn:dr", 5000.0, NOW_S + 60, NOW_S + 1e6, NOW_S)
    state = LinkState("vtn", 400.0, NOW_S - 400, True, (default,))
    shown.show_sources((state,), NOW_S)
    assert (value("source_lost", source="vtn"), value("source_silent_seconds", source="vtn")) == (1.0, 400.0)
    assert value("default_limit", source="vtn") == 0.0
    shown.show_sources((state,), NOW_S + 60)
    assert value("default_limit", source="vtn") == 1.0
    many = tuple(LinkState(f"s{n}", 0.0, None, False) for n in range(100))
    shown.show_sources(many, NOW_S)
    assert value("source_lost", source=f"s{MAX_SOURCES}") is None


def test_calls_by_state():
    shown, value = metrics()
    book = CallBook(ListRecorder())
    book.submit(call("a"), NOW_S)
    book.submit(call("b", interval(60.0)), NOW_S)
    book.opt_out("operator", "b", "no", NOW_S)
    shown.show_calls(book.calls(NOW_S), NOW_S)
    counts = {state: value("calls", state=state) for state in ("pending", "active", "opted_out", "cancelled")}
    assert counts == {"pending": 0.0, "active": 1.0, "opted_out": 1.0, "cancelled": 0.0}
    assert value("unresolved") == 0.0


def test_the_limit_and_the_next_one():
    shown, value = metrics()
    event = GridEvent("e", 9000.0, NOW_S + 60, NOW_S + 600, NOW_S, baseline_w=20_000.0)
    shown.show_limit(site_limit((event,), None, NOW_S, NOW_S + 1e5), NOW_S)
    assert math.isnan(value("limit_watts"))
    assert (value("next_limit_watts"), value("next_limit_start_seconds")) == (9000.0, NOW_S + 60)
    shown.show_limit(site_limit((event,), None, NOW_S + 60, NOW_S + 1e5), NOW_S + 60)
    assert (value("limit_watts"), value("baseline_watts")) == (9000.0, 20_000.0)
    assert math.isnan(value("next_limit_watts"))
    assert value("next_limit_start_seconds") == NOW_S + 600


def test_counters_follow_and_never_fall():
    shown, value = metrics()
    assert value("calls_refused_total", cause="out_of_bounds") == 0.0
    shown.count({"out_of_bounds": 2}, {"present": 1})
    shown.count({"out_of_bounds": 3, "no such cause": 4}, {"present": 1})
    assert value("calls_refused_total", cause="out_of_bounds") == 3.0
    assert value("calls_refused_total", cause="other") == 4.0
    assert value("references_total", origin="present") == 1.0


def test_calls_that_are_followed_in_part_are_counted_while_they_go_on():
    shown, value = metrics()
    book = CallBook(ListRecorder())
    book.submit(call("a"), NOW_S)
    book.follow_in_part("operator", "a", 10_000.0, "a launch", NOW_S)
    counts = []
    for at_s in (NOW_S, NOW_S + 600):
        shown.show_calls(book.calls(at_s), at_s)
        counts.append(value("calls_in_part"))
    assert counts == [1.0, 0.0]
