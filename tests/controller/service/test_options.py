from pathlib import Path

from controller.lifecycle.handback import OnExit
from controller.service.options import Endpoints, ServiceOptions


def test_what_is_left_out_reaches_nobody_and_lets_only_this_machine_change_anything():
    options, endpoints = ServiceOptions(Path("data")), Endpoints(engines=None)
    assert options.token is None
    assert (options.vens, options.vens2, endpoints.router_urls, endpoints.redis) == ((), (), (), None)
    assert options.canary.options.per_s == 0
    assert options.on_exit is OnExit.WAKE


def test_calls_and_load_targets_have_terms_without_configuration():
    options = ServiceOptions(Path("data"))
    assert options.load_target_programme in options.programmes
    assert "operator" in options.programmes
