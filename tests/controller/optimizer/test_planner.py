import inspect

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.planner import Planner


def test_the_planner_in_service_keeps_the_protocol():
    for name in ("plan", "dispatch"):
        asked = inspect.signature(getattr(Planner, name))
        assert inspect.signature(getattr(CvxpyPlanner, name)) == asked
