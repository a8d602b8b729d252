"""What answers tell of a tenant's limits: OpenAI's x-ratelimit-* fields. Pure.

Source: https://platform.openai.com/docs/guides/rate-limits ("Rate limits in headers").
"""

from __future__ import annotations

import math

from router.tenants.bucket import Bucket


def limit_fields(what: bytes, bucket: Bucket | None) -> bytes:
    """Three field lines on one limit, each ended by CRLF; none without a limit.

    Args:
        what: ``b"requests"`` or ``b"tokens"``.
        bucket: the limit.
    """
    if bucket is None:
        return b""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n" % (
        what,
        round(bucket.capacity),
        what,
        max(0, math.floor(bucket.left())),
        what,
        duration(bucket.full_in_s()),
    )


def duration(seconds: float) -> bytes:
    """A time as OpenAI writes it: ``20ms`` below a second, else whole seconds as ``1s``, ``6m0s``, ``1h0m0s``.

    Rounded up: what has not come yet is not promised.
    """
    if seconds < 1.0:
        milliseconds = math.ceil(seconds * 1e3)
        return b"%dms" % milliseconds if milliseconds < 1000 else b"1s"
    minutes, left_s = divmod(math.ceil(seconds), 60)
    if not minutes:
        return b"%ds" % left_s
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, left_s) if hours else b"%dm%ds" % (minutes, left_s)
