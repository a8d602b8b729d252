"""Whether a command that failed is still wanted, so that it goes on to be told as a failure; pure."""

from __future__ import annotations

from controller.lifecycle.memory import Intent, Phase
from controller.model.observation import InstanceState
from controller.model.plan import Verb


def is_wanted(verb: Verb, intent: Intent | None, state: InstanceState | None, *, is_sleeper: bool) -> bool:
    """Whether it would be given again, by what is wanted of the instance now.

    Args:
        verb: of the command.
        intent: what is wanted of the instance; None where there is no such instance any more.
        state: as observed; None where it was not asked.
        is_sleeper: whether it sleeps by the controller's command, or has not answered since it was told to wake: it is
            given back where it is not acted upon.
    """
    if intent is None:
        return False
    if verb in (Verb.WAKE, Verb.START):
        return intent.phase is Phase.WAKE or (is_sleeper and state is not InstanceState.SERVING)
    if state is InstanceState.OFF or (verb is Verb.SLEEP and state is InstanceState.SLEEPING):
        return False
    is_told = intent.phase is Phase.SLEEP and intent.commanded_s is not None
    return is_told or intent.phase in (Phase.DRAIN, Phase.OFF)
