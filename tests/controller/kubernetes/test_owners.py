import pytest

from controller.kubernetes.owners import (
    Autoscaler,
    ReplicaWriter,
    Workload,
    autoscaler_of,
    refusal,
    replica_writers,
)
from tests.fakes.kube.samples import autoscaler, scaled_object

ME = "wattroute-controller"
FP8 = Workload("Deployment", "vllm-fp8", "llm")


def refused(*autoscalers, writers=(), was_ours=False):
    return refusal(FP8, autoscalers, writers, manager=ME, was_ours=was_ours)


def read(made, kind):
    return autoscaler_of({**made, "kind": kind})


def test_who_scales_the_workload_is_named_with_what_to_do():
    hpa = read(autoscaler("own", "vllm-fp8"), "HorizontalPodAutoscaler")
    assert refused(hpa) == (
        "HorizontalPodAutoscaler own scales Deployment llm/vllm-fp8; delete it, or let it read "
        "wattroute_controller_desired_replicas and write mode: recommend"
    )
    told = refused(read(scaled_object("keda", "vllm-fp8"), "ScaledObject"))
    assert "ScaledObject keda scales" in told
    assert "delete it or pause it by autoscaling.keda.sh/paused alone, or let it read" in told


@pytest.mark.parametrize(
    "other",
    [
        Autoscaler("HorizontalPodAutoscaler", "other", ("Deployment", "vllm-bf16")),
        Autoscaler("HorizontalPodAutoscaler", "set", ("StatefulSet", "vllm-fp8")),
        Autoscaler("ScaledObject", "resting", ("Deployment", "vllm-fp8"), is_paused=True),
    ],
)
def test_who_scales_another_or_rests_is_in_nobodys_way(other):
    assert refused(other) is None


@pytest.mark.parametrize(
    ("annotations", "is_paused"),
    [
        ({}, False),
        ({"autoscaling.keda.sh/paused": "true"}, True),
        ({"autoscaling.keda.sh/paused": "false"}, False),
        ({"autoscaling.keda.sh/paused-replicas": "2"}, False),
        ({"autoscaling.keda.sh/paused": "true", "autoscaling.keda.sh/paused-replicas": "2"}, False),
    ],
)
def test_keda_is_paused_by_its_annotation_unless_it_holds_a_number(annotations, is_paused):
    made = scaled_object("keda", "vllm-fp8")
    made["metadata"]["annotations"] = annotations
    assert read(made, "ScaledObject").is_paused is is_paused


@pytest.mark.parametrize("nonsense", [{}, {"kind": "X", "metadata": {"name": "x"}, "spec": None}, {"spec": []}])
def test_what_is_no_autoscaler_is_refused(nonsense):
    with pytest.raises(ValueError, match="no autoscaler"):
        autoscaler_of(nonsense)


def test_owners_of_replicas_are_read_from_managed_fields():
    fields = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    entries = [
        {"manager": "helm", "operation": "Apply", "fieldsV1": fields},
        {"manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": fields},
        {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {"f:replicas": {}}}},
        {"manager": "odd", "operation": "Update", "fieldsV1": None},
        {},
    ]
    assert replica_writers(entries) == (ReplicaWriter("helm", True), ReplicaWriter("kubectl", False))


def test_who_applies_replicas_would_put_them_back():
    assert "'helm' applies the replicas" in refused(writers=[ReplicaWriter("helm", True)])
    assert "'argocd' applies" in refused(writers=[ReplicaWriter(ME, False), ReplicaWriter("argocd", True)])


def test_who_wrote_them_once_gives_way_but_not_who_takes_them_over():
    kubectl, me = ReplicaWriter("kubectl", False), ReplicaWriter(ME, False)
    assert refused(writers=[kubectl]) is None
    assert refused(writers=[me], was_ours=True) is None
    assert refused(writers=[kubectl, me], was_ours=True) is None
    assert "'kubectl' has taken over" in refused(writers=[kubectl], was_ours=True)
