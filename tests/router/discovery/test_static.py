"""Instances as listed in the file."""

from __future__ import annotations

from router.discovery.static import list_instances
from router.settings import PoolSettings


def test_instances_are_numbered_within_their_pool_in_the_files_order() -> None:
    pools = [
        PoolSettings.model_validate(
            {"name": "bf16", "precision": "bf16", "instances": ["http://h1:9001", "http://h2:9001/"]}
        ),
        PoolSettings.model_validate(
            {"name": "fast", "precision": "fp8", "instances": ["http://[::1]:9003"], "max_in_flight": 7}
        ),
    ]
    found = list_instances(pools)
    assert [(spec.instance_id, spec.pool_id, spec.address) for spec in found] == [
        ("bf16-0", "bf16", ("h1", 9001)),
        ("bf16-1", "bf16", ("h2", 9001)),
        ("fast-0", "fast", ("::1", 9003)),
    ]
    assert found[1].url == "http://h2:9001"
    assert (found[2].precision.value, found[2].max_in_flight) == ("fp8", 7)


def test_a_name_that_is_given_is_told_from_a_place() -> None:
    entries = ["http://h1:9001", {"name": "vllm-7", "url": "http://h2:9001"}]
    pool = PoolSettings.model_validate({"name": "bf16", "precision": "bf16", "instances": entries})
    found = list_instances([pool])
    assert [(spec.instance_id, spec.is_named) for spec in found] == [("bf16-0", False), ("vllm-7", True)]
