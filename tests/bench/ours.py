"""Our router as it is measured: with its features on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import free_port
from tests.bench.proxies import KEY, Place
from tests.fakes.certificates import Authority

CLASSES = (
    {"name": "standard", "service_tiers": ["auto", "default"]},
    {"name": "flex", "service_tiers": ["flex"]},
    {"name": "exact", "service_tiers": ["priority"], "precisions": ["bf16"]},
)
CLASS_NAMES = tuple(str(cls["name"]) for cls in CLASSES)
PRECISIONS = ("bf16", "fp8", "int8", "int4")
LIMITS = {"requests_per_minute": 1e9, "tokens_per_minute": 10**12, "max_in_flight": 100_000}
"""That are kept account of and never reached."""


def pool_names(count: int) -> list[str]:
    """Names of our router's pools."""
    return [f"pool{n}" for n in range(count)]


@dataclass(frozen=True)
class Ours:
    """Our router: classes, an allocation obeyed, accounting, metrics and health checks.

    Attributes:
        pools: how many, the engines shared evenly among them.
        table_url: the allocation; without it the static weights hold.
        tenants: how many have a key and limits; 0 leaves the router open.
        access_log: write a line for each request.
        tls: speak TLS to the clients.
        checkout: measure the router of this working tree; None takes the installed one.
    """

    name: str = "wattroute"
    pools: int = 1
    table_url: str | None = None
    tenants: int = 0
    access_log: bool = False
    tls: bool = False
    admin_port: int | None = None
    checkout: Path | None = None

    def command(self, place: Place) -> list[str]:
        file = place.folder / "wattroute.yaml"
        document = self._document(place)
        if self.tenants:
            tenants = place.folder / "tenants.jsonl"
            tenants.write_text("".join(f"{json.dumps(tenant_of(n, LIMITS))}\n" for n in range(self.tenants)))
            document["tenants"] = {"tenants_file": str(tenants)}
        file.write_text(json.dumps(document))  # JSON is YAML
        return [str(Path(sys.executable).with_name("wattroute-router")), "--config", str(file)]

    def env(self) -> Mapping[str, str]:
        return {} if self.checkout is None else {"PYTHONPATH": str(self.checkout)}

    def _document(self, place: Place) -> dict[str, object]:
        each = len(place.engines) // self.pools
        pools = [
            {
                "name": name,
                "precision": PRECISIONS[n % len(PRECISIONS)],
                "instances": list(place.engines[n * each : (n + 1) * each]),
                "max_in_flight": 20_000,
            }
            for n, name in enumerate(pool_names(self.pools))
        ]
        router: dict[str, object] = {
            "port": place.port,
            "admin_port": free_port() if self.admin_port is None else self.admin_port,
            "timeouts": {"drain_s": 1.0},
        }
        if self.access_log:
            router["access_log"] = {"path": str(place.folder / "access.jsonl")}
        if self.tls:
            router["tls"] = Authority(place.folder).issue("router").settings()
        return {
            "model": "m",
            "pools": pools,
            "classes": CLASSES,
            "router": router,
            "table": {} if self.table_url is None else {"url": self.table_url},
        }


def tenant_of(number: int, limits: Mapping[str, object]) -> dict[str, object]:
    """A tenant with one key."""
    digest = hashlib.sha256((KEY % number).encode()).hexdigest()
    return {"name": f"tenant{number}", "keys": [f"sha256:{digest}"], **limits}
