import contextlib
import re

import pytest
from hypothesis import given

from controller.errors import SignalError
from controller.signals.feeds.entsoe import EntsoePrices, parse, resolution_s
from controller.signals.feeds.units import Money
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample, utc_s
from tests.fakes.feed_strategies import damaged

DAY = sample("entsoe_a44.xml")
ZONE = "10Y1001A1001A82H"
FEED = EntsoePrices(ZONE, Money("EUR", 1.0))
START_S = utc_s("2026-03-28T23:00+00:00")


def document(start: str, end: str, resolution: str, points: dict[int, float], curve: str = "A03") -> bytes:
    told = "".join(
        f"<Point><position>{n}</position><price.amount>{p}</price.amount></Point>" for n, p in points.items()
    )
    return (
        "<Publication_MarketDocument><createdDateTime>2026-03-28T12:45:00Z</createdDateTime><TimeSeries>"
        "<currency_Unit.name>EUR</currency_Unit.name><price_Measure_Unit.name>MWH</price_Measure_Unit.name>"
        f"<curveType>{curve}</curveType><Period><timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{told}</Period></TimeSeries></Publication_MarketDocument>"
    ).encode()


def test_the_coupled_auction_is_taken_and_absent_positions_repeat_the_price_before():
    series = known(parse(DAY, NINE_S, FEED), START_S)
    assert series.values == (60.0, 0.0, -16.75, 80.5)
    assert series.at(START_S + 38 * 900) == 60.0
    assert series.at(START_S + 40 * 900) == 0.0
    assert series.at(START_S + 41 * 900) == -16.75
    assert series.issued_at_s == utc_s("2026-03-28T12:45+00:00")


def test_another_auction_can_be_chosen_and_one_that_is_not_there_is_told():
    assert known(parse(DAY, NINE_S, EntsoePrices(ZONE, Money("EUR", 1.0), auction=2))).values == (999.0,)
    with pytest.raises(SignalError, match="auction 3 is not among 1, 2"):
        parse(DAY, NINE_S, EntsoePrices(ZONE, Money("EUR", 1.0), auction=3))


def test_an_intraday_auction_among_them_is_no_day_ahead_price():
    whole = DAY.replace(b">2</classificationSequence", b">1</classificationSequence").replace(
        b"999</price.amount></Point>",
        b"999</price.amount></Point><Point><position>2</position><price.amount>998</price.amount></Point>",
    )
    assert 999.0 in known(parse(whole, NINE_S, FEED), START_S).values, "told apart by nothing else"
    intraday = whole.replace(b"<contract_MarketAgreement.type>A01<", b"<contract_MarketAgreement.type>A07<", 1)
    assert known(parse(intraday, NINE_S, FEED), START_S).values == (60.0, 0.0, -16.75, 80.5)
    with pytest.raises(SignalError):
        parse(DAY.replace(b"type>A01</contract", b"type>A07</contract"), NINE_S, FEED)


@pytest.mark.parametrize(
    ("start", "end", "quarters"),
    [
        ("2026-03-28T23:00Z", "2026-03-29T22:00Z", 92),
        ("2026-10-24T22:00Z", "2026-10-25T23:00Z", 100),
        ("2026-06-30T22:00Z", "2026-07-01T22:00Z", 96),
    ],
)
def test_days_on_which_clocks_change_have_23_and_25_hours(start, end, quarters):
    points = {n: float(n) for n in range(1, quarters + 1)}
    series = known(parse(document(start, end, "PT15M", points), NINE_S, FEED), utc_s(start))
    assert (len(series.values), series.values[-1]) == (quarters, quarters)
    assert series.end_s == utc_s(end)
    hours = {n: float(n) for n in range(1, quarters // 4 + 1)}
    series = known(parse(document(start, end, "PT60M", hours), NINE_S, FEED), utc_s(start))
    assert (len(series.values), series.end_s) == (quarters // 4, utc_s(end))
    with pytest.raises(SignalError, match=f"not within 1 .. {quarters}"):
        parse(document(start, end, "PT15M", {quarters + 1: 1.0}), NINE_S, FEED)


def test_on_a_curve_of_blocks_of_one_size_an_absent_position_is_a_gap():
    body = document("2026-03-29T09:00Z", "2026-03-29T13:00Z", "PT60M", {1: 1.0, 2: 2.0, 4: 4.0}, "A01")
    told = parse(body, NINE_S, FEED)
    assert known(told).values == (1.0, 2.0)
    assert told.series(NINE_S + 2.5 * 3600) is None


def test_before_the_first_position_nothing_is_known():
    told = parse(document("2026-03-29T09:00Z", "2026-03-29T13:00Z", "PT60M", {2: 2.0}), NINE_S, FEED)
    assert told.series(NINE_S) is None
    assert known(told, NINE_S + 3600).end_s == NINE_S + 4 * 3600


def test_a_period_without_prices_is_told():
    with pytest.raises(SignalError, match="a period of 82800 s without a Point"):
        parse(document("2026-03-28T23:00Z", "2026-03-29T22:00Z", "PT15M", {}), NINE_S, FEED)


def test_of_two_resolutions_for_one_time_the_finer_holds():
    hours = document("2026-03-29T09:00Z", "2026-03-29T11:00Z", "PT60M", {1: 100.0, 2: 200.0}).decode()
    quarters = document("2026-03-29T09:00Z", "2026-03-29T10:00Z", "PT15M", {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}).decode()
    inner = re.search("<TimeSeries>.*</TimeSeries>", quarters).group()
    for first, last in ((inner, ""), ("", inner)):
        body = hours.replace("<TimeSeries>", f"{first}<TimeSeries>").replace(
            "</TimeSeries></P", f"</TimeSeries>{last}</P"
        )
        assert known(parse(body.encode(), NINE_S, FEED)).values == (1.0, 2.0, 3.0, 4.0, 200.0)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (sample("entsoe_nothing.xml"), "nothing is published: No matching data found"),
        (b"<html><body>maintenance</body></html>", "a document 'html'"),
        (DAY.replace(b"<currency_Unit.name>EUR", b"<currency_Unit.name>PLN"), "prices come in PLN"),
        (DAY.replace(b">MWH<", b">MAW<"), "no price of energy"),
        (DAY.replace(b"PT15M", b"P1M"), "resolution 'P1M'"),
        (DAY.replace(b"PT15M", b"PT7M"), "in steps of 420 s"),
        (DAY.replace(b"<position>42<", b"<position>40<"), "told twice"),
        (DAY.replace(b"<position>42<", b"<position>1.5<"), "position 1.5"),
        (DAY.replace(b"A03", b"A02"), "curveType 'A02'"),
        (DAY[:2000], "cut off"),
        (DAY.replace(b">1</class", b">\xc2\x9b1</class").replace(b">2</class", b">3</class"), "among 1, 3;"),
    ],
)
def test_what_cannot_be_used_is_told(body, says):
    with pytest.raises(SignalError, match=says):
        parse(body, NINE_S, FEED)


@pytest.mark.parametrize(("text", "seconds"), [("PT15M", 900), ("PT60M", 3600), ("PT1H", 3600), ("P1D", 86_400)])
def test_resolutions(text, seconds):
    assert resolution_s(text, "feed") == seconds


async def test_it_is_asked_in_utc_with_the_token_left_to_the_network():
    web = CannedWeb({"https://": DAY})
    await FEED.ask(web, NINE_S)
    (ask,) = web.asked
    assert ask.secret_param == "securityToken"
    assert (ask.params["periodStart"], ask.params["periodEnd"]) == ("202603280000", "202603310000")
    assert ask.params["in_Domain"] == ask.params["out_Domain"] == ZONE


@given(damaged(DAY))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        parse(body, NINE_S, FEED)
