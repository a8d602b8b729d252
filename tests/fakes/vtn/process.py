"""The fake VTN in a process of its own, which can be killed, stopped and started again, empty, on the same ports."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.ports import free_ports
from tests.fakes.system import ROOT
from tests.fakes.vtn.server import FakeVtn

HOST = "127.0.0.1"
START_S = 30.0
MAY_CALL = frozenset(("add_program", "add_event", "change_event", "fail", "mend", "forget_tokens"))


@dataclass
class VtnProcess:
    """A VTN and what a test does to it; `folder` has its log and the VEN's secret."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports[0]}"

    def start(self) -> None:
        with (self.folder / "vtn.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.vtn.process", *map(str, self.ports)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            try:
                self("requests")
            except urllib.error.URLError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the VTN does not answer: {(self.folder / 'vtn.log').read_text()[-1000:]}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def __call__(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the VTN, `revoke` a client, `withdraw` an event, or tell the `requests` that came."""
        body = json.dumps({"args": args, "options": options}).encode()
        request = urllib.request.Request(f"http://{HOST}:{self.ports[1]}/{name}", body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def control_of(vtn: FakeVtn) -> web.Application:
    """What a utility does at its VTN, over HTTP."""

    async def call(request: web.Request) -> web.Response:
        name, told = request.match_info["name"], json.loads(await request.read())
        if name == "requests":
            return web.json_response(vtn.requests)
        if name == "revoke":
            for client_id in told["args"]:
                vtn.clients[client_id] = ("another secret", vtn.clients[client_id][1])
            vtn.forget_tokens()
            return web.json_response(None)
        if name == "withdraw":
            (event_id,), reports = told["args"], vtn.store.kinds["reports"]
            for report_id in [key for key, report in reports.items() if report["eventID"] == event_id]:
                vtn.store.delete("reports", report_id)
            vtn.delete_event(event_id)
            return web.json_response(None)
        if name not in MAY_CALL:
            raise web.HTTPNotFound(text=name)
        found = getattr(vtn, name)(*told["args"], **told["options"])
        return web.json_response(found if isinstance(found, str) else None)

    app = web.Application()
    app.router.add_post("/{name}", call)
    return app


async def serve(port: int, control_port: int) -> None:
    """Serve until killed."""
    vtn = FakeVtn()
    vtn.url = f"http://{HOST}:{port}"
    for app, place in ((vtn.app(), port), (control_of(vtn), control_port)):
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, HOST, place).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
