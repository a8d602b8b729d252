from controller.forecast.demand import DemandState, update
from controller.forecast.policy import ForecastPolicy
from controller.forecast.state import ForecastState, learn_all
from controller.model.grid import Series
from controller.model.observation import ClassDemand, Missing, Observation, RouterObservation
from controller.model.plan import Horizon
from controller.store.decisions import to_plain
from controller.store.plain import from_plain
from router.contract import ClassId


def observed(now_s, price):
    missing = Missing("carbon", "no feed", 0.0)
    feed = missing if price is None else Series((now_s,), (price,), now_s + 3600.0, "usd_per_mwh", "feed")
    return Observation(now_s, (), missing, (), missing, feed, missing)


def learnt(prices, step_s=60.0):
    state, counted = ForecastState(), DemandState()
    for tick, price in enumerate(prices):
        now_s = tick * step_s
        demand = (ClassDemand(ClassId("standard"), 60.0 * tick, 0.0, 0.0, 0.0),)
        after = update(counted, RouterObservation(now_s, 1, demand), 15.0, 90.0)
        horizon = Horizon(now_s, step_s, 4)
        state = learn_all(state, (counted, after), observed(now_s, price), horizon, ForecastPolicy())
        counted = after
    return state


def test_each_series_learns_on_its_own():
    state = learnt([40.0, 50.0, 60.0])
    assert state.arrivals.classes[0].bank.last == 1
    assert state.price.bank.last == 1
    assert state.carbon.bank.last is None


def test_what_is_handed_on_reads_back_from_plain_values():
    state = learnt([40.0, None, 60.0, 70.0])
    assert from_plain(ForecastState, to_plain(state)) == state


def test_equal_observations_teach_equal_states():
    assert learnt([40.0, 50.0]) == learnt([40.0, 50.0])
