import pytest

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.messages import Interval, ValuesMap
from controller.openadr.schedule import Slot
from controller.openadr.shares import divided

HOUR = Slot(0.0, 3600.0, Interval(0, ()))
OPEN = Slot(60.0, 60.0, Interval(0, ()), is_open=True)


def spans(slot, *values, may_be_open=False):
    found = divided(slot, ValuesMap("PRICE", values), "p", may_be_open=may_be_open)
    return [(share.start_s, share.end_s, share.value) for share in found]


def test_values_share_the_time_evenly():
    assert spans(HOUR, 1, 2.5) == [(0.0, 1800.0, 1.0), (1800.0, 3600.0, 2.5)]
    assert divided(HOUR, ValuesMap("PRICE", (1, 2)), "p", may_be_open=False)[1].at == "p.values[1]"


def test_what_has_no_end_is_for_ever_where_that_is_sense():
    assert spans(OPEN, 8, may_be_open=True) == [(60.0, FOREVER_S, 8.0)]
    with pytest.raises(MessageError, match="nobody says how long this PRICE is"):
        spans(OPEN, 8)
    with pytest.raises(MessageError, match="2 values cannot share what has no end"):
        spans(OPEN, 8, 9, may_be_open=True)


def test_no_value_and_no_number_are_refused():
    with pytest.raises(MessageError, match="PRICE has no value"):
        spans(HOUR)
    with pytest.raises(MessageError, match=r"p\.values\[0\]: 'high' is not a number"):
        spans(HOUR, "high")
