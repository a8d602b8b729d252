"""Occupancy: instances that exist, bounds on those serving, and the GPUs they hold."""

from __future__ import annotations

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def instance_bounds(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """No more instances than there are; serving ones within their bounds.

        on[k, t] + sleeping[k, t] <= instances[k]
        sleeping[k, t] <= most_sleeping[k, t]
        min_on[k] <= on[k, t] <= max_on[k]        for all k, t        [instances]

    Shapes: on, sleeping, instances, most_sleeping, min_on, max_on (K, T).
    Source: arXiv 2606.18851, stage 1: instances that are on, asleep or off.
    """
    return [
        v.on + v.sleeping <= p.instances,
        v.sleeping <= p.most_sleeping,
        v.on >= p.min_on,
        v.on <= p.max_on,
    ]


def gpu_count(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """An instance that is on or asleep holds its GPUs.

        Σ_k gpus_each[c, k] · (on[k, t] + sleeping[k, t]) <= gpus[c]        for all c, t        [GPUs]

    Shapes: on, sleeping (K, T); gpus_each (C, K), 0 for pools of other sites; gpus (C, T).
    Source: arXiv 2606.18851, GPU occupancy.
    """
    return [p.gpus_each @ (v.on + v.sleeping) <= p.gpus]
