"""From the body of a generation request to what the engine is asked for, with vLLM's checks and defaults. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any, TypeGuard
from zlib import crc32

from controller.simulation import tokenizer, vllm_errors
from controller.simulation.vllm_errors import ApiError

MAX_N = 128
_NOT_EMULATED = ("logprobs", "top_logprobs", "prompt_logprobs", "echo", "structured_outputs", "use_beam_search")
_FLOATS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
_INTEGERS = ("n", "max_tokens", "max_completion_tokens", "min_tokens", "seed", "top_k", "priority")
_BOOLEANS = ("stream", "ignore_eos")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What an instance serves, and the emulation's own choice of how long answers are.

    Attributes:
        name: as clients ask for it.
        root: where its weights would come from; tells the precision.
        max_model_len: most tokens of prompt and answer together.
        mean_answer_tokens: mean length of answers that end by themselves.
    """

    name: str
    root: str
    max_model_len: int
    mean_answer_tokens: float = 256.0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A checked request.

    Attributes:
        prompt_tokens: of each prompt; a chat has one.
        n: answers for each prompt.
        max_tokens: most tokens of an answer, one entry a prompt.
        min_tokens: fewest before an answer may end by itself.
        ignore_eos: answers end at `max_tokens` only.
        seed: makes the lengths of answers repeatable.
        wanted_max_tokens: the limit the client wrote, None where it wrote none.
        greedy_keys: where the answer is greedy, a number for each prompt that tells its text from others; else empty.
    """

    chat: bool
    model: str
    prompt_tokens: tuple[int, ...]
    n: int
    max_tokens: tuple[int, ...]
    min_tokens: int
    ignore_eos: bool
    seed: int | None
    stream: bool
    include_usage: bool
    continuous_usage: bool
    wanted_max_tokens: int | None
    greedy_keys: tuple[int, ...] = ()

    @property
    def total_prompt_tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(self.prompt_tokens)


def parse_json(content_type: str, body: bytes) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: it is not declared as JSON, not text, not JSON or not an object.
    """
    if content_type.split(";", 1)[0].strip().lower() != "application/json":
        raise vllm_errors.unsupported_media_type()
    if not body:
        raise vllm_errors.invalid("body", "missing", "Field required", "None")
    try:
        data = json.loads(body)
    except json.JSONDecodeError as error:
        place = f"body.{error.pos}"
        raise vllm_errors.invalid(place, "json_invalid", "JSON decode error", "<dict of 0 items>", error.msg) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise vllm_errors.unreadable_body() from error
    if not isinstance(data, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise vllm_errors.invalid("body", "model_attributes_type", message, _shown(data))
    return data


def parse_chat(data: dict[str, Any], served: ServedModel) -> GenerationRequest:
    """A request to /v1/chat/completions.

    Raises:
        ApiError: as vLLM answers it.
    """
    messages = data.get("messages")
    if messages is None:
        raise _missing("messages", data)
    if not isinstance(messages, list):
        raise vllm_errors.invalid("body.messages", "list_type", "Input should be a valid list", _shown(messages))
    if data.get("tools") and data.get("tool_choice", "auto") != "none":
        text = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        raise vllm_errors.bad_request(text)
    limit = data.get("max_completion_tokens")
    limit = data.get("max_tokens") if limit is None else limit
    prompts = (tokenizer.count_chat(messages),)
    said = [[item.get("role"), tokenizer.message_text(item)] for item in messages if isinstance(item, dict)]
    return _parse(data, served, chat=True, prompts=prompts, texts=[said], limit=limit)


def parse_completion(data: dict[str, Any], served: ServedModel) -> GenerationRequest:
    """A request to /v1/completions; without `max_tokens` an answer has 16 tokens, as the API defines.

    Raises:
        ApiError: as vLLM answers it.
    """
    if data.get("prompt") is None:
        raise _missing("prompt", data)
    limit = data.get("max_tokens")
    prompts = _prompt_tokens(data["prompt"])
    texts = data["prompt"] if len(prompts) > 1 else [data["prompt"]]
    return _parse(data, served, chat=False, prompts=prompts, texts=texts, limit=16 if limit is None else limit)


def answer_tokens(request: GenerationRequest, prompt: int, served: ServedModel, rng: Random) -> tuple[int, str]:
    """Length of an answer and why it ends: ``length`` at the limit, else ``stop``, geometrically distributed."""
    limit = request.max_tokens[prompt]
    if request.ignore_eos:
        return limit, "length"
    length = max(1, request.min_tokens, round(rng.expovariate(1.0 / served.mean_answer_tokens)))
    return (limit, "length") if length >= limit else (length, "stop")


def greedy_keys(data: dict[str, Any], texts: list[Any]) -> tuple[int, ...]:
    """What tells the prompts of a greedy request apart; nothing where the answer is sampled."""
    if data.get("temperature") != 0 and data.get("top_k") != 1:
        return ()
    return tuple(crc32(json.dumps(text).encode()) for text in texts)


def _parse(
    data: dict[str, Any],
    served: ServedModel,
    *,
    chat: bool,
    prompts: tuple[int, ...],
    texts: list[Any],
    limit: Any,
) -> GenerationRequest:
    _check_types(data)
    options = _stream_options(data)
    model = data.get("model") or served.name
    if model != served.name:
        raise vllm_errors.unknown_model(str(model), served.name)
    _check_emulated(data)
    n = 1 if data.get("n") is None else data["n"]
    if not 1 <= n <= MAX_N:
        raise vllm_errors.bad_parameter(f"n must be between 1 and {MAX_N}, got {n}.", "n", n)
    min_tokens = data.get("min_tokens") or 0
    max_tokens = tuple(_limit(limit, tokens, served) for tokens in prompts)
    if limit is not None and not 0 <= min_tokens <= limit:
        text = f"min_tokens must be between 0 and max_tokens={limit}, got {min_tokens}."
        raise vllm_errors.bad_parameter(text, "min_tokens", min_tokens)
    return GenerationRequest(
        chat=chat,
        model=model,
        prompt_tokens=prompts,
        n=n,
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        ignore_eos=bool(data.get("ignore_eos")),
        seed=data.get("seed"),
        stream=bool(data.get("stream")),
        include_usage=bool(options.get("include_usage")),
        continuous_usage=bool(options.get("continuous_usage_stats")),
        wanted_max_tokens=limit,
        greedy_keys=greedy_keys(data, texts),
    )


def _limit(limit: int | None, prompt_tokens: int, served: ServedModel) -> int:
    """Most tokens of an answer: what was asked for, cut to what fits beside the prompt."""
    room = served.max_model_len - prompt_tokens
    if limit is not None and limit < 1:
        raise vllm_errors.bad_parameter(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    if limit is not None and limit > served.max_model_len:
        text = (
            f"max_tokens={limit} cannot be greater than max_model_len={served.max_model_len}. "
            "Please request fewer output tokens."
        )
        raise vllm_errors.bad_parameter(text, "max_tokens", limit)
    if room < 1:
        raise vllm_errors.too_long(served.max_model_len)
    return room if limit is None else min(limit, room)


def _prompt_tokens(prompt: Any) -> tuple[int, ...]:
    """Tokens of each prompt: a text, a list of token ids, or a list of either."""
    if isinstance(prompt, str):
        return (tokenizer.count(prompt) or 1,)
    if _are_ids(prompt):
        return (len(prompt),)
    if isinstance(prompt, list) and prompt and all(isinstance(item, str) or _are_ids(item) for item in prompt):
        return tuple(len(item) if isinstance(item, list) else tokenizer.count(item) or 1 for item in prompt)
    message = "Input should be a text, a list of token ids, or a list of either"
    raise vllm_errors.invalid("body.prompt", "prompt_type", message, _shown(prompt))


def _are_ids(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _stream_options(data: dict[str, Any]) -> dict[str, Any]:
    options = data.get("stream_options")
    if options is None:
        return {}
    if not data.get("stream"):
        text = "Stream options can only be defined when `stream=True`. (parameter=stream_options)"
        raise vllm_errors.bad_request(text, "stream_options")
    if not isinstance(options, dict):
        message = "Input should be a valid dictionary or instance of StreamOptions"
        raise vllm_errors.invalid("body.stream_options", "model_type", message, _shown(options))
    return options


def _check_types(data: dict[str, Any]) -> None:
    for field in _FLOATS:
        value = data.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            message = "Input should be a valid number, unable to parse string as a number"
            raise vllm_errors.invalid(f"body.{field}", "float_parsing", message, _shown(value))
    for field in _INTEGERS:
        value = data.get(field)
        if value is not None and type(value) is not int:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise vllm_errors.invalid(f"body.{field}", "int_parsing", message, _shown(value))
    for field in _BOOLEANS:
        value = data.get(field)
        if value is not None and not isinstance(value, bool):
            message = "Input should be a valid boolean, unable to interpret input"
            raise vllm_errors.invalid(f"body.{field}", "bool_parsing", message, _shown(value))


def _check_emulated(data: dict[str, Any]) -> None:
    for field in _NOT_EMULATED:
        if data.get(field):
            raise vllm_errors.not_emulated(field)
    response_format = data.get("response_format")
    if response_format and response_format != {"type": "text"}:
        raise vllm_errors.not_emulated("response_format")


def _missing(field: str, data: dict[str, Any]) -> ApiError:
    return vllm_errors.invalid(f"body.{field}", "missing", "Field required", f"<dict of {len(data)} items>")


def _shown(value: Any) -> str:
    """A value as it appears in an error: containers by their size, so that nothing long comes back."""
    if isinstance(value, dict | list):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)[:80]
