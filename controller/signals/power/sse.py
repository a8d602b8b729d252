"""Reading server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them; pure."""

from __future__ import annotations


class SseReader:
    """Cuts a stream of bytes into the data of its events."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[str]:
        """Data of the events that end in this chunk.

        Raises:
            ValueError: an event is larger than allowed, or not UTF-8.
        """
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        events: list[str] = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line and self._data:
                events.append(b"\n".join(self._data).decode())
                self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        if len(self._buffer) + sum(map(len, self._data)) + len(self._data) > self._max_bytes:
            raise ValueError(f"an event of more than {self._max_bytes} bytes")
        return events
