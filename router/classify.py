"""Which class a request is of, and whether it may have the precision it asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from router.contract import ClassId, Precision
from router.exchange import Hints, Refusal
from router.openai import RequestFacts
from router.settings import ClassSettings, RouterFile
from router.tenants.keys import Key
from router.tenants.rights import check_class, check_pin
from router.tenants.tenant import Tenant

CLASS_HEADER = b"x-wattroute-class"
PRECISION_HEADER = b"x-wattroute-precision"
SESSION_HEADER = b"x-session-id"
ENERGY_HEADER = b"x-wattroute-energy"

_PRECISIONS = {precision.value: precision for precision in Precision}
_MAX_SHOWN = 64
_YES = frozenset({"1", "true"})


class Classifier:
    """Reads what a request's head says, and combines it with what its body says."""

    def __init__(self, settings: RouterFile) -> None:
        self._model = settings.model
        self._classes = {cls.name: cls for cls in settings.classes}
        self._default = self._classes[settings.default_class or settings.classes[0].name]
        self._by_tier = {tier: cls for cls in settings.classes for tier in cls.service_tiers}
        self._tells_energy = settings.router.tell_energy
        self._offered = frozenset(pool.precision for pool in settings.pools)

    def hints(self, fields: Mapping[bytes, bytes], key: Key[Tenant] | None = None) -> Hints | Refusal:
        """Read a head's fields, by lower-case name; `key` is the tenant's that was found among them."""
        name = _read(fields, CLASS_HEADER)
        if name is not None and name not in self._classes:
            known = ", ".join(self._classes)
            return Refusal(400, "unknown_class", f"class {_shown(name)} is not configured; use one of: {known}")
        pin = _read(fields, PRECISION_HEADER)
        precision = None if pin is None else _PRECISIONS.get(pin.lower())
        if pin is not None and precision is None:
            known = ", ".join(_PRECISIONS)
            return Refusal(400, "unknown_precision", f"precision {_shown(pin)} is not known; use one of: {known}")
        wants_energy = self._tells_energy and _read(fields, ENERGY_HEADER) in _YES
        class_id = None if name is None else ClassId(name)
        return Hints(class_id, precision, _read(fields, SESSION_HEADER), key, wants_energy)

    def class_of(self, hints: Hints, facts: RequestFacts) -> ClassSettings | Refusal:
        """By header, else by ``service_tier``, else the default; a service tier no class lists means the default.

        The default is the tenant's, if it has one. A class that the tenant may not have is refused.
        """
        key = hints.key
        default = self._default
        if key is not None and key.owner.spec.default_class is not None:
            default = self._classes.get(key.owner.spec.default_class, default)
        if hints.class_id is not None:
            found = self._classes[hints.class_id]
        elif facts.service_tier:
            found = self._by_tier.get(facts.service_tier, default)
        else:
            return default
        if key is None:
            return found
        return check_class(key.owner.spec, ClassId(found.name), ClassId(default.name)) or found

    def pin_of(self, hints: Hints, facts: RequestFacts) -> tuple[Precision | None, str | None] | Refusal:
        """The precision asked for, and the model's name without it where the name carried it.

        The name carries a pin as ``model@precision``. What follows the ``@`` of any other name is part of the name.
        """
        wanted, model = hints.precision, facts.model
        if model is None or "@" not in model or model == self._model:
            return wanted, None
        base, _, suffix = model.rpartition("@")
        pin = _PRECISIONS.get(suffix.lower())
        if pin is None or not base:
            return wanted, None
        if wanted is not None and pin is not wanted:
            return Refusal(
                400,
                "unknown_precision",
                f"the model's name asks for {pin.value}, the header x-wattroute-precision for {wanted.value}; "
                "send one of them",
            )
        return pin, base

    def check_pin(self, cls: ClassSettings, pin: Precision, key: Key[Tenant] | None = None) -> Refusal | None:
        """None if class and tenant may pin this precision and a pool offers it."""
        if key is not None:
            refusal = check_pin(key.owner.spec, pin)
            if refusal is not None:
                return refusal
        if not cls.pin_allowed:
            return Refusal(
                403,
                "pin_not_allowed",
                f"class '{cls.name}' may not pin its precision; leave {pin.value} out, or use another class",
            )
        if cls.precisions and pin not in cls.precisions:
            allowed = ", ".join(cls.precisions)
            return Refusal(
                403,
                "precision_not_allowed",
                f"class '{cls.name}' is not served at {pin.value}; it may have: {allowed}",
            )
        if pin not in self._offered:
            offered = ", ".join(precision.value for precision in Precision if precision in self._offered)
            return Refusal(400, "precision_not_offered", f"no pool serves {pin.value}; there is: {offered}")
        return None


def _read(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = fields.get(name)
    return value.decode("latin-1").strip() or None if value is not None else None


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…")
