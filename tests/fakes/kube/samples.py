"""Objects for tests, with no more in them than is needed."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def pod_template(app: str) -> Object:
    container = {"name": "engine", "image": "registry.example/vllm:1", "ports": [{"containerPort": 8000}]}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}


def deployment(name: str, replicas: int | None = None, **labels: str) -> Object:
    """Without `replicas`, as a chart renders one that something else scales."""
    spec: Object = {"selector": {"matchLabels": {"app": name}}, "template": pod_template(name)}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def stateful_set(name: str, replicas: int | None = None, **labels: str) -> Object:
    made = deployment(name, replicas, **labels)
    made["spec"]["serviceName"] = name
    return made


def leader_worker_set(name: str, replicas: int = 1) -> Object:
    template = {"size": 2, "workerTemplate": pod_template(name)}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "leaderWorkerTemplate": template}}


def lease(name: str, holder: str, duration_s: int = 15) -> Object:
    return {"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration_s}}


def autoscaler(name: str, target: str, kind: str = "Deployment", api_version: str = "apps/v1") -> Object:
    reference = {"apiVersion": api_version, "kind": kind, "name": target}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 5}}


def scaled_object(name: str, target: str, kind: str | None = None, **annotations: str) -> Object:
    reference = {"name": target} | ({"kind": kind} if kind else {})
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"scaleTargetRef": reference}}


def pod(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": pod_template(name)["spec"]}


def endpoint(address: str, pod_name: str | None = None, **conditions: bool | None) -> Object:
    """`conditions`: ready, serving, terminating; ready alone where none is told."""
    made: Object = {"addresses": [address], "conditions": conditions or {"ready": True, "serving": True}}
    if pod_name is not None:
        made["targetRef"] = {"kind": "Pod", "name": pod_name}
    return made


def endpoint_slice(
    name: str, *endpoints: Object, service: str = "engines", ports: Any = None, family: str = "IPv4", **labels: str
) -> Object:
    """`ports`: name and number of each; one that is called http at 8000 where none are told."""
    told = [{"name": key, "port": port, "protocol": "TCP"} for key, port in (ports or {"http": 8000}).items()]
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, **labels}},
        "addressType": family,
        "ports": told,
        "endpoints": list(endpoints),
    }
