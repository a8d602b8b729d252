from dataclasses import FrozenInstanceError

import pytest

from controller.model.observation import InstanceObservation, InstanceState, Missing, Reading
from router.contract import InstanceId, PoolId


def test_what_is_missing_has_no_value_to_mistake_for_zero():
    missing = Missing("meter", "unplugged", 10.0)
    assert not hasattr(missing, "value_w")
    assert not isinstance(missing, Reading)


def test_what_was_seen_cannot_be_changed():
    seen = InstanceObservation(InstanceId("a-0"), PoolId("a"), InstanceState.SERVING, 10.0, 0.0)
    with pytest.raises(FrozenInstanceError):
        seen.running = 3  # type: ignore[misc]
