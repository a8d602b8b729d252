"""Make the pictures of the documentation from a running demo: `make pictures`. Needs chromium on PATH."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

FOLDER = Path(__file__).parent
SECONDS = 200
EVENT_PICTURE_S = 150
"""When the page is opened: within the event, after its ramp."""
PAGE_FILLS_S = 8


def main() -> int:
    """Run the demo, photograph its page, end the demo."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("chromium is not on PATH; install it, e.g. apt-get install chromium\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "controller.cli", "demo", "--headless", "--seconds", str(SECONDS)]
        with subprocess.Popen(
            [*command, "--data-dir", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as demo:
            page = _address_of_page(demo)
            time.sleep(EVENT_PICTURE_S)
            asyncio.run(_photograph(chromium, page, folder))
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)
    return 0


def _address_of_page(demo: subprocess.Popen[str]) -> str:
    for line in demo.stdout or ():
        if found := re.search(r"page (http://\S+)", line):
            return found[1]
    raise SystemExit("the demo ended before it told the address of its page")


async def _photograph(chromium: str, page: str, folder: str) -> None:
    """Open the page, let its charts fill from the history, and take a picture over the browser's debugging port."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    target = ["--window-size=1400,1000", f"--user-data-dir={folder}/browser", "--remote-debugging-port=0", page]
    browser = await asyncio.create_subprocess_exec(chromium, *flags, *target, stderr=subprocess.DEVNULL)
    try:
        await asyncio.sleep(PAGE_FILLS_S)
        port = (Path(folder) / "browser" / "DevToolsActivePort").read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                tab = next(tab for tab in await answer.json() if tab["url"].startswith(page))
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=1 << 26) as tool:
                await tool.send_json({"id": 1, "method": "Page.captureScreenshot"})
                picture = (await tool.receive_json())["result"]["data"]
        (FOLDER / "dashboard.png").write_bytes(base64.b64decode(picture))
    finally:
        browser.terminate()
        await browser.wait()


if __name__ == "__main__":
    sys.exit(main())
