import contextlib

import pytest
from hypothesis import given

from controller.errors import SignalError
from controller.signals.feeds.octopus_agile import MAX_PAGES, OctopusAgile, next_page, parse, product_of
from controller.signals.feeds.units import Money
from tests.fakes.feed_parts import NINE_S, CannedWeb, known, sample
from tests.fakes.feed_strategies import damaged

FIRST, SECOND = sample("octopus_agile_1.json"), sample("octopus_agile_2.json")
TARIFF = "E-1R-AGILE-24-10-01-C"
FEED = OctopusAgile(TARIFF, Money("GBP", 1.25))


def test_pence_per_kwh_become_usd_per_mwh_oldest_first():
    series = known(parse([FIRST, SECOND], NINE_S, FEED))
    assert series.values == pytest.approx((250.0, 145.2375, 117.875, -35.71375))
    assert series.end_s == NINE_S + 7200


def test_tax_counts_where_it_is_a_cost():
    series = known(parse([FIRST, SECOND], NINE_S, OctopusAgile(TARIFF, Money("GBP", 1.25), has_vat=True)))
    assert series.values[0] == pytest.approx(262.5)
    assert series.values[-1] == pytest.approx(-37.5)
    assert "with VAT" in series.source


async def test_all_pages_are_read_from_the_half_hour_in_force():
    web = CannedWeb({"https://": [FIRST, SECOND]})
    assert len(known(await FEED.ask(web, NINE_S + 60)).values) == 4
    assert web.asked[0].url.endswith(f"/v1/products/AGILE-24-10-01/electricity-tariffs/{TARIFF}/standard-unit-rates/")
    assert web.asked[0].params["period_from"] == "2026-03-29T09:00Z"
    assert web.asked[1].url.endswith("?page=2")


async def test_pages_without_end_are_given_up():
    web = CannedWeb({"https://": FIRST})
    with pytest.raises(SignalError, match=f"more than {MAX_PAGES} pages"):
        await FEED.ask(web, NINE_S)


@pytest.mark.parametrize(
    "to", ['"http://169.254.169.254/latest"', '"https://api.octopus.energy.example/"', "5", '"//x"']
)
def test_a_next_page_elsewhere_is_not_followed(to):
    with pytest.raises(SignalError, match="another server"):
        next_page(b'{"next": %s}' % to.encode(), FEED)


def test_a_rate_until_further_notice_and_two_ways_to_pay():
    body = b"""{"next": null, "results": [
        {"value_exc_vat": 20, "valid_from": "2026-03-01T00:00Z", "valid_to": null, "payment_method": "DIRECT_DEBIT"},
        {"payment_method": "NON_DIRECT_DEBIT", "value_exc_vat": 30, "valid_from": "2026-03-01T00:00Z",
         "valid_to": null}]}"""
    series = known(parse([body], NINE_S, FEED))
    assert series.values == pytest.approx((250.0,))
    assert series.end_s > NINE_S + 86_400


def test_the_product_stands_in_the_tariff():
    assert product_of("E-1R-VAR-22-11-01-N") == "VAR-22-11-01"
    for text in ("AGILE-24-10-01", "G-1R-VAR-22-11-01-N", "E-1R-../../x-C", ""):
        with pytest.raises(ValueError, match="no electricity tariff"):
            product_of(text)


@given(damaged(SECOND))
def test_a_damaged_answer_is_told_and_breaks_nothing(body):
    with contextlib.suppress(SignalError):
        next_page(body, FEED)
        parse([body], NINE_S, FEED)
