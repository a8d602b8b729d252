from controller.actuators.rates_board import RatesBoard
from router.contract_rates import EnergyRate, EnergyRates, decode_rates


def rates(at_s):
    return EnergyRates(at_s, at_s + 30.0, "shared", (EnergyRate("a", 0.01, 0.5, "direct"),))


def test_the_last_rates_are_up_until_they_expire():
    board = RatesBoard()
    assert board.current(0.0) is None
    first = board.post(rates(100.0))
    second = board.post(rates(101.0))
    assert first.etag != second.etag
    assert board.current(130.9) == second
    assert decode_rates(second.body) == rates(101.0)
    assert board.current(131.0) is None
