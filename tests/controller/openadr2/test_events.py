from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.model.call import Asked
from controller.model.grid import FOREVER_S
from controller.openadr2.events import meaning
from controller.openadr2.specs import Ven2Spec

START = datetime(2026, 7, 1, 17, 0, tzinfo=UTC)
START_S = START.timestamp()
KW = {"name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"}
USD = {"name": "currencyPerKWh", "description": "currencyPerKWh", "unit": "USD", "scale": "none"}
SPEC = Ven2Spec("utility", "https://vtn", "site-1", {"http://dr": "dr"}, resources=("hall",))
OWN = frozenset(("site-1", "hall", "ven-1"))


def signal(name="SIMPLE", kind="level", values=(2.0,), measurement=None, **interval):
    each = {"duration": timedelta(minutes=10), **interval}
    found = {"signal_name": name, "signal_type": kind, "signal_id": "s"}
    found["intervals"] = [{**each, "uid": n, "signal_payload": value} for n, value in enumerate(values)]
    return found | ({"measurement": measurement} if measurement else {})


def event(*signals, targets=None, tolerance=None, **descriptor):
    described = {
        "event_id": "e1",
        "modification_number": 0,
        "event_status": "far",
        "market_context": "http://dr",
        "priority": 0,
        "test_event": False,
        "created_date_time": START - timedelta(hours=1),
    }
    period = {"dtstart": START, "duration": timedelta(minutes=20)}
    if tolerance is not None:
        period["tolerance"] = {"tolerance": {"startafter": tolerance}}
    found = {"event_descriptor": {**described, **descriptor}, "active_period": period}
    found["event_signals"] = list(signals or (signal(),))
    return found | ({"targets_by_type": targets} if targets else {})


def asked(*signals, **fields):
    call = meaning(event(*signals, **fields), SPEC, OWN, START_S).call
    return [(i.start_s - START_S, i.end_s - START_S, i.commitment.asked, i.commitment.value) for i in call.intervals]


def test_a_level_is_the_programmes_and_0_asks_for_nothing():
    assert asked(signal(values=(2.0, 0.0))) == [(0, 600, Asked.LEVEL, 2.0), (600, 1200, Asked.NOTHING, 0.0)]


def test_a_setpoint_is_a_cap_and_a_delta_less_than_is_drawn():
    assert asked(signal("LOAD_DISPATCH", "setpoint", (12.0,), KW)) == [(0, 600, Asked.AT_MOST_W, 12_000.0)]
    delta = asked(signal("LOAD_DISPATCH", "delta", (-3.0, 4.0), KW))
    assert [each[2:] for each in delta] == [(Asked.BELOW_PRESENT_W, 3000.0), (Asked.NOTHING, 0.0)]


def test_a_dispatch_counts_before_the_levels_beside_it():
    for signals in ((signal(), signal("LOAD_DISPATCH", "setpoint", (12.0,), KW)),):
        assert asked(*signals)[0][2] is Asked.AT_MOST_W
        assert asked(*reversed(signals))[0][2] is Asked.AT_MOST_W


def test_a_price_is_told_in_usd_per_mwh_and_asks_for_nothing():
    found = meaning(event(signal("ELECTRICITY_PRICE", "price", (0.2, -0.01), USD)), SPEC, OWN, START_S)
    assert found.call is None
    assert [span.value for span in found.price_usd_per_mwh] == [200.0, -10.0]


def test_an_interval_of_no_length_is_open():
    assert asked(signal(duration=timedelta(0))) == [(0, FOREVER_S - START_S, Asked.LEVEL, 2.0)]


def test_modifications_and_cancellations_are_told_apart_by_their_number():
    first = meaning(event(), SPEC, OWN, START_S)
    second = meaning(event(modification_number=1, event_status="cancelled"), SPEC, OWN, START_S)
    assert second.modified_s > first.modified_s
    assert (second.is_cancelled, second.call) == (True, None)


def test_terms_of_the_descriptor_arrive():
    call = meaning(event(priority=3, test_event=True, tolerance=timedelta(minutes=5)), SPEC, OWN, START_S).call
    assert (call.priority, call.is_test, call.randomize_s) == (3, True, 300.0)
    assert (call.source, call.programme) == ("openadr:utility", "dr")
    assert meaning(event(priority=0), SPEC, OWN, START_S).call.priority is None


def test_what_is_not_followed_is_named():
    assert meaning(event(signal(), signal("LOAD_CONTROL", "x-loadControlCapacity")), SPEC, OWN, START_S).ignored == (
        "LOAD_CONTROL x-loadControlCapacity",
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (event(signal(values=(1.5,))), "not a level"),
        (event(signal("LOAD_DISPATCH", "setpoint", (12.0,))), "power_unit"),
        (event(signal("LOAD_DISPATCH", "setpoint", (-1.0,), KW)), "outside"),
        (event(signal("LOAD_DISPATCH", "setpoint", (1.0,), {**KW, "unit": "VA"})), "real power"),
        (event(signal("LOAD_DISPATCH", "setpoint", (1.0,), KW), signal("LOAD_DISPATCH", "delta", (1.0,), KW)), "two"),
        (event(signal("ELECTRICITY_PRICE", "price", (1.0,), {**USD, "unit": "EUR"})), "no rate for 'EUR'"),
        (event(signal("ELECTRICITY_PRICE", "price", (1.0,))), "currency"),
        (event(market_context="http://other"), "is not in programmes"),
        (event(targets={"ven_id": ["ven-9"]}), "for others"),
        (event(tolerance=timedelta(days=2)), "more than a day"),
        (event(signal(values=())), "there is none"),
        (event(signal(values=(float("nan"),))), "not finite"),
        (event(created_date_time="soon"), "no moment"),
        ({}, "missing"),
        (None, "not an object"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(bad, said):
    with pytest.raises(MessageError, match=said):
        meaning(bad, SPEC, OWN, START_S)


def test_an_event_for_one_of_ours_is_ours():
    assert meaning(event(targets={"ven_id": ["ven-9", "ven-1"]}), SPEC, OWN, START_S).call is not None
    assert meaning(event(targets={"resource_id": ["hall"]}), SPEC, OWN, START_S).call is not None


LEAVES = st.none() | st.floats() | st.integers() | st.text(max_size=9) | st.datetimes() | st.timedeltas()


@given(st.data())
def test_nothing_but_a_message_error_comes_of_nonsense(data):
    whole = event(signal("LOAD_DISPATCH", "setpoint", (12.0,), dict(KW)), tolerance=timedelta(0))
    place = whole
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(LEAVES)
    try:
        meaning(whole, SPEC, OWN, START_S)
    except MessageError:
        return
