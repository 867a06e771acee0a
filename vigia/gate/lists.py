"""What the broker reads: whom it may believe, what each may do, and which certificates count no more.

The files are the gateways' part only; who runs the broker puts them behind its own (deploy/mosquitto/run.sh).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vigia.authority.issuing import Authority, Revoked
from vigia.domain.identities import identity_of
from vigia.gate import GateError
from vigia.store.identities import Identity

CA_FILE = "ca.crt"
ACCESS_FILE = "acl"
REVOCATION_FILE = "crl.pem"

_MAY_DO = """\

user {identity}
topic write spBv1.0/{group}/NBIRTH/{node}
topic write spBv1.0/{group}/NDEATH/{node}
topic write spBv1.0/{group}/NDATA/{node}
topic write spBv1.0/{group}/DBIRTH/{node}/+
topic write spBv1.0/{group}/DDEATH/{node}/+
topic write spBv1.0/{group}/DDATA/{node}/+
topic read spBv1.0/{group}/NCMD/{node}
topic read spBv1.0/{group}/DCMD/{node}/+
topic read spBv1.0/STATE/vigia
"""


@dataclass(frozen=True)
class Lists:
    """Who may come in, and which certificates count no more."""

    identities: Sequence[Identity]
    revoked: Sequence[Revoked]


def access_list(identities: Iterable[Identity]) -> str:
    """Mosquitto's access list: each gateway speaks and hears under its own name only."""
    head = "# Written by the gate whenever it changes.\n"
    return head + "".join(
        _MAY_DO.format(identity=identity_of(one.group_id, one.node_id), group=one.group_id, node=one.node_id) for one in identities
    )


class ListFolder:
    """The folder that the broker reads."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority

    def publish(self, lists: Lists, now: datetime) -> bool:
        """Write what is not in the folder as it should be; whether anything was written.

        A revocation list replaces one of the same second only in the next: publish again then. Raises GateError when the folder cannot be
        written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            wrote = self._write(CA_FILE, self._authority.certificate)
            wrote |= self._write(ACCESS_FILE, access_list(lists.identities))
            return self._write_revocations(lists.revoked, now) or wrote
        except OSError as error:
            raise GateError(f"{self._folder}: {error.strerror or error}; name a folder that the broker reads with --lists") from None

    def _write_revocations(self, revoked: Sequence[Revoked], now: datetime) -> bool:
        file = self._folder / REVOCATION_FILE
        present = self._authority.read(file.read_bytes()) if file.exists() else None
        if present is not None:
            made_at, listed = present
            wanted = {one.serial_number for one in revoked}
            # A probe of before does no harm, and its absence is no reason for another list.
            if {one.serial_number for one in listed if not one.probe} <= wanted <= {one.serial_number for one in listed}:
                return False
            if made_at >= now.replace(microsecond=0):
                return False
        return self._write(REVOCATION_FILE, self._authority.revocation_list(revoked, now))

    def _write(self, name: str, text: str) -> bool:
        """Replaced as a whole: a reader sees the old file or the new one."""
        file = self._folder / name
        if file.exists() and file.read_text() == text:
            return False
        partial = file.with_name(f".{name}")
        partial.write_text(text)
        partial.chmod(0o644)  # the broker runs under another user
        partial.replace(file)
        return True
