from controller.actuators import dry_run
from controller.actuators.dry_run import DryRun
from controller.model.plan import Verb
from tests.fakes.controller_parts import commands


async def test_what_would_be_done_is_told_and_kept():
    actuator = DryRun()
    told = await actuator.apply(commands((Verb.SLEEP, "bf16-1"), sequence=9))
    assert told == ("would publish table 9", "would sleep bf16-1: a test")
    assert actuator.lines() == told


async def test_what_is_kept_is_bounded():
    actuator = DryRun()
    for sequence in range(dry_run.MAX_LINES + 5):
        await actuator.apply(commands(sequence=sequence))
    assert len(actuator.lines()) == dry_run.MAX_LINES
    assert actuator.lines()[0] == "would publish table 5"
