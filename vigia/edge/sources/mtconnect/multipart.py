"""The parts of an endless HTTP answer, as they come."""

from collections.abc import Iterator
from email.message import Message

from vigia.edge.sources.mtconnect.documents import DocumentError

_MOST_HEADER_BYTES = 8192
_MOST_DIGITS = 15


def boundary_of(content_type: str) -> str | None:
    """What stands between the parts; None when the answer is no stream of parts."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        return None
    return boundary


class Parts:
    """Cuts a stream into the bodies of its parts; none may be longer than `limit` bytes."""

    def __init__(self, boundary: str, limit: int) -> None:
        # Some agents put the two dashes into the boundary, some before it.
        self._mark = b"--" + boundary.removeprefix("--").encode()
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete with `data`. Raises DocumentError."""
        self._rest += data
        while (body := self._next()) is not None:
            yield body

    def _next(self) -> bytes | None:
        start = self._rest.find(self._mark)
        head_end = self._rest.find(b"\r\n\r\n", max(start, 0))
        if start < 0 or head_end < 0:
            if len(self._rest) > _MOST_HEADER_BYTES + max(start, 0):
                raise DocumentError("the stream does not keep to its boundary")
            return None
        begin = head_end + 4
        length = _length(self._rest[start:head_end])
        end = self._rest.find(b"\r\n" + self._mark, begin) if length is None else begin + length
        if max(length or 0, len(self._rest) - begin if end < 0 else 0) > self._limit:
            raise DocumentError(f"a document of more than {self._limit} bytes; lower count, or raise max_document_bytes")
        if end < 0 or len(self._rest) < end:
            return None
        body, self._rest = self._rest[begin:end], self._rest[end:]
        return body


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            if not value.strip().isdigit() or len(value) > _MOST_DIGITS:
                raise DocumentError("a part whose length is no number")
            return int(value)
    return None
