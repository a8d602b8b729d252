"""Where the allocation table comes from."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from router.settings.fields import Group, HostPort, Seconds, check_table_url
from router.settings.tls import ClientTlsSettings
from router.transport.redis_address import check_redis_url, master_name


def _check_key(value: str) -> str:
    if not value or " " in value or not value.isprintable():
        raise ValueError(f"{value!r:.100} is no key; write one without spaces, such as wattroute:SITE")
    return value


Key = Annotated[str, AfterValidator(_check_key), Field(json_schema_extra={"pattern": r"^\S+$"})]


class TableSettings(Group):
    """Where the allocation table comes from. With neither set the static weights are used."""

    url: Annotated[str, AfterValidator(check_table_url)] | None = None
    """The controller's table, e.g. http://127.0.0.1:8090/v1/allocation. Over http:// from another machine it can be
    read and changed on its way; the log and /state tell of that. A user and a password in it go over https:// alone."""
    redis_url: Annotated[str, AfterValidator(check_redis_url)] | None = None
    """Redis that holds the table, e.g. redis://127.0.0.1:6379/0. Write the password into REDIS_PASSWORD, not here;
    REDIS_USERNAME goes before the address's user. To another machine a user or a password goes over rediss:// alone;
    redis:// without either can be read and changed on its way, and the log and /state tell of that."""
    sentinels: Annotated[tuple[HostPort, ...], Field(max_length=16)] = ()
    """Addresses of Redis Sentinels, HOST:PORT. The host of `redis_url` is then the name of the master that they watch,
    e.g. redis://mymaster/0, and the one of the moment is asked. Their password is REDIS_SENTINEL_PASSWORD."""
    tls: ClientTlsSettings | None = None
    """How the source is verified where its address is https:// or rediss://, and who the router is to it. Absent: by
    the system's authorities, and without a certificate of its own."""
    redis_key: Key = "wattroute:allocation"
    """Key of the table in Redis; announcements come on the channel of the same name."""
    poll_interval_s: Seconds = 1.0
    """Time between two looks at the source."""
    share_caps: bool = True
    """Whether this router shares with the others what instances may have in flight, so that the caps hold for all
    routers together: with `redis_url` by what routers tell of themselves there, with `url` evenly among as many as the
    controller hears of at its `signals.router_urls`. Without, it has the whole of every cap."""
    max_ttl_s: Seconds = 3600.0
    """Tables that claim to be valid for longer than this from now are cut to it."""

    @model_validator(mode="after")
    def _one_source(self) -> TableSettings:
        if self.url and self.redis_url:
            raise ValueError("url and redis_url are both set; the table comes from one source, remove one of them")
        return self

    @model_validator(mode="after")
    def _sentinels_have_a_master(self) -> TableSettings:
        url = self.redis_url or ""
        if self.sentinels and not (url.startswith(("redis://", "rediss://")) and master_name(url)):
            raise ValueError("sentinels are set, but redis_url names no master; write redis://MASTER/DB")
        return self

    @model_validator(mode="after")
    def _tls_is_used(self) -> TableSettings:
        if self.tls is not None and not (self.url or self.redis_url or "").startswith(("https://", "rediss://")):
            raise ValueError("tls is set, but the source is not at https:// or rediss://; correct it or remove tls")
        return self

    @model_validator(mode="after")
    def _tables_last(self) -> TableSettings:
        if self.max_ttl_s <= self.poll_interval_s:
            raise ValueError(
                f"max_ttl_s {self.max_ttl_s:g} is not above poll_interval_s {self.poll_interval_s:g}, so that each "
                "table would end before the next look at the source; raise the one or lower the other"
            )
        return self
