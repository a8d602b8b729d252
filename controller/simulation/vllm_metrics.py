"""Metrics of an emulated engine in Prometheus' text form, with the names, types and labels of vLLM 0.32. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

_TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
_STEP_TOKENS = (1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)
_TTFT_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_ITL_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0),
    *(40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)

HISTOGRAMS: dict[str, tuple[tuple[float, ...], str]] = {
    "request_prompt_tokens": (_TOKENS, "Number of prefill tokens processed."),
    "request_generation_tokens": (_TOKENS, "Number of generation tokens processed."),
    "iteration_tokens_total": (_STEP_TOKENS, "Histogram of number of tokens per engine_step."),
    "request_params_n": ((1.0, 2.0, 5.0, 10.0, 20.0), "Histogram of the n request parameter."),
    "request_params_max_tokens": (_TOKENS, "Histogram of the max_tokens request parameter."),
    "time_to_first_token_seconds": (_TTFT_S, "Histogram of time to first token in seconds."),
    "inter_token_latency_seconds": (_ITL_S, "Histogram of inter-token latency in seconds."),
    "request_time_per_output_token_seconds": (_ITL_S, "Histogram of time_per_output_token_seconds per request."),
    "e2e_request_latency_seconds": (_REQUEST_S, "Histogram of e2e request latency in seconds."),
    "request_queue_time_seconds": (_REQUEST_S, "Histogram of time spent in WAITING phase for request."),
    "request_inference_time_seconds": (_REQUEST_S, "Histogram of time spent in RUNNING phase for request."),
    "request_prefill_time_seconds": (_REQUEST_S, "Histogram of time spent in PREFILL phase for request."),
    "request_decode_time_seconds": (_REQUEST_S, "Histogram of time spent in DECODE phase for request."),
}

FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
SLEEP_STATES = ("awake", "weights_offloaded", "discard_all")


class Histogram:
    """Counts of observations by bucket; the last one takes what lies above all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


@dataclass(frozen=True, slots=True)
class EngineGauges:
    """The engine's state at the moment of a scrape.

    Attributes:
        sleep_level: None while awake.
    """

    running: int
    waiting: int
    kv_cache_usage_frac: float
    kv_capacity_tokens: int
    sleep_level: int | None
    prompt_tokens: int
    generation_tokens: int
    preemptions: int
    precision: str


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request.

    Attributes:
        arrived_s, scheduled_s, first_token_s, last_token_s: on one clock.
        wanted_max_tokens: the limit the client wrote, None where it wrote none.
    """

    finish_reason: str
    prompt_tokens: int
    generation_tokens: int
    n: int
    wanted_max_tokens: int | None
    arrived_s: float
    scheduled_s: float
    first_token_s: float
    last_token_s: float


class EngineMetrics:
    """Counters and histograms of one engine since its start at `created_s` (seconds since the epoch)."""

    def __init__(self, model_name: str, created_s: float) -> None:
        self.histograms = {name: Histogram(bounds) for name, (bounds, _) in HISTOGRAMS.items()}
        self.finished = dict.fromkeys(FINISH_REASONS, 0)
        self.rejections = 0
        self._model_name = model_name
        self._created_s = created_s

    def observe(self, name: str, value: float, times: int = 1) -> None:
        """Count a value in a histogram, by its name without prefix."""
        self.histograms[name].observe(value, times)

    def observe_request(self, record: RequestRecord) -> None:
        """Count a finished request."""
        decode_s = record.last_token_s - record.first_token_s
        self.finished[record.finish_reason] += 1
        self.observe("request_prompt_tokens", record.prompt_tokens)
        self.observe("request_generation_tokens", record.generation_tokens)
        self.observe("request_params_n", record.n)
        if record.wanted_max_tokens is not None:
            self.observe("request_params_max_tokens", record.wanted_max_tokens)
        self.observe("e2e_request_latency_seconds", record.last_token_s - record.arrived_s)
        self.observe("request_queue_time_seconds", record.scheduled_s - record.arrived_s)
        self.observe("request_inference_time_seconds", record.last_token_s - record.scheduled_s)
        self.observe("request_prefill_time_seconds", record.first_token_s - record.scheduled_s)
        self.observe("request_decode_time_seconds", decode_s)
        if record.generation_tokens > 1:
            self.observe("request_time_per_output_token_seconds", decode_s / (record.generation_tokens - 1))

    def render(self, gauges: EngineGauges) -> bytes:
        """Text exposition."""
        page = _Page(f'engine="0",model_name="{_escape(self._model_name)}"', self._created_s)
        for name, value, text in _plain_gauges(gauges):
            page.gauge(name, text, [("", value)])
        reasons = [(',reason="capacity"', float(gauges.waiting)), (',reason="deferred"', 0.0)]
        page.gauge("num_requests_waiting_by_reason", "Number of waiting requests by reason.", reasons)
        states = zip(SLEEP_STATES, _sleep_states(gauges.sleep_level), strict=True)
        state_series = [(f',sleep_state="{state}"', value) for state, value in states]
        page.gauge("engine_sleep_state", "Engine sleep state; awake = 0 means engine is sleeping.", state_series)
        for name, count, text in _plain_counters(gauges):
            page.counter(name, text, [("", float(count))])
        done = [(f',finished_reason="{reason}"', float(count)) for reason, count in self.finished.items()]
        page.counter("request_success_total", "Count of successfully processed requests.", done)
        page.rejections(self._model_name, self.rejections)
        for name, histogram in self.histograms.items():
            page.histogram(name, HISTOGRAMS[name][1], histogram)
        page.info(gauges)
        return page.text()


def _plain_gauges(gauges: EngineGauges) -> Iterable[tuple[str, float, str]]:
    yield "num_requests_running", float(gauges.running), "Number of requests in model execution batches."
    yield "num_requests_waiting", float(gauges.waiting), "Number of requests waiting to be processed."
    yield "kv_cache_usage_perc", gauges.kv_cache_usage_frac, "KV-cache usage. 1 means 100 percent usage."


def _plain_counters(gauges: EngineGauges) -> Iterable[tuple[str, int, str]]:
    yield "num_preemptions_total", gauges.preemptions, "Cumulative number of preemption from the engine."
    yield "prompt_tokens_total", gauges.prompt_tokens, "Number of prefill tokens processed."
    yield "prompt_tokens_cached_total", 0, "Number of cached prompt tokens (local + external)."
    yield "generation_tokens_total", gauges.generation_tokens, "Number of generation tokens processed."
    yield "prefix_cache_queries_total", gauges.prompt_tokens, "Prefix cache queries, in terms of number of tokens."
    yield "prefix_cache_hits_total", 0, "Prefix cache hits, in terms of number of cached tokens."


def _sleep_states(level: int | None) -> tuple[float, float, float]:
    return (1.0 if level is None else 0.0, 1.0 if level == 1 else 0.0, 1.0 if level == 2 else 0.0)


class _Page:
    def __init__(self, labels: str, created_s: float) -> None:
        self._labels = labels
        self._created_s = created_s
        self._lines: list[str] = []

    def gauge(self, name: str, text: str, series: list[tuple[str, float]]) -> None:
        self._head(f"vllm:{name}", "gauge", text)
        self._lines += [f"vllm:{name}{{{self._labels}{extra}}} {value}" for extra, value in series]

    def counter(self, name: str, text: str, series: list[tuple[str, float]]) -> None:
        self._head(f"vllm:{name}", "counter", text)
        self._lines += [f"vllm:{name}{{{self._labels}{extra}}} {value}" for extra, value in series]
        self._created(name.removesuffix("_total"), text, [extra for extra, _ in series])

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        full = f"vllm:{name}"
        self._head(full, "histogram", text)
        below = 0
        for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
            below += count
            edge = "+Inf" if bound is None else bound
            self._lines.append(f'{full}_bucket{{{self._labels},le="{edge}"}} {float(below)}')
        self._lines.append(f"{full}_count{{{self._labels}}} {float(below)}")
        self._lines.append(f"{full}_sum{{{self._labels}}} {histogram.total}")
        self._created(name, text, [""])

    def rejections(self, model_name: str, count: int) -> None:
        """This family alone carries no engine label."""
        name, text = "vllm:admission_rejections", "Number of admission attempts rejected by a queue limit, by reason."
        model = f'model_name="{_escape(model_name)}"'
        self._head(f"{name}_total", "counter", text)
        self._lines.append(f'{name}_total{{{model},reason="max_num_queued_reqs"}} {float(count)}')
        self._head(f"{name}_created", "gauge", text)
        self._lines.append(f'{name}_created{{{model},reason="max_num_queued_reqs"}} {self._created_s}')

    def info(self, gauges: EngineGauges) -> None:
        self._head("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig")
        size = f'kv_cache_size_tokens="{gauges.kv_capacity_tokens}"'
        self._lines.append(f'vllm:cache_config_info{{cache_dtype="auto",engine="0",{size}}} 1.0')
        self._head("wattroute_emulator_info", "gauge", "Present where the engine is emulated.")
        self._lines.append(f'wattroute_emulator_info{{{self._labels},precision="{gauges.precision}"}} 1.0')

    def text(self) -> bytes:
        return "\n".join((*self._lines, "")).encode()

    def _created(self, name: str, text: str, extras: list[str]) -> None:
        self._head(f"vllm:{name}_created", "gauge", text)
        self._lines += [f"vllm:{name}_created{{{self._labels}{extra}}} {self._created_s}" for extra in extras]

    def _head(self, full_name: str, kind: str, text: str) -> None:
        self._lines += [f"# HELP {full_name} {text}", f"# TYPE {full_name} {kind}"]


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
