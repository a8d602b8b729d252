"""What wrk prints is read right."""

from __future__ import annotations

import pytest

from tests.bench import wrk
from tests.bench.wrk import Shape

REPORT = """\
Running 5s test @ http://127.0.0.1:41437/v1/chat/completions
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.29ms  713.00us  22.51ms   90.31%
    Req/Sec    25.51k     2.21k   28.81k    80.39%
  Latency Distribution
     50%    1.19ms
     75%    1.42ms
     90%  980.00us
     99%    1.02s
  129472 requests in 5.10s, 118.54MB read
Requests/sec:  25386.12
Transfer/sec:     23.24MB
""".replace("1.02s", "1.02s ")  # wrk pads seconds to the width of its other units
ERRORS = """\
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 17
"""


def test_report_is_read() -> None:
    report = wrk.parse(REPORT)
    assert report.requests == 129472
    assert report.requests_per_s == 25386.12
    assert (report.p50_ms, report.p99_ms) == (1.19, 1020.0)
    assert report.failed == 0


def test_every_failure_counts() -> None:
    report = wrk.parse(REPORT.replace("Requests/sec", ERRORS + "Requests/sec"))
    assert (report.not_2xx, report.socket_errors) == (17, 10)
    assert report.failed == 27


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1", REPORT.replace("99%", "98%")])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wrk"):
        wrk.parse(text)


def test_units_of_latency() -> None:
    assert wrk.parse(REPORT.replace("1.19ms", "213.00us")).p50_ms == pytest.approx(0.213)
    assert wrk.parse(REPORT.replace("1.19ms", "1.50m")).p50_ms == pytest.approx(90_000)


def test_command_names_what_the_script_needs() -> None:
    words = wrk.command(Shape("tenants", 32, 1000, tenants=7), "http://h:1", seconds=4.0)
    assert words[words.index("--") :] == ["--", "tenants", "1000", "7"]
    assert {"-c32", "-d4s"} <= {*words}
