"""Which class a request is of, and whether it may have the precision it asks for. Pure."""

from __future__ import annotations

from collections.abc import Callable

from router.contract import Precision
from router.exchange import Refusal
from router.openai import RequestFacts
from router.settings import ClassSettings, RouterFile

CLASS_HEADER = b"x-wattroute-class"
PRECISION_HEADER = b"x-wattroute-precision"
SESSION_HEADER = b"x-session-id"

Header = Callable[[bytes], bytes | None]
_PRECISIONS = {precision.value: precision for precision in Precision}
_MAX_SHOWN = 64


class Classifier:
    """Reads a request's class, pin and session from its headers and its body."""

    def __init__(self, settings: RouterFile) -> None:
        self._model = settings.model
        self._classes = {cls.name: cls for cls in settings.classes}
        self._default = self._classes[settings.default_class or settings.classes[0].name]
        self._by_tier = {tier: cls for cls in settings.classes for tier in cls.service_tiers}
        self._offered = frozenset(pool.precision for pool in settings.pools)

    def class_of(self, header: Header, facts: RequestFacts) -> ClassSettings | Refusal:
        """By header, else by ``service_tier``, else the default; a service tier no class lists means the default."""
        name = _read(header, CLASS_HEADER)
        if name is None:
            return self._by_tier.get(facts.service_tier, self._default) if facts.service_tier else self._default
        found = self._classes.get(name)
        if found is None:
            known = ", ".join(self._classes)
            return Refusal(400, "unknown_class", f"class {_shown(name)} is not configured; use one of: {known}")
        return found

    def pin_of(self, header: Header, facts: RequestFacts) -> tuple[Precision | None, str | None] | Refusal:
        """The precision asked for, and the model's name without it where the name carried it.

        The name carries a pin as ``model@precision``. What follows the ``@`` of any other name is part of the name.
        """
        engine_model = None
        pin = None
        if facts.model is not None and "@" in facts.model and facts.model != self._model:
            base, _, suffix = facts.model.rpartition("@")
            pin = _PRECISIONS.get(suffix.lower())
            if pin is not None and base:
                engine_model = base
            else:
                pin = None
        name = _read(header, PRECISION_HEADER)
        if name is None:
            return pin, engine_model
        wanted = _PRECISIONS.get(name.lower())
        if wanted is None:
            known = ", ".join(_PRECISIONS)
            return Refusal(400, "unknown_precision", f"precision {_shown(name)} is not known; use one of: {known}")
        if pin is not None and pin is not wanted:
            return Refusal(
                400,
                "unknown_precision",
                f"the model's name asks for {pin.value}, the header x-wattroute-precision for {wanted.value}; "
                "send one of them",
            )
        return wanted, engine_model

    def check_pin(self, cls: ClassSettings, pin: Precision) -> Refusal | None:
        """None if the class may pin this precision and a pool offers it."""
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

    def session_of(self, header: Header, facts: RequestFacts) -> str | None:
        """The header x-session-id, else ``prompt_cache_key`` or ``user``; None if there is none of them."""
        return _read(header, SESSION_HEADER) or facts.session_key


def _read(header: Header, name: bytes) -> str | None:
    value = header(name)
    return value.decode("latin-1").strip() or None if value is not None else None


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…")
