"""What a buffer remembers of commands: which have acted, and the results that wait for their device to tell them."""

from dataclasses import dataclass

from vigia.edge.buffer import EdgeBuffer

KEPT_MS = 7 * 86_400_000  # after a command has expired: a clock that is set back must not let it act again
RESULT_KEPT_MS = 30 * 86_400_000  # for a device that does not come back


@dataclass(frozen=True, slots=True)
class WaitingResult:
    """A result of a command to `device_id`, as it is told: `body` dated `at`, in milliseconds since 1970 UTC."""

    number: int
    device_id: str
    at: int
    body: str


class CommandMemory:
    """The commands of one node, in its buffer's file. Every method raises BufferUnavailableError when the file cannot be used now."""

    def __init__(self, buffer: EdgeBuffer) -> None:
        self._buffer = buffer

    def seen(self) -> dict[str, int]:
        """The commands that acted, by id: when each expires."""
        with self._buffer.writing() as connection:
            return dict(connection.execute("select id, expires_at from command"))

    def unfinished(self) -> list[tuple[str, str, str]]:
        """Id, device and name of the commands that began to act and have no result."""
        with self._buffer.writing() as connection:
            return connection.execute("select id, device_id, name from command where not ended").fetchall()

    def begin(self, id_: str, device_id: str, name: str, expires_at: int) -> bool:
        """The command is about to act: its id is on disk when this returns. False when it was there before."""
        with self._buffer.writing() as connection:
            row = (id_, device_id, name, expires_at)
            made = connection.execute("insert or ignore into command (id, device_id, name, expires_at) values (?, ?, ?, ?)", row)
            return made.rowcount == 1

    def end(self, id_: str, device_id: str, at: int, body: str) -> None:
        """The result of a command, whether it acted or not; it waits from now on."""
        with self._buffer.writing() as connection:
            connection.execute("update command set ended = 1 where id = ?", (id_,))
            connection.execute("insert into command_result (device_id, at, body) values (?, ?, ?)", (device_id, at, body))
            connection.execute("delete from command where ended and expires_at < ?", (at - KEPT_MS,))
            connection.execute("delete from command_result where at < ?", (at - RESULT_KEPT_MS,))

    def waiting(self) -> list[WaitingResult]:
        """The results not told yet, the oldest first."""
        with self._buffer.writing() as connection:
            rows = connection.execute("select number, device_id, at, body from command_result order by number").fetchall()
        return [WaitingResult(*row) for row in rows]

    def told(self, number: int) -> None:
        """The result is a numbered sample now."""
        with self._buffer.writing() as connection:
            connection.execute("delete from command_result where number = ?", (number,))
