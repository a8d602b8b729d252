from router.contract import ClassId, InstanceId, PoolId, Precision
from router.exchange import Choice, InstanceSpec
from router.openai import Usage
from router.spent import Spent, merge_spent, spent_of, under_way


def choice(instance="a", class_id="chat"):
    spec = InstanceSpec(InstanceId(instance), PoolId("p"), Precision.BF16, ("h", 1), "http://h:1", 8)
    return Choice(spec, ClassId(class_id), 1, False, 1, 0.0)


class SlotStub:
    def __init__(self, instance, used):
        self.spec, self.used = choice(instance).spec, used


def test_answers_that_ended_are_told_by_instance_and_class():
    slots = [SlotStub("a", {"chat": [3, 4], "batch": [5, 6]}), SlotStub("b", {})]
    assert spent_of(slots) == [Spent("a", "chat", 3, 4), Spent("a", "batch", 5, 6)]


def test_streams_under_way_are_summed_and_counted():
    found = under_way([(choice("a"), Usage(10, 2)), (choice("a"), Usage(20, 3)), (choice("b"), Usage(1, 1))])
    assert found == [Spent("a", "chat", 30, 5, streams=2), Spent("b", "chat", 1, 1, streams=1)]


def test_workers_are_summed():
    whole = [Spent("a", "chat", 1, 2)]
    merge_spent(whole, [Spent("a", "chat", 10, 20, 1), Spent("b", "chat", 5, 5)])
    assert whole == [Spent("a", "chat", 11, 22, 1), Spent("b", "chat", 5, 5)]
