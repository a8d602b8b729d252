"""The supervisor as operators run it: a process, over real processes that take the words of `vllm serve`."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from controller.errors import ConfigError
from controller.settings.file import load
from controller.settings.supervisor import SupervisorSettings
from controller.supervise.run import TOKEN_VARIABLE, load_token, run
from tests.fakes.supervised import document, is_alive, no_engine_left, supervised
from tests.fakes.system import get

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(tmp_path):
    with no_engine_left(tmp_path / "engines"):
        yield tmp_path


def refused(folder: Path, settings: dict) -> str:
    """What the supervisor says before it starts anything."""
    path = folder / "refused.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError) as found:
        run(load(path), {})
    return str(found.value)


def told_by(entry: dict) -> dict:
    """What the engine itself was started with."""
    found: dict = json.loads(get(f"{entry['url']}/told")[1])
    return found


def test_engines_are_started_with_their_address_gpu_and_sleep_and_serve(folder):
    settings = document(folder, serve={"arguments": ["--max-model-len", "8192"], "env": {"EXTRA": "1; rm -rf /"}})
    with supervised(folder, settings, REDIS_PASSWORD="secret") as running:
        shown = running.until(lambda found: {entry["state"] for entry in found.values()} == {"serving"})
        assert list(shown) == ["bf16-0", "bf16-1"]
        told = told_by(shown["bf16-1"])
        port = shown["bf16-1"]["url"].rpartition(":")[2]
        assert told["argv"] == [
            *("serve", "m", "--host", "127.0.0.1", "--port", port, "--served-model-name", "tiny"),
            *("--enable-sleep-mode", "--max-model-len", "8192"),
        ]
        assert told["env"] == {
            "CUDA_VISIBLE_DEVICES": "GPU-1",
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_API_KEY": None,
            "REDIS_PASSWORD": None,
            "EXTRA": "1; rm -rf /",
        }
        assert "fake engine begins" in Path(shown["bf16-1"]["log"]).read_text()
        for verb in ("stop", "stop"):
            assert running.order("bf16-1", verb)[0] == 200
        assert running.until_state("bf16-1", "off")["pid"] is None
        assert not is_alive(shown["bf16-1"]["pid"])
        assert is_alive(shown["bf16-0"]["pid"])
        metrics = get(f"{running.url}/metrics")[1].decode()
        assert 'wattroute_supervisor_instance_state{instance_id="bf16-0",pool_id="bf16",state="serving"} 1.0' in metrics
        assert 'wattroute_supervisor_instance_state{instance_id="bf16-1",pool_id="bf16",state="off"} 1.0' in metrics
        assert running.order("bf16-1", "start")[0] == 200
        running.until_state("bf16-1", "serving")
        assert running.order("fp8-0", "start")[0] == 404


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_engines_outlive_the_supervisor_and_are_adopted_by_the_next_one(folder, number):
    settings = document(folder)
    with supervised(folder, settings) as running:
        before = running.until(lambda found: {entry["state"] for entry in found.values()} == {"serving"})
        running.order("bf16-1", "stop")
        running.until_state("bf16-1", "off")
        assert running.end(number) == (0 if number is signal.SIGTERM else -number)
    assert get(f"{before['bf16-0']['url']}/health")[0] == 200
    with supervised(folder, settings) as running:
        after = running.until_state("bf16-0", "serving")
        assert (after["pid"], after["is_adopted"], after["restarts"]) == (before["bf16-0"]["pid"], True, 0)
        assert running.instances()["bf16-1"]["state"] == "off"  # as it was last told to be
        os.kill(after["pid"], signal.SIGKILL)
        again = running.until(lambda found: found["bf16-0"]["restarts"] == 1 and found["bf16-0"]["state"] == "serving")
        assert again["bf16-0"]["pid"] != after["pid"]
        assert "how it ended is not known" in again["bf16-0"]["last_exit"]


def test_one_that_ended_meanwhile_is_started_and_what_it_left_behind_is_ended(folder):
    settings = document(folder, instances=1, serve={"env": {"FAKE_VLLM": "child"}})
    with supervised(folder, settings) as running:
        before = running.until_state("bf16-0", "serving")
        child = told_by(before)["child"]
        running.end(signal.SIGKILL)
    os.kill(before["pid"], signal.SIGKILL)
    assert is_alive(child)  # as vLLM's workers, which hold the GPU's memory
    with supervised(folder, settings) as running:
        after = running.until_state("bf16-0", "serving")
        assert after["pid"] != before["pid"]
        assert not is_alive(child)


def test_a_number_that_another_process_has_now_is_not_taken_for_the_engine(folder):
    settings = document(folder, instances=1)
    with supervised(folder, settings) as running:
        running.until_state("bf16-0", "serving")
        running.order("bf16-0", "stop")
        running.until_state("bf16-0", "off")
        running.end()
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        path = folder / "engines" / "bf16-0.engine.json"
        record = json.loads(path.read_text())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record["mark"] = {"pid": stranger.pid, "started": 1, "boot": boot}
        path.write_text(json.dumps(record))
        with supervised(folder, settings) as running:
            assert running.until_state("bf16-0", "off")["pid"] is None
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_one_that_crashes_is_given_up_with_its_last_words_and_starts_when_told_to(folder):
    flag = folder / "broken"
    flag.touch()
    env = {"FAKE_VLLM": "crash", "FAKE_VLLM_WHEN": str(flag)}
    settings = document(folder, instances=1, serve={"env": env}, most_crashes=3)
    with supervised(folder, settings) as running:
        shown = running.until_state("bf16-0", "failed")
        assert shown["fault"] == "given up after 3 crashes within 7200 s; the last one: exit code 3"
        assert "CUDA error: out of memory" in shown["log_tail"]
        assert shown["restarts"] == 2
        assert "CUDA error: out of memory" in running.log.read_text()
        metrics = get(f"{running.url}/metrics")[1].decode()
        assert 'wattroute_supervisor_instance_fault{instance_id="bf16-0",pool_id="bf16"} 1.0' in metrics
        flag.unlink()
        assert running.order("bf16-0", "start")[0] == 200
        assert running.until_state("bf16-0", "serving")["fault"] is None


def test_one_that_heeds_no_signal_is_killed_with_all_of_its_session(folder):
    settings = document(folder, instances=1, serve={"env": {"FAKE_VLLM": "deaf,child"}}, stop_s=1.0)
    with supervised(folder, settings) as running:
        shown = running.until_state("bf16-0", "serving")
        child = told_by(shown)["child"]
        running.order("bf16-0", "stop")
        running.until_state("bf16-0", "stopping")
        assert running.until_state("bf16-0", "off")["last_exit"] == "signal SIGKILL"
        assert not is_alive(shown["pid"])
        assert not is_alive(child)


def test_one_that_never_becomes_healthy_is_ended_at_its_deadline(folder):
    settings = document(folder, instances=1, serve={"env": {"FAKE_VLLM": "ill"}}, ready_s=1.5, most_crashes=1)
    with supervised(folder, settings) as running:
        assert running.until_state("bf16-0", "starting")["is_healthy"] is False
        shown = running.until_state("bf16-0", "failed")
        assert "/health was not good within 1.5 s of the start" in shown["fault"]
        assert shown["pid"] is None


def test_a_port_that_somebody_has_is_told_and_taken_once_it_is_free(folder):
    settings = document(folder, instances=1, most_crashes=100)
    port = int(settings["pools"][0]["instances"][0].rpartition(":")[2])
    somebody = socket.create_server(("127.0.0.1", port))
    with somebody, supervised(folder, settings) as running:
        shown = running.until_state("bf16-0", "crashed")
        assert shown["fault"].startswith(f"something else listens on 127.0.0.1:{port}; stop it")
        assert (shown["pid"], Path(shown["log"]).exists()) == (None, False)
        somebody.close()
        running.until_state("bf16-0", "serving")


def test_a_command_that_is_not_there_is_told(folder):
    settings = document(folder, instances=1, serve={"command": ["no-such-vllm", "serve"]}, most_crashes=1)
    with supervised(folder, settings) as running:
        shown = running.until_state("bf16-0", "failed")
        assert "command 'no-such-vllm' is not found; install it" in shown["fault"]


def test_an_engine_that_the_configuration_dropped_is_shown_and_holds_its_gpu(folder):
    settings = document(folder, instances=1)
    with supervised(folder, settings) as running:
        before = running.until_state("bf16-0", "serving")
        running.end()
    other = document(folder, instances=1)
    other["pools"][0]["name"] = "fp8"
    other["plan"]["pools"] = {"fp8": {**other["plan"]["pools"]["bf16"]}}
    with supervised(folder, other) as running:
        shown = running.until(lambda found: found["fp8-0"]["fault"] is not None)
        assert "GPU GPU-0 is taken by bf16-0; stop that one first" in shown["fp8-0"]["fault"]
        assert shown["fp8-0"]["pid"] is None
        assert (shown["bf16-0"]["pid"], shown["bf16-0"]["is_configured"]) == (before["pid"], False)
        running.order("fp8-0", "stop")
        status, body = running.order("fp8-0", "start")
        assert (status, b"taken by bf16-0" in body) == (409, True)
        assert running.order("bf16-0", "stop")[0] == 200
        running.until(lambda found: "bf16-0" not in found)
        assert running.order("fp8-0", "start")[0] == 200
        running.until_state("fp8-0", "serving")
    assert not (folder / "engines" / "bf16-0.engine.json").exists()


def test_a_changed_command_is_told_and_taken_at_the_next_start(folder):
    settings = document(folder, instances=1)
    with supervised(folder, settings) as running:
        before = running.until_state("bf16-0", "serving")
        running.end()
    settings["plan"]["pools"]["bf16"]["serve"]["arguments"] = ["--max-num-seqs", "8"]
    with supervised(folder, settings) as running:
        after = running.until_state("bf16-0", "serving")
        assert (after["pid"], after["is_changed"]) == (before["pid"], True)
        running.order("bf16-0", "stop")
        running.until_state("bf16-0", "off")
        running.order("bf16-0", "start")
        after = running.until_state("bf16-0", "serving")
        assert after["is_changed"] is False
        assert "--max-num-seqs" in told_by(after)["argv"]


def test_an_engine_at_an_address_that_was_changed_is_started_anew(folder):
    settings = document(folder, instances=1)
    with supervised(folder, settings) as running:
        before = running.until_state("bf16-0", "serving")
        running.end()
    moved = document(folder, instances=1)
    with supervised(folder, moved) as running:
        after = running.until_state("bf16-0", "serving")
        assert after["url"] == moved["pools"][0]["instances"][0] != before["url"]
        assert (after["restarts"], is_alive(before["pid"])) == (0, False)


def test_engines_whose_addresses_were_exchanged_wait_for_each_other(folder):
    settings = document(folder, instances=1, serve={"env": {"FAKE_VLLM": "deaf"}}, stop_s=4.0)
    one, other = settings["pools"][0], {**document(folder, instances=1)["pools"][0], "name": "fp8"}
    settings["pools"].append(other)
    plan = settings["plan"]["pools"]
    plan["fp8"] = {**plan["bf16"], "gpu_uuids": [["GPU-9"]], "serve": {**plan["bf16"]["serve"], "env": {}}}
    with supervised(folder, settings) as running:
        running.until(lambda found: {entry["state"] for entry in found.values()} == {"serving"})
        running.end()
    one["instances"], other["instances"] = other["instances"], one["instances"]
    with supervised(folder, settings) as running:
        shown = running.until_state("fp8-0", "waiting")
        assert shown["fault"] == f"{other['instances'][0]} is the address of bf16-0; stop that one first"
        after = running.until(lambda found: {entry["state"] for entry in found.values()} == {"serving"})
        assert [(entry["restarts"], entry["fault"]) for entry in after.values()] == [(0, None), (0, None)]


def test_logs_are_moved_aside_and_bounded(folder):
    settings = document(folder, instances=1, serve={"env": {"FAKE_VLLM": "chatty"}}, log_mb=0.01, log_files=2)
    with supervised(folder, settings) as running:
        url = running.until_state("bf16-0", "serving")["url"]
        logs = folder / "engines"
        for _ in range(4):
            for _ in range(20):
                get(f"{url}/told")
            running.until(lambda _: (logs / "bf16-0.log").stat().st_size < 10_486)
        running.until(lambda _: (logs / "bf16-0.log.2").exists())
    assert sorted(path.name for path in logs.glob("bf16-0.log*")) == ["bf16-0.log", "bf16-0.log.1", "bf16-0.log.2"]


def test_a_second_supervisor_of_the_same_folder_is_refused(folder):
    settings = document(folder, instances=1)
    with supervised(folder, settings):
        assert "another supervisor has it; stop that one" in refused(folder, settings)


def test_the_key_of_the_engines_is_given_by_their_environment_alone(folder):
    settings = document(folder, instances=1)
    settings["pools"][0]["engine_key_env"] = "ENGINE_KEY"
    with supervised(folder, settings, ENGINE_KEY="very-secret") as running:
        shown = running.until_state("bf16-0", "serving")
        told = told_by(shown)
        assert told["env"]["VLLM_API_KEY"] == "very-secret"
        assert "very-secret" not in json.dumps([told["argv"], shown])
        kept = [path.read_text() for path in (folder / "engines").iterdir() if path.is_file()]
        assert not any("very-secret" in text for text in [*kept, running.log.read_text()])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"supervisor": {"host": "0.0.0.0"}}, "other machines may start and stop engines only with a token"),
        ({"supervisor": {"token_file": "absent"}}, "supervisor.token_file absent: cannot be read"),
        ({"serve": None}, "no pool says how its engines are started; write plan.pools.NAME.serve"),
        ({"serve": {"arguments": ["--port", "9"]}}, "--port is not written here: it comes from pools[].instances"),
        ({"serve": {"env": {"CUDA_VISIBLE_DEVICES": "0"}}}, "it comes from plan.pools.NAME.gpu_uuids"),
        ({"serve": {"initially_on": 3}}, "initially_on is 3, but the pool has 2 instances"),
        ({"gpu_uuids": None}, "plan.pools.bf16.serve needs plan.pools.bf16.gpu_uuids"),
        ({"supervisor": {"state_dir": "/dev/null/engines"}}, "supervisor.state_dir /dev/null/engines: cannot be used"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path, change, message):
    settings = document(tmp_path)
    settings["supervisor"].update(change.get("supervisor", {}))
    plan = settings["plan"]["pools"]["bf16"]
    plan.update({key: value for key, value in change.items() if key in ("serve", "gpu_uuids")})
    assert message in refused(tmp_path, settings)


def test_a_token_may_come_by_the_environment():
    assert load_token(SupervisorSettings(host="10.0.0.1"), {TOKEN_VARIABLE: "t" * 24}) == "t" * 24
