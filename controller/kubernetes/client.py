"""The API server of Kubernetes through lightkube: a client, deadlines of our own, and our own errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import httpx2
import msgspec
import yaml
from lightkube import AsyncClient, KubeConfig
from lightkube import ConfigError as NoCluster

from controller.errors import ConfigError, KubernetesError

FIELD_MANAGER = "wattroute-controller"
"""Name under which what this controller writes stands in managedFields."""
TIMEOUT_S = 2.0
"""An API server that is frozen takes requests and never answers: each has this long."""
_SHOWN_CHARS = 300


@contextlib.asynccontextmanager
async def opened_client(namespace: str | None = None) -> AsyncIterator[AsyncClient]:
    """A client of the cluster that this process runs in, or of the one that KUBECONFIG names.

    Args:
        namespace: where nothing else is said; None for the pod's own.

    Raises:
        ConfigError: there is no cluster to be found.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells each request
    try:
        # Not by a proxy that the environment names for what is outside: the lead would be lost with it.
        client = AsyncClient(
            KubeConfig.from_env().get(),
            namespace=namespace,
            field_manager=FIELD_MANAGER,
            timeout=httpx2.Timeout(TIMEOUT_S),
            trust_env=False,
        )
    except (NoCluster, OSError, KeyError, ValueError, yaml.YAMLError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"no Kubernetes cluster can be reached from here: {type(error).__name__}: {error}; run the controller in a "
            "pod with a service account (automountServiceAccountToken: true), or set KUBECONFIG"
        ) from error
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def asked(what: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[None]:
    """Ask the API server within; what goes wrong is a `KubernetesError`.

    Args:
        what: is asked, for the error's text.
        timeout_s: longest wait for the answers, whatever the server does.

    Raises:
        KubernetesError: it could not be reached, did not answer in time, refused, or answered nonsense.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise KubernetesError(what, f"no answer within {timeout_s:g} s") from error
    except httpx2.HTTPStatusError as error:
        answer = error.response
        raise KubernetesError(what, _reason(answer), answer.status_code, _retry_after_s(answer)) from error
    except (httpx2.HTTPError, httpx2.StreamError, NoCluster, OSError, KeyError, ValueError) as error:
        # A refusal without a content type comes out of lightkube as KeyError, an answer that is no JSON as ValueError.
        raise KubernetesError(what, f"{type(error).__name__}: {error}"[:_SHOWN_CHARS]) from error


def _reason(response: httpx2.Response) -> str:
    """What the server says of its refusal; its status alone where it says nothing."""
    with contextlib.suppress(ValueError, RecursionError):
        told = response.json()
        if isinstance(told, dict) and isinstance(told.get("message"), str):
            return f"{response.status_code}: {told['message']}"[:_SHOWN_CHARS]
    return f"{response.status_code} {response.reason_phrase}"


def _retry_after_s(response: httpx2.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() else None
