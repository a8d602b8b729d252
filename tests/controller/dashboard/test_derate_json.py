from controller.dashboard.derate_json import derate_json
from controller.model.derate import Derate


def test_it_is_told_with_its_state():
    derate = Derate("fans", 2e3, 100.0, 200.0, "a fan is out", 50.0)
    assert derate_json(derate, 150.0) == {
        "derate_id": "fans",
        "state": "active",
        "shed_w": 2e3,
        "start_s": 100.0,
        "end_s": 200.0,
        "reason": "a fan is out",
        "made_s": 50.0,
        "source": "operator",
    }
    assert derate_json(derate, 60.0)["state"] == "pending"
