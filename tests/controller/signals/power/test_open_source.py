from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.signals.power.open_source import FORMS, open_source, parse_source
from tests.fakes.http_stub import http_stub


async def test_a_short_text_opens_a_source(tmp_path):
    async with http_stub() as stub:
        stub.set("/metrics", 'my_watts{id="A"} 300\n')
        text = f"dcgm={stub.url}/metrics?power=my_watts&label=id&collect=gpu"
        async with open_source(text, SystemClock()) as source:
            readings, errors = await source.read(1000.0)
    assert (readings["A"].value_w, errors) == (300.0, ())
    assert stub.requests == ["GET /metrics?collect=gpu"]
    file = tmp_path / "power.csv"
    file.write_text("time,uuid,power_w\n0,A,100\n")
    async with open_source(f"csv={file}", clock := SystemClock()) as source:
        assert (await source.read(clock.wall_s()))[0]["A"].value_w == 100.0


def test_options_of_a_source():
    spec = parse_source("promql=https://prom:9090/base?token_file=/run/t&user=op&ca_file=/ca.pem", timeout_s=0.5)
    assert spec.url == "https://prom:9090/base"
    assert (spec.http.token_file, spec.http.user, spec.http.timeout_s) == (Path("/run/t"), "op", 0.5)
    own = parse_source("promql=http://prom:9090?power=watts[1m]&label=id").queries
    assert (own.power, own.energy, own.uuid_labels) == ("watts[1m]", None, ("id",))


@pytest.mark.parametrize("text", ["", "dcgm", "dcgm=", "meter=http://a", "http://a"])
def test_a_text_that_names_no_source_is_told_the_forms(text):
    with pytest.raises(ConfigError, match="write one of") as caught:
        parse_source(text)
    assert all(form in str(caught.value) for form in FORMS)


def test_an_address_that_is_none_or_carries_a_password_is_refused_without_telling_it():
    with pytest.raises(ConfigError, match=r"write http://HOST:PORT"):
        parse_source("dcgm=10.0.0.7:9400")
    with pytest.raises(ConfigError, match="write user and token_file") as caught:
        parse_source("dcgm=http://me:s3cret@host/metrics")
    assert "s3cret" not in str(caught.value)


async def test_a_file_that_cannot_be_used_ends_the_opening():
    with pytest.raises(ConfigError, match="no such file"):
        async with open_source("csv=/absent.csv", SystemClock()):
            raise AssertionError("nothing is opened")
