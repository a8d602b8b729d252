"""Kinds that Kubernetes' own schemas do not know: the fields of the Prometheus Operator's that the chart may write.

Names, types and patterns are those of the operator's CustomResourceDefinitions, API version monitoring.coreos.com/v1
(PodMonitor of release 0.91, PrometheusRule of 0.82). A field that is not here is refused: an API server
would drop it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WORDS: Schema = {"type": "object", "additionalProperties": TEXT}
DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}


def strict(*required: str, **properties: Schema) -> Schema:
    """An object with these fields alone."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def rows(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def kind(name: str, spec: Schema) -> Schema:
    """An object of that kind."""
    metadata = strict("name", "namespace", name=TEXT, namespace=TEXT, labels=WORDS, annotations=WORDS)
    version = {"const": "monitoring.coreos.com/v1"}
    return strict(
        "apiVersion", "kind", "metadata", "spec", apiVersion=version, kind={"const": name}, metadata=metadata, spec=spec
    )


_SECRET_KEY = strict("key", "name", key=TEXT, name={"type": "string", "minLength": 1}, optional={"type": "boolean"})
_KEY_OF = strict(secret=_SECRET_KEY, configMap=_SECRET_KEY)
_TLS = strict(ca=_KEY_OF, cert=_KEY_OF, keySecret=_SECRET_KEY, serverName=TEXT, insecureSkipVerify={"type": "boolean"})
_RELABELING = strict(
    sourceLabels=rows(TEXT), separator=TEXT, targetLabel=TEXT, regex=TEXT, replacement=TEXT, action=TEXT
)
_ENDPOINT = strict(
    "port",
    port={"type": "string", "pattern": "^[a-z0-9-]{1,15}$"},
    path=TEXT,
    interval=DURATION,
    scrapeTimeout=DURATION,
    scheme={"enum": ["http", "https", "HTTP", "HTTPS"]},
    tlsConfig=_TLS,
    authorization=strict(type=TEXT, credentials=_SECRET_KEY),
    relabelings=rows(_RELABELING),
)
_SELECTOR = strict(
    matchLabels=WORDS,
    matchExpressions=rows(strict("key", "operator", key=TEXT, operator=TEXT, values=rows(TEXT))),
)
_RULE = strict(
    "expr",
    alert=TEXT,
    record=TEXT,
    expr={"type": ["string", "integer"]},
    labels=WORDS,
    annotations=WORDS,
    keep_firing_for=DURATION,
    **{"for": DURATION},
)
_GROUP = strict("name", name={"type": "string", "minLength": 1}, interval=DURATION, rules=rows(_RULE))

SCHEMAS: dict[str, Schema] = {
    "PodMonitor": kind(
        "PodMonitor",
        strict(
            "selector",
            "podMetricsEndpoints",
            selector=_SELECTOR,
            podMetricsEndpoints=rows(_ENDPOINT),
            namespaceSelector=strict(matchNames=rows(TEXT), any={"type": "boolean"}),
            jobLabel=TEXT,
        ),
    ),
    "PrometheusRule": kind("PrometheusRule", strict("groups", groups=rows(_GROUP))),
}
"""By kind."""
