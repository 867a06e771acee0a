"""One broker with its tap, its observer and its director, and waiting for what passes there."""

import contextlib
import json
from collections.abc import Iterator

from conformance.packets import Packet, Publish
from conformance.people import Director, Observer, until
from conformance.tap import Record, Tap
from conformance.transcript import Did, Passed


class Stage:
    """What a play needs of one broker."""

    def __init__(self, server: str, record: Record, tap: Tap, director: Director) -> None:
        self.server, self.record, self.tap, self.director = server, record, tap, director
        self.port = tap.upstream

    def count(self, kind: type[Packet], topic: str = "", *, sent: bool = True) -> int:
        """Packets so far, by or to the subject; of PUBLISH only those whose topic begins so."""
        return sum(
            isinstance(event, Passed)
            and event.server == self.server
            and event.sent is sent
            and isinstance(event.packet, kind)
            and (not isinstance(event.packet, Publish) or event.packet.topic.startswith(topic))
            for event in self.record.events
        )

    @contextlib.contextmanager
    def expecting(self, kind: type[Packet], topic: str = "", *, sent: bool = True, by: int = 1) -> Iterator[None]:
        """Inside, something is done; the end waits until that led to `by` more packets of the kind."""
        before = self.count(kind, topic, sent=sent)
        yield
        until(lambda: self.count(kind, topic, sent=sent) >= before + by, f"{by} more {kind.__name__} {topic}")

    def last_time(self, topic: str) -> int:
        """The timestamp of the JSON message that the subject said last on `topic`."""
        said = [event.packet.payload for event in self.record.events if isinstance(event, Passed) and self._said(event, topic)]
        return int(json.loads(said[-1])["timestamp"])

    def _said(self, event: Passed, topic: str) -> bool:
        return event.server == self.server and event.sent and isinstance(event.packet, Publish) and event.packet.topic == topic

    def did(self, what: str, about: str = "") -> None:
        """Write down a deed."""
        self.record.write(lambda at: Did(at, what, about))


@contextlib.contextmanager
def stage(server: str, port: int, record: Record) -> Iterator[Stage]:
    """Around the broker that listens at `port`."""
    with Tap(server, port, record) as tap, Observer(server, port, record), Director(server, port) as director:
        yield Stage(server, record, tap, director)
