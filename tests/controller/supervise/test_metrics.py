from prometheus_client.parser import text_string_to_metric_families

from controller.supervise.metrics import exposition
from controller.supervise.policy import Phase
from tests.fakes.engine_fleet import engine_fleet, until
from tests.fakes.engine_specs import engine_spec


def values(engines):
    families = text_string_to_metric_families(exposition(engines).decode())
    return {
        (sample.name.removeprefix("wattroute_supervisor_"), sample.labels["instance_id"], sample.labels.get("state")): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


async def test_a_crashed_engine_is_seen_in_the_figures(tmp_path):
    broken = engine_spec("b-0", environment={"FAKE_VLLM": "crash"})
    async with engine_fleet(tmp_path, engine_spec("a-0", is_initially_on=False), broken) as fleet:
        await until(fleet.find("b-0"), Phase.FAILED)
        found = values(fleet.engines)
    assert {state: found["instance_state", "b-0", state] for state in Phase} == {
        state: float(state is Phase.FAILED) for state in Phase
    }
    told = ("instance_wanted", "instance_healthy", "instance_fault", "log_fault", "instance_restarts_total")
    assert [found[name, "b-0", None] for name in told] == [1, 0, 1, 0, 2]
    assert [found[name, "a-0", None] for name in told] == [0, 0, 0, 0, 0]
