"""Engines to supervise, as the configuration would name them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from controller.supervise.spec import EngineSpec
from router.contract import InstanceId, PoolId
from tests.fakes.ports import free_ports

FAKE_VLLM = Path(__file__).with_name("fake_vllm.py")


def engine_spec(instance_id: str = "a-0", **changes: Any) -> EngineSpec:
    """One of `fake_vllm.py` on a free port."""
    port = free_ports(1)[0]
    argv = (sys.executable, str(FAKE_VLLM), "serve", "--host", "127.0.0.1", "--port", str(port))
    given: dict[str, Any] = {
        "instance_id": InstanceId(instance_id),
        "pool_id": PoolId("a"),
        "url": f"http://127.0.0.1:{port}",
        "host": "127.0.0.1",
        "argv": argv,
        "environment": {},
        "gpu_uuids": (f"GPU-{instance_id}",),
    }
    return EngineSpec(**{**given, **changes})
