import pytest

from controller.signals.router_state import read_state
from tests.fakes.router_states import state


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "an object is expected, not list"),
        ({"classes": []}, "table.sequence"),
        ({"table": {"sequence": 1}, "classes": 3}, "classes is not a list"),
        ({"table": {"sequence": 1}, "classes": [{}]}, r"classes\[0\].class_id"),
        (state(requests=10, refused=-1), r"classes\[0\].refused is -1"),
        (state(outcomes=[]), "outcomes is not an object"),
        (state(outcomes={"client_error": -1}), r"outcomes.client_error is -1"),
        (state(in_flight="many"), r"in_flight is 'many'"),
        ({**state(), "instances": [{"in_flight": 1}]}, r"instances\[0\].instance_id is not a name"),
        ({**state(), "instances": [{"instance_id": "a", "in_flight": -1}]}, r"instances\[0\].in_flight is -1"),
        (state(output_tokens_by_pool=[]), "output_tokens_by_pool is not an object"),
        (state(output_tokens_by_pool={"bf16": None}), r"output_tokens_by_pool.bf16 is None"),
    ],
)
def test_a_malformed_state_is_refused_with_the_place(data, problem):
    with pytest.raises(ValueError, match=problem):
        read_state(data)


@pytest.mark.parametrize(("more", "rejected"), [({}, 0.0), ({"outcomes": {"ok": 5, "client_error": 3}}, 3.0)])
def test_requests_that_engines_found_fault_with_are_counted_apart(more, rejected):
    assert read_state(state(**more)).counters["standard", "rejected"] == rejected


@pytest.mark.parametrize(
    ("more", "taken"),
    [
        ({}, False),
        ({"redis": None}, False),
        ({"redis": {"rights_missing": {}}}, False),
        ({"redis": {"name_taken": True}}, True),
    ],
)
def test_a_router_whose_name_another_one_has_says_so_and_older_ones_do_not(more, taken):
    assert read_state({**state(), **more}).name_taken is taken
