"""A program that takes the words of `vllm serve` and is one emulated engine, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

from controller.clock import SystemClock
from controller.simulation.emulated_instance import EmulatedInstance, ServedInstance
from controller.simulation.profiles import load_profile

CURVES = "qwen3-235b-a22b/bf16/8xh100"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    options, _ = parser.parse_known_args()
    uuids = tuple(os.environ["CUDA_VISIBLE_DEVICES"].split(","))
    instance = EmulatedInstance("engine", options.host, options.port, load_profile(CURVES), "bf16", uuids)
    served = ServedInstance(instance, options.served_model_name, 0, SystemClock())
    await served.open()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    served.close()


if __name__ == "__main__":
    asyncio.run(main())
