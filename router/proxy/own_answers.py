"""What the router answers by itself on its public port: health, the list of models, and a no to operators' verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.exchange import Refusal
from router.http1.engine_verbs import has_engine_verb, segments
from router.http1.request_head import RequestHead
from router.proxy.models import ModelList

if TYPE_CHECKING:
    from router.proxy.client_side import ClientConnection
    from router.proxy.gateway import Gateway


class OwnAnswers:
    """Answers what no engine is asked."""

    def __init__(self, gateway: Gateway, models: ModelList) -> None:
        self._gateway = gateway
        self._models = models

    def serve(self, client: ClientConnection, head: RequestHead) -> bool:
        """Answer a request, or refuse it, if it is for the router; True if it was."""
        path = segments(head.target)
        if self._gateway.dispatcher.has_tenants and path != ["health"] and self._lacks_key(client, head):
            return True
        if has_engine_verb(path):
            self._gateway.refuse_here(client, Refusal(404, "not_served", "this path is not served here"))
            return True
        if head.method not in (b"GET", b"HEAD"):
            return False
        if path == ["health"]:
            self._answer_health(client)
            return True
        if path == ["v1", "models"]:
            authorization = None if self._gateway.keeps_credentials else head.fields.get(b"authorization")
            self._models.ask(authorization, lambda answer: client.answer(*answer))
            return True
        return False

    def _lacks_key(self, client: ClientConnection, head: RequestHead) -> bool:
        """Refuse a request without a tenant's key; True if it was."""
        refusal = self._gateway.key_refusal(head)
        if refusal is None:
            return False
        self._gateway.refuse(client, refusal)
        return True

    def _answer_health(self, client: ClientConnection) -> None:
        if self._gateway.dispatcher.has_usable():
            client.answer(200, b'{"status":"ok"}')
        else:
            self._gateway.refuse_here(client, Refusal(503, "no_instance", "no instance can take a request now", 1.0))
