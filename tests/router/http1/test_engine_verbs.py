import pytest

from router.http1.engine_verbs import has_engine_verb, segments

VERBS = [
    "/abort_requests",
    "/inference/v1/abort_requests",
    "/collective_rpc",
    "/fault_tolerance/apply",
    "/fault_tolerance/status",
    "/finish_weight_update",
    "/get_world_size",
    "/init_weight_transfer_engine",
    "/is_paused",
    "/is_scaling_elastic_ep",
    "/is_sleeping",
    "/metrics",
    "/metrics/",
    "/pause",
    "/release_kv_cache_memory",
    "/reset_encoder_cache",
    "/reset_mm_cache",
    "/reset_prefix_cache",
    "/resume",
    "/scale_elastic_ep",
    "/server_info",
    "/shutdown_weight_transfer_engine",
    "/sleep",
    "/sleep?level=2",
    "/start_draft_weight_update",
    "/start_profile",
    "/start_weight_update",
    "/stop_profile",
    "/update_weight_version",
    "/update_weights",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/wake_up",
    "/weight_checker",
    "/weight_info",
]
DISGUISES = [
    "//sleep",
    "/SLEEP",
    "/sleep/",
    "/./sleep",
    "/v1/../sleep",
    "/v1/..//sleep",
    "/%73leep",
    "/%2573leep",
    "/v1/%2e%2e/sleep",
    "/v1/..%2fsleep",
    "/%2Fsleep",
    "/sleep%2F",
    "/sleep%00",
    "/sleep%20",
    "/sleep;a=b",
    "/\\sleep",
    "/v1\\..\\sleep",
    "/%5csleep",
    "/api/sleep",
    "/../sleep",
    "/\u017fleep".encode().decode("latin-1"),
    "/sleep#x",
]
ORDINARY = [
    "/",
    "/v1/chat/completions",
    "/v1/chat/completions/batch",
    "/v1/completions",
    "/v1/completions/render",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/responses/resp_123/cancel",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/v1/audio/transcriptions",
    "/inference/v1/generate",
    "/tokenize",
    "/detokenize",
    "/pooling",
    "/score",
    "/v2/rerank",
    "/classify",
    "/invocations",
    "/ping",
    "/version",
    "/load",
    "/openapi.json",
    "/docs",
    "/health",
    "/v1/chat/completions?then=/sleep",
    "/sleepless",
]


@pytest.mark.parametrize("target", [*VERBS, *DISGUISES])
def test_operators_verbs_are_recognised(target: str) -> None:
    assert has_engine_verb(segments(target.encode("latin-1")))


@pytest.mark.parametrize("target", ORDINARY)
def test_ordinary_paths_are_let_through(target: str) -> None:
    assert not has_engine_verb(segments(target.encode()))


def test_segments_are_resolved() -> None:
    assert segments(b"/V1//./x/../Models/?a=b") == ["v1", "models"]
