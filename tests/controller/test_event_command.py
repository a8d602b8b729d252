import json
from datetime import UTC, datetime, timedelta

import pytest

from controller.errors import ConfigError
from controller.event_command import (
    Access,
    CurtailOptions,
    RequestRefused,
    change,
    curtail,
    events,
    lines_of,
    request_of,
    seconds,
    start_of,
    watts,
)

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)


def options(**changes):
    plain = dict.fromkeys(("to", "by", "level", "at", "ramp", "event_id"))
    plain |= {"duration": "30m", "programme": "operator", "is_test": False, "dry_run": False, "as_json": False}
    return CurtailOptions(**{**plain, **changes})


@pytest.mark.parametrize(("text", "value"), [("40kW", 4e4), ("0.04 MW", 4e4), ("800W", 800.0)])
def test_power_with_its_unit(text, value):
    assert watts(text, "--to") == pytest.approx(value)


@pytest.mark.parametrize("text", ["40", "40 kw", "-4kW", "4kWh", "1e3W", ""])
def test_power_without_one_is_refused(text):
    with pytest.raises(ConfigError, match=r"--to .* is no power; write it with its unit"):
        watts(text, "--to")


@pytest.mark.parametrize(
    ("text", "value"), [("30m", 1800.0), ("1h30m", 5400.0), ("90s", 90.0), ("2d", 172_800.0), ("0.5h", 1800.0)]
)
def test_durations(text, value):
    assert seconds(text, "--for") == value


@pytest.mark.parametrize("text", ["30", "m", "", "0m", "-5m", "30 minutes", "5s3m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match=r"--for .* is no duration"):
        seconds(text, "--for")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("17:00", NOW.replace(hour=17, minute=0)),
        ("16:30", NOW + timedelta(days=1)),
        ("09:15", NOW.replace(day=15, hour=9, minute=15)),
        ("2026-07-15T08:00:00+02:00", datetime(2026, 7, 15, 6, tzinfo=UTC)),
        ("2026-07-14T18:00", NOW.replace(hour=18, minute=0)),
    ],
)
def test_the_start_on_the_operators_clock(text, start):
    assert start_of(text, NOW) == start


@pytest.mark.parametrize(("text", "problem"), [("25:00", "is no time"), ("soon", "is no time"), ("2020-01-01", "ago")])
def test_a_start_that_is_none(text, problem):
    with pytest.raises(ConfigError, match=problem):
        start_of(text, NOW)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"to": "40kW"}, {"limit_w": 4e4}),
        ({"by": "25%"}, {"below_baseline_frac": 0.25}),
        ({"by": "10kW"}, {"below_baseline_w": 1e4}),
        ({"level": 2, "programme": "dr"}, {"level": 2, "programme": "dr"}),
        ({"level": 0}, {"level": 0}),
        ({"to": "1kW", "ramp": "5m"}, {"limit_w": 1e3, "ramp_s": 300.0}),
        ({"to": "1kW", "at": "17:00"}, {"limit_w": 1e3, "start": "2026-07-14T17:00:00+00:00"}),
        ({"to": "1kW", "is_test": True}, {"limit_w": 1e3, "is_test": True}),
        ({"to": "1kW", "dry_run": True, "event_id": "e"}, {"limit_w": 1e3, "dry_run": True, "event_id": "e"}),
    ],
)  # fmt: skip
def test_what_is_sent(changes, body):
    assert request_of(options(**changes), NOW) == {"duration_s": 1800.0, "programme": "operator", **body}


@pytest.mark.parametrize("changes", [{}, {"to": "1kW", "by": "5%"}, {"to": "1kW", "level": 0}, {"by": "125%"}])
def test_contradictions_are_refused(changes):
    with pytest.raises(ConfigError, match=r"say once how far|more than everything"):
        request_of(options(**changes), NOW)


def event(**changes):
    limit = {"limit_w": 4e4, "start_s": NOW.timestamp(), "end_s": 2.534e11, "ramp_s": 30.0}
    return {
        "event_id": "e", "state": "active", "source": "operator", "programme": "operator", "is_test": False,
        "limits": [limit], "baseline_w": 5e4, "baseline_origin": "programme", "raised_to_least": [], "unresolved": [],
        "opted_out": None, **changes,
    }  # fmt: skip


def test_what_is_shown_of_an_event():
    assert lines_of(event(dry_run=True, present_w=4.8e4, is_test=True), NOW) == [
        "e: would be active, operator, programme operator, a test",
        "  at most 40.000 kW from 16:30:00 to further notice, met within 30 s",
        "  baseline 50.000 kW (programme)",
        "  drawn now 48.000 kW",
    ]
    amiss = event(
        limits=[], baseline_w=None, opted_out="a launch", raised_to_least=["e#1"],
        unresolved=[{"start_s": NOW.timestamp() + 86_400, "reason": "the baseline is not known"}],
    )  # fmt: skip
    assert lines_of(amiss, NOW)[1:] == [
        "  raised to the least limit of the programme: e#1",
        "  not followed from 2026-07-15 16:30:00: the baseline is not known",
        "  not followed: a launch",
    ]


@pytest.fixture
def controller(tmp_path):
    """A thread that plays a controller: each path answers what the test puts there."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        answers, seen = {}, []

        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            self.seen.append((self.command, self.path, self.rfile.read(length), self.headers.get("Authorization")))
            status, body = self.answers.get(self.path, (404, b'{"error": {"message": "no such thing"}}'))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_call_goes_to_the_controller_of_the_named_site(controller, capsys):
    url, told = controller
    told.answers = {"/v1/site": (200, b'{"site": "s"}'), "/v1/events": (201, json.dumps(event()).encode())}
    environment = {"WATTROUTE_CONTROLLER_TOKEN": "0123456789abcdef"}
    curtail(Access(url, site="s"), options(to="40kW"), environment, NOW)
    method, path, body, authorization = told.seen[-1]
    assert (method, path, authorization) == ("POST", "/v1/events", "Bearer 0123456789abcdef")
    assert json.loads(body)["limit_w"] == 4e4
    assert "at most 40.000 kW" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"--site other: .* is the controller of s"):
        curtail(Access(url, site="other"), options(to="40kW"), environment, NOW)
    assert len(told.seen) == 3, "nothing was sent to the wrong site"


def test_events_are_listed_and_changed(controller, capsys):
    url, told = controller
    told.answers = {"/v1/events": (200, b'{"events": []}'), "/v1/events/e": (200, json.dumps(event()).encode())}
    events(Access(None), {"WATTROUTE_CONTROLLER_URL": url}, NOW, as_json=False)
    assert "no events are pending" in capsys.readouterr().out
    change(Access(url), {}, NOW, ("DELETE", "/v1/events/e", None))
    assert told.seen[-1][:2] == ("DELETE", "/v1/events/e")
    assert "at most 40.000 kW" in capsys.readouterr().out
    told.answers["/v1/events"] = (200, json.dumps({"events": [event()]}).encode())
    events(Access(url), {}, NOW, as_json=True)
    assert json.loads(capsys.readouterr().out)["events"][0]["event_id"] == "e"


def test_a_large_list_is_read_to_its_end(controller, capsys):
    url, told = controller
    many = [event(event_id=f"e-{number}", opted_out="a launch " * 100) for number in range(1000)]
    told.answers["/v1/events"] = (200, json.dumps({"events": many}).encode())
    events(Access(url), {}, NOW, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["events"]) == 1000


def test_an_endless_answer_is_cut(controller):
    url, told = controller
    told.answers["/v1/events"] = (200, b" " * ((4 << 20) + 1))
    with pytest.raises(RequestRefused, match=r"events: 200, more than 4194304 bytes: is this the controller's port"):
        events(Access(url), {}, NOW, as_json=False)


def test_what_goes_wrong_is_told(controller):
    url, told = controller
    with pytest.raises(RequestRefused, match="404: no such thing"):
        change(Access(url), {}, NOW, ("DELETE", "/v1/events/e", None))
    told.answers["/v1/events"] = (200, b"<html>")
    with pytest.raises(RequestRefused, match="is this the controller's port"):
        events(Access(url), {}, NOW, as_json=False)
    with pytest.raises(RequestRefused, match=r"does not answer.*--controller"):
        events(Access("http://127.0.0.1:9"), {}, NOW, as_json=False)


def test_address_and_token_come_from_the_configuration(controller, tmp_path):
    url, told = controller
    told.answers["/v1/events"] = (200, b'{"events": []}')
    (tmp_path / "token").write_text("a-token-of-an-operator")
    port = url.rsplit(":", 1)[1]
    (tmp_path / "c.yaml").write_text(
        f"pools: [{{name: p, precision: bf16, instances: ['http://127.0.0.1:1']}}]\nclasses: [{{name: c}}]\n"
        f"controller: {{host: 0.0.0.0, port: {port}, token_file: {tmp_path}/token}}\n"
    )
    events(Access(config=tmp_path / "c.yaml"), {}, NOW, as_json=False)
    assert told.seen[-1][3] == "Bearer a-token-of-an-operator"
