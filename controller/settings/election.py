"""The settings `controller.election`: how several controllers choose the one that acts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from router.settings import Group, Seconds

_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
Label = Annotated[str, Field(min_length=1, max_length=253, pattern=_NAME)]


class ElectionSettings(Group):
    """Several controllers of one site, of which one leads and the others stand by; needs table.redis_url."""

    kind: Literal["lease"]
    """lease: by a Lease of the Kubernetes API server (extra `kubernetes`)."""
    name: Label = "wattroute-controller"
    """Name of the lease: one for all controllers of a site, and another for another site."""
    namespace: Label | None = None
    """Namespace of the lease. Absent: that of the pod."""
    identity: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Name of this controller, to which something unique is added. Absent: POD_NAME, or else the host's name."""
    address: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Where operators reach this controller while it leads, as told by the others. Absent: POD_IP, or the host, with
    the controller's port."""
    lease_s: Annotated[float, Field(ge=3, le=300)] = 10.0
    """A leader that was not heard for so long is replaced."""
    renew_deadline_s: Seconds = 7.0
    """A leader that could not renew its lease for so long does nothing more."""
    renew_every_s: Seconds = 2.0
    """Time between two renewals, and between two looks of those that stand by."""

    @model_validator(mode="after")
    def _in_order(self) -> ElectionSettings:
        if self.lease_s != round(self.lease_s):
            raise ValueError(f"lease_s is {self.lease_s:g}; a Lease knows whole seconds")
        if not 2 * self.renew_every_s < self.renew_deadline_s < self.lease_s:
            raise ValueError(
                f"renew_every_s {self.renew_every_s:g}, renew_deadline_s {self.renew_deadline_s:g} and lease_s "
                f"{self.lease_s:g} leave no room: at least two renewals must fit before the deadline, which must be "
                "less than the lease"
            )
        return self
