import json

from router.accounting import ClassCounts
from router.contract_presence import unpack_state
from router.snapshot import InstanceView, RedisView, Snapshot, TableView
from router.told import encode_told, load_of


def snapshot(instances: int, busy: int) -> Snapshot:
    views = [
        InstanceView(f"pod-{n}", "fp8", "fp8", f"http://10.0.0.{n}:8000", "up", int(n < busy), 100, False)
        for n in range(instances)
    ]
    counts = [ClassCounts(class_id=name, in_flight=2, queued=3) for name in ("a", "b")]
    return Snapshot(1.0, True, TableView("fresh", 3), counts, [], views, {})


def test_only_instances_with_something_on_them_are_told() -> None:
    told = json.loads(unpack_state(encode_told(snapshot(500, 3))))
    assert [entry["instance_id"] for entry in told["instances"]] == ["pod-0", "pod-1", "pod-2"]
    assert told["table"]["sequence"] == 3
    assert "url" not in told["instances"][0]


def test_a_large_fleet_is_told_in_few_bytes() -> None:
    assert len(encode_told(snapshot(500, 500))) < 8_000


def test_the_load_is_what_is_in_flight_and_what_waits() -> None:
    assert load_of(snapshot(1, 1)) == 10


def test_how_it_stands_with_redis_is_told() -> None:
    told = snapshot(1, 1)
    told.redis = RedisView(name_taken=True)
    assert json.loads(unpack_state(encode_told(told)))["redis"]["name_taken"] is True
