from controller.loop.status import decision_record, sample_record, summary_of
from controller.model.observation import Missing
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId
from tests.fakes.controller_parts import NOW_S, decision, diagnostics, observation, site

SITE = site()


def test_a_look_before_any_decision_has_no_limit() -> None:
    told = sample_record(observation(), None, 5.0)
    assert (told["power_w"], told["observed_at_s"], told["quality"]) == (4000.0, NOW_S, "emulated")
    assert (told["limit_w"], told["energy_j"]) == (None, 5.0)


def test_power_that_is_missing_is_not_zero() -> None:
    told = sample_record(observation(site_power=Missing("meter", "gone", NOW_S)), None, 5.0)
    assert (told["power_w"], told["observed_at_s"], told["quality"]) == (None, None, None)


def test_a_look_is_told_with_the_limit_of_the_latest_decision() -> None:
    decided = decision(SITE, diagnostics=diagnostics(limit_w=3500.0))
    assert sample_record(observation(), decided, 5.0)["limit_w"] == 3500.0


def test_a_decision_is_kept_with_what_was_done() -> None:
    decided = decision(SITE)
    told = decision_record(observation(), decided, ("woke int4-0",))
    assert told["actions"] == ["woke int4-0"]
    assert told["commands"]["table"]["sequence"] == decided.commands.table.sequence
    assert told["publish"] is decided.publish


def test_the_log_tells_limit_and_table_of_a_decision() -> None:
    decided = decision(SITE, diagnostics=diagnostics(limit_w=3500.0))
    told = summary_of(decided, 0.123456)
    assert (told["limit_w"], told["sequence"], told["took_s"]) == (3500.0, decided.commands.table.sequence, 0.1235)


def test_the_log_tells_what_would_be_done() -> None:
    step = InstanceCommand(Verb.SLEEP, InstanceId("int4-0"), "the plan wants 0 serving")
    assert summary_of(decision(SITE, recommended=(step,)), 0.1)["recommended"] == ["sleep int4-0"]
