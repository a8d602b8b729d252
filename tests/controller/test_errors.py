import inspect

import pytest

from controller import errors


def test_every_error_has_one_root():
    found = [member for _, member in inspect.getmembers(errors, inspect.isclass)]
    classes = [each for each in found if issubclass(each, BaseException)]
    assert errors.NvmlError in classes
    assert all(issubclass(each, errors.ControllerError) for each in classes)


@pytest.mark.parametrize(
    ("error", "code", "parts"),
    [
        (errors.ConfigError("pools[0].url: 'x' is not an address; write http://HOST:PORT"), 2, ["pools[0].url"]),
        (errors.ListenError("127.0.0.1", 8080, "address in use"), 3, ["127.0.0.1:8080", "choose another"]),
        (errors.SignalError("meter", "refused"), 1, ["meter", "refused"]),
        (errors.ActuationError("fp8-0", "timed out"), 1, ["fp8-0", "timed out"]),
    ],
)
def test_errors_name_the_place_and_exit_with_their_code(error, code, parts):
    assert error.exit_code == code
    assert all(part in str(error) for part in parts)


@pytest.mark.parametrize("kind", [errors.FeedRefused, errors.VtnError])
def test_who_is_refused_may_be_told_how_long_to_wait(kind):
    told, silent = kind("a place", "busy", 429, 30.0), kind("a place", "busy", 500)
    assert (told.status, told.retry_after_s, silent.status, silent.retry_after_s) == (429, 30.0, 500, None)
    assert errors.SignalError("a place", "gone").retry_after_s is None


def test_a_time_out_is_a_solver_error():
    assert issubclass(errors.TimedOut, errors.SolverError)


def test_a_wrong_problem_is_the_operators_mistake_and_no_plan_for_the_ladder():
    assert issubclass(errors.ProblemError, errors.SolverError)
    assert errors.ProblemError("demand of class a is -1; give 0 or more").exit_code == 2


def test_what_failed_at_an_address_is_told_without_the_password_that_the_address_holds():
    error = errors.SignalError("http://ops:hunter2@router:8081/state", "http://a@b:1/x redirects to https://c@d/y")
    assert str(error) == "http://router:8081/state: http://b:1/x redirects to https://d/y"
    assert (error.source, error.reason) == ("http://router:8081/state", "http://b:1/x redirects to https://d/y")
    acted = errors.ActuationError("fp8-0", "https://ops:hunter2@supervisor/instances: status 500")
    assert str(acted) == "fp8-0: https://supervisor/instances: status 500"
