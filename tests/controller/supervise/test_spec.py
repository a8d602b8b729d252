import pytest

from controller.service.compose import build_site
from controller.settings.file import Settings
from controller.supervise.spec import engine_specs, inherited
from router import config_file
from router.contract import PoolId

FILE = """
model: tiny
pools:
  - {{name: bf16, precision: bf16, instances: [{urls}]}}
plan:
  pools:
    bf16:
      gpu: H100
      gpus_per_instance: {gpus}
      curves: qwen3-235b-a22b/bf16/8xh100
      gpu_uuids: {uuids}
      serve: {serve}
"""


def specs(serve="{model: m}", *, urls="'http://127.0.0.1:9001'", gpus=1, uuids="[[GPU-a]]", keys=None):
    text = FILE.format(serve=serve, urls=urls, gpus=gpus, uuids=uuids)
    settings = config_file.parse(text, Settings, "inline")
    return engine_specs(settings, build_site(settings), keys or {})


def test_the_command_has_the_model_the_address_the_name_clients_send_and_sleep():
    (spec,) = specs("{model: org/m, arguments: [--max-model-len, '8192']}")
    assert (spec.instance_id, spec.pool_id, spec.url) == ("bf16-0", "bf16", "http://127.0.0.1:9001")
    assert spec.argv == (
        *("vllm", "serve", "org/m", "--host", "127.0.0.1", "--port", "9001", "--served-model-name", "tiny"),
        *("--enable-sleep-mode", "--max-model-len", "8192"),
    )
    assert spec.environment == {"CUDA_VISIBLE_DEVICES": "GPU-a", "VLLM_SERVER_DEV_MODE": "1"}


def test_without_sleep_the_verbs_of_development_stay_closed():
    (spec,) = specs("{sleep: false, arguments: [--served-model-name, x]}")
    assert "--enable-sleep-mode" not in spec.argv
    assert spec.environment == {"CUDA_VISIBLE_DEVICES": "GPU-a"}
    assert spec.argv.count("--served-model-name") == 1


@pytest.mark.parametrize(
    ("arguments", "is_added"), [("[]", True), ("[-tp, '2']", False), ("['--pipeline-parallel-size=2']", False)]
)
def test_several_gpus_are_used_together_unless_the_arguments_tell_how(arguments, is_added):
    (spec,) = specs(f"{{model: m, arguments: {arguments}}}", gpus=2, uuids="[[GPU-a, GPU-b]]")
    assert ("--tensor-parallel-size" in spec.argv) is is_added
    assert spec.environment["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"


def test_each_instance_has_its_own_gpu_and_as_many_begin_as_asked_for():
    two = specs(
        "{initially_on: 1}", urls="'http://127.0.0.1:9001', 'http://127.0.0.1:9002'", uuids="[[GPU-a], [GPU-b]]"
    )
    assert [spec.environment["CUDA_VISIBLE_DEVICES"] for spec in two] == ["GPU-a", "GPU-b"]
    assert [spec.is_initially_on for spec in two] == [True, False]


def test_an_engine_may_listen_on_another_address_or_a_socket():
    (spec,) = specs("{host: 0.0.0.0}", urls="'http://gpu-1:9001'")
    assert spec.argv[2:6] == ("--host", "0.0.0.0", "--port", "9001")
    (spec,) = specs(urls="'unix:/run/engine.sock'")
    assert spec.argv[3:5] == ("--uds", "/run/engine.sock")
    assert "--port" not in spec.argv


def test_a_key_is_in_the_environment_alone_and_not_in_the_fingerprint():
    (plain,) = specs()
    (keyed,) = specs(keys={PoolId("bf16"): "very-secret"})
    assert keyed.environment["VLLM_API_KEY"] == "very-secret"
    assert "very-secret" not in " ".join(keyed.argv) + keyed.fingerprint
    assert keyed.fingerprint != plain.fingerprint == specs()[0].fingerprint


def test_pools_that_do_not_say_how_they_are_started_are_left_to_others():
    assert specs("null") == ()


def test_engines_inherit_neither_the_supervisors_secrets_nor_what_systemd_tells_it():
    environment = {"PATH": "/bin", "HF_TOKEN": "t", "WATTROUTE_SUPERVISOR_TOKEN": "s", "REDIS_PASSWORD": "r"}
    environment |= {"REDIS_USERNAME": "u", "REDIS_SENTINEL_PASSWORD": "q"}
    assert inherited({**environment, "NOTIFY_SOCKET": "/run/n"}) == {"PATH": "/bin", "HF_TOKEN": "t"}


def test_an_instance_with_a_name_of_its_own_is_known_by_it():
    (spec,) = specs(urls="{name: left, url: 'http://127.0.0.1:9001'}")
    assert (spec.instance_id, spec.url) == ("left", "http://127.0.0.1:9001")
