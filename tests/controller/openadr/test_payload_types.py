from controller.openadr.events import GHG, LIMITS, PRICE, RELATIVE, RESERVATION, SUBSCRIPTION
from controller.openadr.levels import LEVELS, PERCENT
from controller.openadr.payload_types import EVENT_PAYLOADS, OTHER


def test_the_standard_has_all_that_is_followed_and_the_label_for_the_rest_is_none_of_it():
    assert {*LIMITS, *LEVELS, PERCENT, RELATIVE, SUBSCRIPTION, RESERVATION, PRICE, GHG} <= EVENT_PAYLOADS
    assert len(EVENT_PAYLOADS) == 38  # rows of table 1
    assert OTHER not in EVENT_PAYLOADS
