"""What is written is read back by Prometheus' own parsers."""

from __future__ import annotations

import math

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from router.exposition import OPENMETRICS_TYPE, TEXT_TYPE, Family, exposition


def some_families() -> list[Family]:
    served = Family("x_served", "counter", "Requests served.", ("pool_id",))
    served.add(3, "a")
    served.add(4.5, 'odd "name" \\ with\nline')
    age = Family("x_age_seconds", "gauge", "Age.")
    age.add(math.inf)
    wait = Family("x_wait_seconds", "histogram", "Waiting.", ("class_id",))
    wait.add_buckets((0.1, 1), [2, 0, 1], 7.25, "gold")
    plain = Family("x_size_bytes", "histogram", "Sizes.")
    plain.add_buckets((8,), [0, 0], 0)
    return [served, age, wait, plain]


@pytest.mark.parametrize(
    ("accept", "type_", "read"),
    [
        ("", TEXT_TYPE, read_text),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT_TYPE, read_text),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.3", OPENMETRICS_TYPE, read_openmetrics),
    ],
)
def test_both_formats_are_read_back(accept: str, type_: str, read) -> None:
    body, told = exposition(some_families(), accept)
    assert told == type_
    families = {family.name: family for family in read(body.decode())}
    assert {name: family.type for name, family in families.items()} == {
        "x_served": "counter",
        "x_age_seconds": "gauge",
        "x_wait_seconds": "histogram",
        "x_size_bytes": "histogram",
    }
    assert families["x_served"].documentation == "Requests served."
    assert [(sample.name, sample.labels, sample.value) for sample in families["x_served"].samples] == [
        ("x_served_total", {"pool_id": "a"}, 3.0),
        ("x_served_total", {"pool_id": 'odd "name" \\ with\nline'}, 4.5),
    ]
    assert families["x_age_seconds"].samples[0].value == math.inf


def test_buckets_are_cumulative_and_end_with_all() -> None:
    body, _ = exposition(some_families())
    families = {family.name: family for family in read_text(body.decode())}
    assert [(sample.name, sample.labels, sample.value) for sample in families["x_wait_seconds"].samples] == [
        ("x_wait_seconds_bucket", {"class_id": "gold", "le": "0.1"}, 2.0),
        ("x_wait_seconds_bucket", {"class_id": "gold", "le": "1.0"}, 2.0),
        ("x_wait_seconds_bucket", {"class_id": "gold", "le": "+Inf"}, 3.0),
        ("x_wait_seconds_sum", {"class_id": "gold"}, 7.25),
        ("x_wait_seconds_count", {"class_id": "gold"}, 3.0),
    ]


def test_a_sample_with_a_label_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Family("x", "gauge", "X.", ("a", "b")).add(1.0, "only a")


def test_only_openmetrics_has_an_end() -> None:
    assert exposition([], "application/openmetrics-text")[0] == b"# EOF\n"
    assert exposition([])[0] == b""
